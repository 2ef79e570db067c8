-- Synced files: regions with their device chains, what devices put into them, and the log of chain
-- heads. Everything here is ciphertext, hashes and signatures; the data itself lies in stored_blob.

CREATE TABLE sync_region (
    seq IDENTITY,
    region BYTES NOT NULL UNIQUE,          -- hash of the chain's first entry
    person_id TEXT NOT NULL REFERENCES person(id), -- who made it, and whose quota it counts for
    created_ms BIGINT NOT NULL,
    entries BIGINT NOT NULL,               -- of the chain
    root BIGINT NOT NULL,                  -- the newest root's counter, 0: none
    root_hash BYTES NOT NULL,
    root_position BIGINT NOT NULL,         -- its author's place in the chain
    joins BIGINT NOT NULL,                 -- changes of joins so far, for who waits
    used BIGINT NOT NULL                   -- bytes of data, also of old versions and uploads
);
CREATE INDEX sync_region_person ON sync_region(person_id);

CREATE TABLE sync_entry (
    region_seq BIGINT NOT NULL REFERENCES sync_region(seq),
    position BIGINT NOT NULL,
    record BYTES NOT NULL,
    leaf BIGINT NOT NULL UNIQUE,           -- its place in the log
    leaf_record BYTES NOT NULL,
    added_ms BIGINT NOT NULL,
    PRIMARY KEY (region_seq, position)
);

-- What the chains say of devices, for lists and for finding a person's regions.
CREATE TABLE sync_device (
    region_seq BIGINT NOT NULL REFERENCES sync_region(seq),
    device BYTES NOT NULL,
    person_id TEXT NOT NULL,
    name TEXT NOT NULL,
    state BIGINT NOT NULL,                 -- 0 added, 1 active, 2 ended
    roles BIGINT NOT NULL,
    login BYTES NOT NULL,                  -- Ed25519
    seen_ms BIGINT NOT NULL,               -- last log-in, 0: never
    PRIMARY KEY (region_seq, device)
);
CREATE INDEX sync_device_person ON sync_device(person_id);

CREATE TABLE sync_join (
    seq IDENTITY,
    region_seq BIGINT NOT NULL REFERENCES sync_region(seq),
    device BYTES NOT NULL,
    person_id TEXT NOT NULL,
    card BYTES NOT NULL,
    commitment BYTES NOT NULL,
    approver BYTES NOT NULL,               -- empty: not answered
    m BYTES NOT NULL,
    position BIGINT NOT NULL,
    n BYTES NOT NULL,                      -- empty: not opened
    created_ms BIGINT NOT NULL,
    expires_ms BIGINT NOT NULL
);
CREATE INDEX sync_join_region ON sync_join(region_seq);
CREATE INDEX sync_join_expiry ON sync_join(expires_ms);

CREATE TABLE sync_delivery (
    region_seq BIGINT NOT NULL REFERENCES sync_region(seq),
    recipient BYTES NOT NULL,
    epoch BIGINT NOT NULL,
    record BYTES NOT NULL,
    PRIMARY KEY (region_seq, recipient, epoch)
);

-- Data packages, and those of their parts that came.
CREATE TABLE sync_data (
    seq IDENTITY,
    region_seq BIGINT NOT NULL REFERENCES sync_region(seq),
    root BYTES NOT NULL,
    size BIGINT NOT NULL,
    held BIGINT NOT NULL,                  -- parts
    since_ms BIGINT NOT NULL,              -- last part
    UNIQUE (region_seq, root)
);

CREATE TABLE sync_part (
    data_seq BIGINT NOT NULL REFERENCES sync_data(seq) ON DELETE CASCADE,
    part BIGINT NOT NULL,
    blob_id BYTES NOT NULL,
    header BYTES NOT NULL,                 -- of the first part, else empty
    leaves BYTES NOT NULL,                 -- Merkle leaves of what is in it
    PRIMARY KEY (data_seq, part)
);

CREATE TABLE sync_package (
    region_seq BIGINT NOT NULL REFERENCES sync_region(seq),
    package BYTES NOT NULL,
    root BYTES NOT NULL,                   -- of its data
    size BIGINT NOT NULL,
    record BYTES NOT NULL,
    state BIGINT NOT NULL,                 -- 1 put, 2 in the tree, 3 dropped from it
    since_ms BIGINT NOT NULL,
    PRIMARY KEY (region_seq, package)
);
CREATE INDEX sync_package_root ON sync_package(region_seq, root);
CREATE INDEX sync_package_state ON sync_package(state, since_ms);

CREATE TABLE sync_root (
    region_seq BIGINT NOT NULL REFERENCES sync_region(seq),
    counter BIGINT NOT NULL,
    record BYTES NOT NULL,
    change BYTES NOT NULL,
    added_ms BIGINT NOT NULL,
    PRIMARY KEY (region_seq, counter)
);

-- Quotas other than the configuration's, of people.
CREATE TABLE sync_quota (
    person_id TEXT PRIMARY KEY REFERENCES person(id),
    bytes BIGINT NOT NULL                  -- 0: none
);

-- Nothing of what a hold names is deleted. One of region and person.
CREATE TABLE sync_hold (
    seq IDENTITY,
    region BYTES NOT NULL,                 -- empty: all of the person's
    person_id TEXT NOT NULL,               -- empty: the region's
    reason TEXT NOT NULL,
    actor TEXT NOT NULL,
    created_ms BIGINT NOT NULL
);

CREATE TABLE sync_wipe (
    id BYTES PRIMARY KEY,
    region_seq BIGINT NOT NULL REFERENCES sync_region(seq),
    device BYTES NOT NULL,
    actor TEXT NOT NULL,
    asked_ms BIGINT NOT NULL,
    done_ms BIGINT NOT NULL,               -- 0: not yet
    files BIGINT NOT NULL,
    at_s BIGINT NOT NULL,                  -- the receipt's time
    signature BYTES NOT NULL,              -- the receipt's
    UNIQUE (region_seq, device)
);

-- The log's Merkle tree: hash `number` of `level` is over 256^level leaves (C2SP tlog-tiles).
CREATE TABLE sync_log_hash (
    level BIGINT NOT NULL,
    number BIGINT NOT NULL,
    hash BYTES NOT NULL,
    PRIMARY KEY (level, number)
);

-- One row: the newest checkpoint.
CREATE TABLE sync_checkpoint (
    id BIGINT PRIMARY KEY,
    size BIGINT NOT NULL,
    note BYTES NOT NULL
);
