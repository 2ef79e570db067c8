-- The audit log: hash-chained entries, one chain per node (host and process), and signed heads.
-- See docs/formats/audit.md.

CREATE TABLE audit_entry (
    node TEXT NOT NULL,
    seq BIGINT NOT NULL,                   -- from 1, without gaps
    unix_ms BIGINT NOT NULL,
    actor TEXT NOT NULL,
    action TEXT NOT NULL,
    object TEXT NOT NULL,
    detail TEXT NOT NULL,                  -- JSON
    prev_hash BYTES NOT NULL,
    hash BYTES NOT NULL,
    PRIMARY KEY (node, seq)
);
CREATE INDEX audit_entry_by_time ON audit_entry(unix_ms);

CREATE TABLE audit_head (
    node TEXT NOT NULL,
    seq BIGINT NOT NULL,
    hash BYTES NOT NULL,
    unix_ms BIGINT NOT NULL,
    key_id BYTES NOT NULL,                 -- SHA-256 of the SubjectPublicKeyInfo
    signature BYTES NOT NULL,
    PRIMARY KEY (node, seq, key_id)
);
