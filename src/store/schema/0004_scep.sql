-- SCEP beyond the first request (RFC 8894): renewals, requests that wait for approval, and what
-- every transaction was about.

-- Which certificate a renewed one follows.
CREATE TABLE certificate_renewal (
    fingerprint BYTES PRIMARY KEY,         -- SHA-256 of the new certificate
    renewed_from BYTES NOT NULL,           -- SHA-256 of the one that signed the request
    created_ms BIGINT NOT NULL
);
CREATE INDEX certificate_renewal_by_former ON certificate_renewal(renewed_from);

-- What was asked for and allowed, but for a person's approval. The challenge is used up already.
CREATE TABLE scep_pending (
    id TEXT PRIMARY KEY,                   -- for people to type
    transaction_id BYTES NOT NULL,
    requester BYTES NOT NULL,              -- who asked, as in scep_transaction
    state TEXT NOT NULL,                   -- waiting, approved, denied, issued
    reason TEXT NOT NULL,                  -- of a denial, or empty
    profile TEXT NOT NULL,
    subject TEXT NOT NULL,
    names TEXT NOT NULL,                   -- subjectAltNames to certify
    owner TEXT NOT NULL,
    enrolment_id TEXT NOT NULL,            -- or empty
    person_id TEXT NOT NULL,               -- or empty
    udid TEXT NOT NULL,                    -- or empty
    renewed_from BYTES NOT NULL,           -- fingerprint, or empty: not a renewal
    csr BYTES NOT NULL,
    peer TEXT NOT NULL,
    created_ms BIGINT NOT NULL,
    expires_ms BIGINT NOT NULL,
    decided_ms BIGINT NOT NULL,            -- 0: not yet
    decided_by TEXT NOT NULL,
    UNIQUE (transaction_id, requester)
);
CREATE INDEX scep_pending_by_state ON scep_pending(state, created_ms);

-- The last requests, decoded. No secrets.
CREATE TABLE scep_trace (
    seq IDENTITY,
    unix_ms BIGINT NOT NULL,
    about TEXT NOT NULL,                   -- enrolment, key or address: each has its own ring
    peer TEXT NOT NULL,
    transaction_id TEXT NOT NULL,
    message TEXT NOT NULL,                 -- PKCSReq, RenewalReq, ...
    signer TEXT NOT NULL,                  -- its certificate's subject
    subject TEXT NOT NULL,                 -- asked for
    algorithms TEXT NOT NULL,
    profile TEXT NOT NULL,
    enrolment_id TEXT NOT NULL,
    udid TEXT NOT NULL,
    outcome TEXT NOT NULL,                 -- issued, renewed, repeated, pending, answered, refused, malformed, failed
    fail_info TEXT NOT NULL,
    problem TEXT NOT NULL,
    next TEXT NOT NULL,                    -- what the device will do now
    serial TEXT NOT NULL
);
CREATE INDEX scep_trace_by_about ON scep_trace(about, seq);
CREATE INDEX scep_trace_by_transaction ON scep_trace(transaction_id, seq);
