-- What is known of people's encryption certificates besides our own: learned from verified signed
-- mail, trusted by admins; and the groups and aliases that mail is sent to.

CREATE TABLE mail_certificate (
    address TEXT NOT NULL,                 -- lower case; one of the certificate's own names
    fingerprint BYTES NOT NULL,            -- SHA-256 of the DER
    der BYTES NOT NULL,
    chain BYTES NOT NULL,                  -- CA certificates that came along, DER one after another
    trusted BIGINT NOT NULL,               -- 1: its signer was, when it was last seen
    not_after BIGINT NOT NULL,             -- seconds
    message_s BIGINT NOT NULL,             -- signing time of the newest message that had it, seconds
    first_seen_ms BIGINT NOT NULL,
    last_seen_ms BIGINT NOT NULL,
    PRIMARY KEY (address, fingerprint)
);
CREATE INDEX mail_certificate_by_age ON mail_certificate(trusted, last_seen_ms);

-- What a person's mail program can read, as their newest message says.
CREATE TABLE mail_peer (
    address TEXT PRIMARY KEY,
    capabilities BYTES NOT NULL,           -- SMIMECapabilities, DER
    message_s BIGINT NOT NULL,             -- signing time of that message
    seen_ms BIGINT NOT NULL
);

-- Trust given by admins: to a CA, or to one certificate of a person.
CREATE TABLE mail_trust (
    fingerprint BYTES PRIMARY KEY,
    kind TEXT NOT NULL,                    -- ca, certificate
    domain TEXT NOT NULL,                  -- a CA's: only for addresses of this domain, or empty
    der BYTES NOT NULL,
    why TEXT NOT NULL,
    created_by TEXT NOT NULL,
    created_ms BIGINT NOT NULL
);

-- A group's or alias's address and whom it stands for.
CREATE TABLE mail_group (
    address TEXT NOT NULL,
    member TEXT NOT NULL,
    created_by TEXT NOT NULL,
    created_ms BIGINT NOT NULL,
    PRIMARY KEY (address, member)
);
