-- Leases over HTTP: what a device may ask its key back for, which devices may have no leases until
-- they enrol anew, and the tokens of devices' own programs.

CREATE TABLE lease_event (
    device_id TEXT NOT NULL,
    account TEXT NOT NULL,
    event TEXT NOT NULL,
    created_ms BIGINT NOT NULL,
    released_ms BIGINT NOT NULL,           -- the first time, or 0
    PRIMARY KEY (device_id, account, event)
);
CREATE INDEX lease_event_by_time ON lease_event(created_ms);

CREATE TABLE lease_bar (
    device_id TEXT PRIMARY KEY,
    reason TEXT NOT NULL,
    since_ms BIGINT NOT NULL
);

CREATE TABLE device_token (
    device_id TEXT PRIMARY KEY,
    hash BYTES NOT NULL UNIQUE,            -- SHA-256 of the token
    created_ms BIGINT NOT NULL
);
