-- Tokens that a device was told and has not confirmed: it may have taken one, or none, so the one
-- before stays good beside them (docs/guides/mailbox.md).
CREATE TABLE device_token_offer (
    seq IDENTITY,
    device_id TEXT NOT NULL,
    command TEXT NOT NULL,        -- that brought it: a later word of the device settles it
    hash BYTES NOT NULL UNIQUE,   -- SHA-256 of the token
    created_ms BIGINT NOT NULL
);
CREATE INDEX device_token_offer_of_device ON device_token_offer(device_id, seq);
