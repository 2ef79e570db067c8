-- What was opened may be fetched again by who fetched it first, until it says that it has it: its
-- machine may have died in between. A wrong share is set aside, so that another officer can help.

ALTER TABLE recovery ADD COLUMN opening TEXT NOT NULL DEFAULT '';        -- SHA-256, hex; or empty
ALTER TABLE recovery ADD COLUMN received_ms BIGINT NOT NULL DEFAULT 0;
ALTER TABLE recovery_answer ADD COLUMN wrong BIGINT NOT NULL DEFAULT 0;  -- 1: an approval that did not hold
