-- What the mail gateway does for whom (docs/guides/mail-gateway.md).

-- Rules beside those of coffer.conf, which they override. A name is * (the organisation), a domain, an
-- address; with to: before it, what a recipient asks for.
CREATE TABLE mail_policy (
    name TEXT PRIMARY KEY,
    settings TEXT NOT NULL,       -- "encrypt=require sign=yes"
    changed_by TEXT NOT NULL,
    changed_ms BIGINT NOT NULL
);

-- What the keeper was told that the gateway may do for a person, and the certificate it signs with.
CREATE TABLE mail_gateway (
    email TEXT PRIMARY KEY,       -- lower case
    person_id TEXT NOT NULL,
    signs BIGINT NOT NULL,
    decrypts BIGINT NOT NULL,
    fingerprint BYTES NOT NULL,   -- SHA-256 of the signing certificate, or empty
    not_after BIGINT NOT NULL,    -- seconds; its end, or 0
    changed_ms BIGINT NOT NULL
);
