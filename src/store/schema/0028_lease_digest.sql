-- How often keys of leases went out since their person was last told (docs/guides/locked-mail.md).
CREATE TABLE lease_digest (
    device_id TEXT NOT NULL,
    account TEXT NOT NULL,
    count BIGINT NOT NULL,
    first_ms BIGINT NOT NULL,
    last_ms BIGINT NOT NULL,
    PRIMARY KEY (device_id, account)
);
