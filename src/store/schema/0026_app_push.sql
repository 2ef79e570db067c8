-- Devices whose mail program is reached by a push of its own (docs/guides/locked-mail.md).
CREATE TABLE app_push (
    device_id TEXT PRIMARY KEY,
    token BYTES NOT NULL,         -- of the push service, for the program on this device
    release BIGINT NOT NULL,      -- 1: pushes bring the key of the event
    token_ms BIGINT NOT NULL      -- when it was said
);
