-- Sharing of synced files: with outsiders by links, with people by signed records of members. A
-- link's list is sealed; the service has the token's hash and what the link may fetch.

CREATE TABLE sync_link (
    id BYTES PRIMARY KEY,        -- 16 bytes, follow from the URL's secret
    region BYTES NOT NULL,
    device BYTES NOT NULL,       -- that made it
    person TEXT NOT NULL,        -- whose device that is
    token_hash BYTES NOT NULL,
    list BYTES NOT NULL,         -- record cofferYL
    label BYTES NOT NULL,        -- sealed for the region's devices
    password BIGINT NOT NULL,    -- 1: wrong tokens are guesses
    openings BIGINT NOT NULL,    -- allowed; 0: any number
    opened BIGINT NOT NULL,
    wrong BIGINT NOT NULL,       -- tokens since the last right one
    created_ms BIGINT NOT NULL,
    expires_ms BIGINT NOT NULL,
    last_ms BIGINT NOT NULL      -- last opening, 0: never
);
CREATE INDEX sync_link_region ON sync_link (region, id);
CREATE INDEX sync_link_expires ON sync_link (expires_ms);

-- Data packages that a link may fetch.
CREATE TABLE sync_link_root (
    link BYTES NOT NULL REFERENCES sync_link (id) ON DELETE CASCADE,
    root BYTES NOT NULL,
    PRIMARY KEY (link, root)
);
CREATE INDEX sync_link_root_root ON sync_link_root (root);

-- Openings: what an outsider fetches the data with for a while.
CREATE TABLE sync_link_ticket (
    hash BYTES PRIMARY KEY,      -- SHA-256 of the ticket
    link BYTES NOT NULL REFERENCES sync_link (id) ON DELETE CASCADE,
    expires_ms BIGINT NOT NULL
);
CREATE INDEX sync_link_ticket_link ON sync_link_ticket (link, expires_ms);

-- Members of shares: signed records (cofferYU), each after the one before.
CREATE TABLE sync_members (
    region_seq BIGINT NOT NULL REFERENCES sync_region(seq),
    counter BIGINT NOT NULL,
    hash BYTES NOT NULL,
    position BIGINT NOT NULL,    -- its author's place in the chain
    record BYTES NOT NULL,
    added_ms BIGINT NOT NULL,
    PRIMARY KEY (region_seq, counter)
);
