-- People who come from a directory (LDAP, Active Directory), and what is published there.

ALTER TABLE person ADD COLUMN source TEXT NOT NULL DEFAULT '';       -- empty: made here; ldap
ALTER TABLE person ADD COLUMN external_id TEXT NOT NULL DEFAULT '';  -- entryUUID or objectGUID
ALTER TABLE person ADD COLUMN left_ms BIGINT NOT NULL DEFAULT 0;     -- disabled since the directory has them no more
CREATE UNIQUE INDEX person_by_external_id ON person(source, external_id) WHERE external_id <> '';

-- Certificates that we put into people's entries. What we did not put there is never removed.
CREATE TABLE directory_certificate (
    fingerprint BYTES PRIMARY KEY,         -- SHA-256 of the certificate
    external_id TEXT NOT NULL,             -- whose entry
    bundle BYTES NOT NULL,                 -- the value of userSMIMECertificate
    published_ms BIGINT NOT NULL
);
