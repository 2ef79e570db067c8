-- Revocation: what was revoked and why, the lists that say so, and OCSP statuses signed ahead.

CREATE TABLE revocation (
    seq IDENTITY,                          -- lists go by it, so that a table is read in order
    fingerprint BYTES NOT NULL UNIQUE REFERENCES certificate(fingerprint),
    issuer TEXT NOT NULL,
    serial BYTES NOT NULL,                 -- magnitude, big endian
    profile TEXT NOT NULL,
    reason BIGINT NOT NULL,                -- CRLReason; 8 (removeFromCRL): a hold that ended
    revoked_ms BIGINT NOT NULL,
    changed_ms BIGINT NOT NULL,            -- for delta lists
    not_after BIGINT NOT NULL,             -- seconds
    actor TEXT NOT NULL,
    why TEXT NOT NULL                      -- which rule or wish it was
);
-- Without the issuer: full lists must go by seq, in the order of the table.
CREATE INDEX revocation_by_change ON revocation(changed_ms);

-- The newest list of each kind; the lists themselves are files, which can be made again.
CREATE TABLE crl (
    issuer TEXT NOT NULL,
    profile TEXT NOT NULL,                 -- or empty: all of the issuer's
    delta BIGINT NOT NULL,                 -- 1: over the full list of base_number
    number BIGINT NOT NULL,                -- cRLNumber, one sequence for full and delta
    base_number BIGINT NOT NULL,
    base_ms BIGINT NOT NULL,               -- what changed before is in the base
    this_update BIGINT NOT NULL,           -- seconds
    next_update BIGINT NOT NULL,           -- seconds
    entries BIGINT NOT NULL,
    size BIGINT NOT NULL,                  -- bytes
    PRIMARY KEY (issuer, profile, delta)
);

CREATE TABLE ocsp_responder (
    fingerprint BYTES PRIMARY KEY,         -- SHA-256 of the DER
    der BYTES NOT NULL,
    not_after BIGINT NOT NULL              -- seconds
);

-- A status signed ahead: everything but the signature can be written again from these values.
CREATE TABLE ocsp_status (
    issuer TEXT NOT NULL,
    serial TEXT NOT NULL,                  -- lower-case hex, as in certificate
    status BIGINT NOT NULL,                -- 0 good, 1 revoked
    reason BIGINT NOT NULL,
    revoked_at BIGINT NOT NULL,            -- seconds
    this_update BIGINT NOT NULL,           -- seconds
    next_update BIGINT NOT NULL,           -- seconds
    responder BYTES NOT NULL,
    signature BYTES NOT NULL,
    PRIMARY KEY (issuer, serial)
);

CREATE INDEX certificate_by_profile ON certificate(issuer, profile);
CREATE INDEX certificate_by_person ON certificate(person_id);
