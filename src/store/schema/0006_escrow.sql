-- Escrow: what can be recovered, for whom it is dealt, who asked for it and who agreed. Secrets stand
-- here as ciphertext alone: opening them takes the keeper, or as many recovery officers as the set demands.

-- A token may be a person's: recovery is between people.
ALTER TABLE api_token ADD COLUMN person_id TEXT NOT NULL DEFAULT '';

-- Keys that officers handed in (record cofferOP).
CREATE TABLE officer (
    id TEXT PRIMARY KEY,
    person_id TEXT NOT NULL,
    label TEXT NOT NULL,                   -- the person's address when it was handed in
    fingerprint BYTES NOT NULL UNIQUE,
    record BYTES NOT NULL,
    removed_ms BIGINT NOT NULL,            -- 0: may be in a set
    created_by TEXT NOT NULL,
    created_ms BIGINT NOT NULL
);

-- Officers' sets (record cofferST). The keeper's vault has the one that counts.
CREATE TABLE officer_set (
    epoch BIGINT PRIMARY KEY,
    record BYTES NOT NULL,
    hash BYTES NOT NULL,
    threshold BIGINT NOT NULL,
    officers BIGINT NOT NULL,
    state TEXT NOT NULL,                   -- proposed, active, former
    created_by TEXT NOT NULL,
    created_ms BIGINT NOT NULL,
    activated_ms BIGINT NOT NULL           -- 0: not yet
);
-- Officers of the set before agree to a proposed one (record cofferSG).
CREATE TABLE officer_set_signature (
    epoch BIGINT NOT NULL REFERENCES officer_set(epoch),
    officer_id TEXT NOT NULL,
    record BYTES NOT NULL,
    created_ms BIGINT NOT NULL,
    PRIMARY KEY (epoch, officer_id)
);

CREATE TABLE escrow_object (
    seq IDENTITY,
    id TEXT NOT NULL,                      -- 32 hex digits
    kind TEXT NOT NULL,
    owner TEXT NOT NULL,                   -- person id, or empty
    device_id TEXT NOT NULL,               -- or empty
    version BIGINT NOT NULL,
    label TEXT NOT NULL,                   -- for people
    state TEXT NOT NULL,                   -- current, former
    officers_only BIGINT NOT NULL,         -- 1: there is no wrap
    epoch BIGINT NOT NULL,                 -- the set its shares are dealt to; 0: not dealt yet
    spki BYTES NOT NULL,                   -- SHA-256 of the public key, or empty
    certificates BYTES NOT NULL,           -- DER, the key's own first, or empty
    blob BYTES NOT NULL,                   -- record cofferBL
    wrap BYTES NOT NULL,                   -- record cofferWR, or empty: officers alone can open it
    created_by TEXT NOT NULL,
    created_ms BIGINT NOT NULL,
    verified_ms BIGINT NOT NULL,           -- last proof that it opens; 0: none
    revealed_ms BIGINT NOT NULL,           -- last reveal to a person; 0: none
    UNIQUE (id, version)
);
CREATE INDEX escrow_object_by_owner ON escrow_object(owner, seq);
CREATE INDEX escrow_object_by_device ON escrow_object(device_id, seq);
CREATE INDEX escrow_object_by_kind ON escrow_object(kind, seq);
CREATE INDEX escrow_object_by_epoch ON escrow_object(epoch, officers_only, seq);

-- Shares (record cofferSH), sealed to one officer each. Several dealers' parts make a re-dealt share.
CREATE TABLE escrow_share (
    object_seq BIGINT NOT NULL REFERENCES escrow_object(seq),
    epoch BIGINT NOT NULL,
    officer BIGINT NOT NULL,               -- its index in the set of this epoch
    dealer BIGINT NOT NULL,                -- 0: the keeper; else the index in the set before
    record BYTES NOT NULL,
    PRIMARY KEY (object_seq, epoch, officer, dealer)
);

-- Re-dealing from one set to the next: who deals, and how far each came. Objects go in order of seq.
CREATE TABLE redeal (
    to_epoch BIGINT NOT NULL REFERENCES officer_set(epoch),
    dealer BIGINT NOT NULL,                -- index in the set before
    officer_id TEXT NOT NULL,
    last_seq BIGINT NOT NULL,
    done BIGINT NOT NULL,                  -- objects
    updated_ms BIGINT NOT NULL,
    PRIMARY KEY (to_epoch, dealer)
);

CREATE TABLE recovery (
    seq IDENTITY,
    id TEXT NOT NULL UNIQUE,               -- 32 hex digits
    object_seq BIGINT NOT NULL REFERENCES escrow_object(seq),
    kind TEXT NOT NULL,
    requester TEXT NOT NULL,               -- person id
    recipient TEXT NOT NULL,
    reason TEXT NOT NULL,
    ticket TEXT NOT NULL,
    state TEXT NOT NULL,                   -- waiting, denied, opened
    threshold BIGINT NOT NULL,
    approvals BIGINT NOT NULL,
    record BYTES NOT NULL,                 -- cofferRQ
    hash BYTES NOT NULL,
    rotation TEXT NOT NULL,                -- what was started after the reveal, or empty
    created_ms BIGINT NOT NULL,
    expires_ms BIGINT NOT NULL,
    decided_ms BIGINT NOT NULL             -- 0: not yet
);
CREATE INDEX recovery_by_state ON recovery(state, seq);
CREATE INDEX recovery_by_object ON recovery(object_seq, seq);

-- What each officer said to a request: once.
CREATE TABLE recovery_answer (
    recovery_id TEXT NOT NULL REFERENCES recovery(id),
    officer_id TEXT NOT NULL,
    person_id TEXT NOT NULL,
    approved BIGINT NOT NULL,
    record BYTES NOT NULL,                 -- cofferAP, or empty
    reason TEXT NOT NULL,                  -- of a denial
    created_ms BIGINT NOT NULL,
    PRIMARY KEY (recovery_id, officer_id)
);

-- Proofs that samples still open.
CREATE TABLE escrow_drill (
    seq IDENTITY,
    kind TEXT NOT NULL,
    sampled BIGINT NOT NULL,
    opened BIGINT NOT NULL,
    failed BIGINT NOT NULL,
    failures TEXT NOT NULL,                -- object ids and why, a line each
    actor TEXT NOT NULL,
    created_ms BIGINT NOT NULL
);
CREATE INDEX escrow_drill_by_kind ON escrow_drill(kind, seq);
