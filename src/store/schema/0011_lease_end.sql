-- Devices whose leases the keeper is to forget: written in the transaction that says why, done and
-- deleted in the background.

CREATE TABLE lease_end (
    device_id TEXT PRIMARY KEY,
    reason TEXT NOT NULL,
    since_ms BIGINT NOT NULL
);
