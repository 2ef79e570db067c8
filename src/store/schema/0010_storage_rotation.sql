-- Rotations of the keeper's storage key: how far all wraps are made anew with it.

CREATE TABLE storage_rotation (
    number BIGINT PRIMARY KEY,             -- the storage key; the first, 1, needs no row
    actor TEXT NOT NULL,
    last_seq BIGINT NOT NULL,              -- objects up to this one are done
    done BIGINT NOT NULL,                  -- objects wrapped anew
    refused BIGINT NOT NULL,               -- objects that the keeper refused: damaged
    started_ms BIGINT NOT NULL,
    updated_ms BIGINT NOT NULL,
    finished_ms BIGINT NOT NULL            -- 0: not yet
);
