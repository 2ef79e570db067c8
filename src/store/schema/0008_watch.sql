-- The expiry watch: what is watched beside the certificates issued here, and which notices went.

CREATE TABLE watch_source (
    name TEXT PRIMARY KEY,
    target TEXT NOT NULL,                  -- file:PATH, tls:HOST:PORT, ...; own ones: empty
    origin TEXT NOT NULL,                  -- own, conf, list
    created_by TEXT NOT NULL,
    created_ms BIGINT NOT NULL,
    state TEXT NOT NULL,                   -- new, ok, unreachable
    since_ms BIGINT NOT NULL,              -- in this state
    checked_ms BIGINT NOT NULL,            -- 0: never
    told_ms BIGINT NOT NULL,               -- when admins heard that it is unreachable; 0: not
    problem TEXT NOT NULL
);

-- What a source showed when it was last reached.
CREATE TABLE watch_certificate (
    source TEXT NOT NULL REFERENCES watch_source(name),
    fingerprint BYTES NOT NULL,            -- SHA-256 of the DER
    subject TEXT NOT NULL,
    issuer TEXT NOT NULL,
    serial TEXT NOT NULL,                  -- lower-case hex
    not_before BIGINT NOT NULL,            -- seconds
    not_after BIGINT NOT NULL,             -- seconds
    PRIMARY KEY (source, fingerprint)
);
CREATE INDEX watch_certificate_by_expiry ON watch_certificate(not_after, fingerprint);

-- The smallest threshold whose notice went, for each certificate.
CREATE TABLE expiry_notice (
    fingerprint BYTES PRIMARY KEY,
    threshold BIGINT NOT NULL,             -- days
    noticed_ms BIGINT NOT NULL,
    not_after BIGINT NOT NULL              -- seconds
);
CREATE INDEX expiry_notice_by_expiry ON expiry_notice(not_after);

-- Programs that ran for a notice.
CREATE TABLE action_run (
    seq IDENTITY,
    action TEXT NOT NULL,
    key TEXT NOT NULL,                     -- the notice's
    started_ms BIGINT NOT NULL,
    ended_ms BIGINT NOT NULL,
    outcome TEXT NOT NULL,                 -- exit N, signal N, timeout, failed
    output TEXT NOT NULL                   -- the beginning of what it printed
);

CREATE INDEX certificate_by_expiry ON certificate(not_after, fingerprint);
-- Who has no enrolment is known by its subject alone.
CREATE INDEX certificate_by_subject ON certificate(subject, profile) WHERE enrolment_id = '';
CREATE INDEX enrolment_by_udid ON enrolment(udid);
CREATE INDEX scep_challenge_unused ON scep_challenge(enrolment_id) WHERE used_ms = 0;
