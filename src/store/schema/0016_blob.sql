-- Blobs of files that are synced: ciphertext under the SHA-256 of what it is. Where each lies, who
-- needs it, and how far the scrub of all replicas has come.

CREATE TABLE stored_blob (
    id BYTES PRIMARY KEY,
    incarnation BIGINT NOT NULL, -- random; part of the objects' names
    size BIGINT NOT NULL,        -- -1: not known before it is stored
    state BIGINT NOT NULL,       -- 1 being written, 2 stored, 3 condemned, 4 being deleted
    since_ms BIGINT NOT NULL     -- last put, last loss of an owner, or change of state
);
CREATE INDEX stored_blob_state ON stored_blob (state, since_ms);

CREATE TABLE blob_replica (
    blob_id BYTES NOT NULL REFERENCES stored_blob (id) ON DELETE CASCADE,
    store TEXT NOT NULL,
    state BIGINT NOT NULL,       -- 1 good, 2 missing, 3 damaged
    stored_ms BIGINT NOT NULL,   -- written, 0: never
    verified_ms BIGINT NOT NULL, -- read and found right, 0: never
    tried_ms BIGINT NOT NULL,    -- last attempt to repair it
    PRIMARY KEY (blob_id, store)
);
CREATE INDEX blob_replica_state ON blob_replica (state, tried_ms);

CREATE TABLE blob_owner (
    blob_id BYTES NOT NULL REFERENCES stored_blob (id),
    owner TEXT NOT NULL,
    PRIMARY KEY (blob_id, owner)
);
CREATE INDEX blob_owner_owner ON blob_owner (owner);

-- One row: the scrub under way, or the last one.
CREATE TABLE blob_scrub (
    number BIGINT PRIMARY KEY,
    position BYTES NOT NULL,     -- blobs up to this one are done; empty: none
    checked BIGINT NOT NULL,     -- replicas read
    bytes BIGINT NOT NULL,
    bad BIGINT NOT NULL,         -- found missing or damaged
    lost BIGINT NOT NULL,        -- blobs without any good replica
    started_ms BIGINT NOT NULL,
    finished_ms BIGINT NOT NULL  -- 0: it goes on
);

-- Stores that were ever used, and how far each was swept of objects that belong to no blob.
CREATE TABLE blob_place (
    store TEXT PRIMARY KEY,
    since_ms BIGINT NOT NULL,
    swept_to TEXT NOT NULL,
    swept_ms BIGINT NOT NULL
);
