-- People, devices, certificates, commands, jobs.
-- One dialect for both databases: BYTES and IDENTITY are replaced per back end. Times are
-- milliseconds since 1970 UTC. Secrets stand here only sealed by the keeper, tokens only hashed.

CREATE TABLE meta (
    name TEXT PRIMARY KEY,
    value TEXT NOT NULL
);

CREATE TABLE person (
    id TEXT PRIMARY KEY,
    email TEXT NOT NULL UNIQUE,            -- lower case
    name TEXT NOT NULL,
    role TEXT NOT NULL,                    -- admin, member
    password_hash TEXT NOT NULL,           -- Argon2id
    disabled BIGINT NOT NULL,
    failures BIGINT NOT NULL,              -- log-ins failed since the last good one
    retry_after_ms BIGINT NOT NULL,        -- no log-in before this time
    created_ms BIGINT NOT NULL
);

CREATE TABLE api_token (
    hash BYTES PRIMARY KEY,                -- SHA-256 of the token
    name TEXT NOT NULL UNIQUE,
    role TEXT NOT NULL,                    -- admin, auditor
    created_ms BIGINT NOT NULL,
    expires_ms BIGINT NOT NULL,            -- 0: never
    last_used_ms BIGINT NOT NULL
);

-- One over-the-air enrolment, from the portal to the identity certificate.
CREATE TABLE enrolment (
    id TEXT PRIMARY KEY,
    person_id TEXT NOT NULL REFERENCES person(id),
    challenge_hash BYTES NOT NULL UNIQUE,  -- SHA-256 of the Profile Service challenge
    state TEXT NOT NULL,                   -- offered, identified, certified, delivered
    udid TEXT NOT NULL,
    serial_number TEXT NOT NULL,
    product TEXT NOT NULL,
    os_version TEXT NOT NULL,
    created_ms BIGINT NOT NULL,
    expires_ms BIGINT NOT NULL
);
CREATE INDEX enrolment_by_expiry ON enrolment(expires_ms);

CREATE TABLE scep_challenge (
    hash BYTES PRIMARY KEY,                -- SHA-256 of the challenge password
    profile TEXT NOT NULL,                 -- certificate profile
    subject TEXT NOT NULL,                 -- expected subject, RFC 4514; empty: the CSR's own
    sans TEXT NOT NULL,                    -- expected names, "email:a@example.org dns:b"; empty: none allowed
    enrolment_id TEXT NOT NULL,            -- or empty
    device_udid TEXT NOT NULL,             -- or empty
    created_by TEXT NOT NULL,
    created_ms BIGINT NOT NULL,
    expires_ms BIGINT NOT NULL,
    used_ms BIGINT NOT NULL                -- 0: not used
);
CREATE INDEX scep_challenge_by_expiry ON scep_challenge(expires_ms);

CREATE TABLE certificate (
    fingerprint BYTES PRIMARY KEY,         -- SHA-256 of the DER
    issuer TEXT NOT NULL,                  -- device-ca, root, ...
    serial TEXT NOT NULL,                  -- lower-case hex
    profile TEXT NOT NULL,
    subject TEXT NOT NULL,
    enrolment_id TEXT NOT NULL,
    person_id TEXT NOT NULL,
    spki_sha256 BYTES NOT NULL,
    not_before BIGINT NOT NULL,            -- seconds
    not_after BIGINT NOT NULL,             -- seconds
    revoked_ms BIGINT NOT NULL,            -- 0: not
    der BYTES NOT NULL,
    created_ms BIGINT NOT NULL,
    UNIQUE (issuer, serial)
);
CREATE INDEX certificate_by_enrolment ON certificate(enrolment_id);

-- So that a replayed SCEP transaction gets the same certificate (RFC 8894 section 4.4).
CREATE TABLE scep_transaction (
    transaction_id BYTES NOT NULL,
    spki_sha256 BYTES NOT NULL,            -- the key that asked
    fingerprint BYTES NOT NULL,            -- the certificate it got
    created_ms BIGINT NOT NULL,
    PRIMARY KEY (transaction_id, spki_sha256)
);

CREATE TABLE device (
    id TEXT PRIMARY KEY,
    enrolment_key TEXT NOT NULL UNIQUE,    -- UDID, or EnrollmentID (user enrolment)
    udid TEXT NOT NULL,
    serial_number TEXT NOT NULL,
    product TEXT NOT NULL,                 -- iPhone14,5
    os_version TEXT NOT NULL,
    build TEXT NOT NULL,
    name TEXT NOT NULL,
    person_id TEXT NOT NULL,               -- or empty
    state TEXT NOT NULL,                   -- authenticated, enrolled, removed
    identity BYTES NOT NULL UNIQUE,        -- fingerprint of the pinned identity certificate
    topic TEXT NOT NULL,
    push_token BYTES NOT NULL,
    push_magic TEXT NOT NULL,
    push_state TEXT NOT NULL,              -- ok, unregistered, or empty before the first token
    token_ms BIGINT NOT NULL,              -- when the push token came
    info TEXT NOT NULL,                    -- JSON: the latest QueryResponses and SecurityInfo
    enrolled_ms BIGINT NOT NULL,
    last_seen_ms BIGINT NOT NULL,
    created_ms BIGINT NOT NULL
);
CREATE INDEX device_by_serial ON device(serial_number);
CREATE INDEX device_by_person ON device(person_id);

-- What only the keeper can open: AAD = kind, device, version.
CREATE TABLE sealed_secret (
    device_id TEXT NOT NULL REFERENCES device(id),
    kind TEXT NOT NULL,                    -- unlock-token, bootstrap-token, lock-pin, ...
    version BIGINT NOT NULL,
    sealed BYTES NOT NULL,
    created_ms BIGINT NOT NULL,
    PRIMARY KEY (device_id, kind, version)
);

CREATE TABLE command (
    seq IDENTITY,
    uuid TEXT NOT NULL UNIQUE,
    device_id TEXT NOT NULL REFERENCES device(id),
    request_type TEXT NOT NULL,
    state TEXT NOT NULL,                   -- queued, sent, not-now, acknowledged, error, format-error, cancelled
    open BIGINT NOT NULL,                  -- 1: queued, sent or not-now
    payload BYTES NOT NULL,                -- the Command dict as a plist, secrets left out
    secret_kind TEXT NOT NULL,             -- what the keeper fills in at delivery, or empty
    secret_version BIGINT NOT NULL,
    created_by TEXT NOT NULL,
    created_ms BIGINT NOT NULL,
    sent_ms BIGINT NOT NULL,
    done_ms BIGINT NOT NULL,
    deliveries BIGINT NOT NULL,
    error TEXT NOT NULL                    -- JSON ErrorChain, or empty
);
-- Both are small: history has no part in them. The columns that are constant in them make SQLite
-- prefer them to command_of_device, which has all of it.
CREATE INDEX command_open ON command(device_id, open, seq) WHERE open = 1;
CREATE INDEX command_not_now ON command(device_id, open, state) WHERE open = 1 AND state = 'not-now';
CREATE INDEX command_of_device ON command(device_id, seq);

CREATE TABLE command_result (
    uuid TEXT PRIMARY KEY REFERENCES command(uuid),
    received_ms BIGINT NOT NULL,
    body BYTES NOT NULL                    -- the device's answer as it came
);

-- Configuration profiles an admin keeps, and who gets them.
CREATE TABLE profile (
    identifier TEXT PRIMARY KEY,           -- PayloadIdentifier
    name TEXT NOT NULL,
    content BYTES NOT NULL,                -- the Configuration plist
    created_ms BIGINT NOT NULL,
    updated_ms BIGINT NOT NULL
);
CREATE TABLE profile_assignment (
    identifier TEXT NOT NULL REFERENCES profile(identifier),
    device_id TEXT NOT NULL,               -- or '*': every device
    created_ms BIGINT NOT NULL,
    PRIMARY KEY (identifier, device_id)
);

-- Work for the courier, written in the transaction that makes it necessary. Done at least once.
CREATE TABLE job (
    seq IDENTITY,
    kind TEXT NOT NULL,                    -- push, ...
    name TEXT NOT NULL,                    -- one open job a (kind, name): later ones coalesce
    payload TEXT NOT NULL,                 -- JSON
    generation BIGINT NOT NULL,            -- raised by coalescing: a job changed meanwhile isn't done
    due_ms BIGINT NOT NULL,
    lease_until_ms BIGINT NOT NULL,        -- 0: free
    attempts BIGINT NOT NULL,
    dead BIGINT NOT NULL,                  -- 1: given up; kept to be seen
    last_error TEXT NOT NULL,
    created_ms BIGINT NOT NULL,
    UNIQUE (kind, name)
);
CREATE INDEX job_due ON job(dead, due_ms);
