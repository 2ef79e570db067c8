-- Mailboxes whose new mail devices are told of while they are locked (docs/guides/locked-mail.md).
-- Nothing here says who wrote or what about.

-- Mail servers that say when mail arrives.
CREATE TABLE mail_hook (
    name TEXT PRIMARY KEY,
    hash BYTES NOT NULL UNIQUE,   -- SHA-256 of its secret
    created_by TEXT NOT NULL,
    created_ms BIGINT NOT NULL,
    heard_ms BIGINT NOT NULL      -- the last time, to the minute; 0: never
);

CREATE TABLE mailbox (
    account TEXT PRIMARY KEY,     -- its address, lower case; the name of its leases
    person_id TEXT NOT NULL,      -- whose devices are told
    source TEXT NOT NULL,         -- hook:NAME, or imap
    login TEXT NOT NULL,          -- how the source calls it
    server TEXT NOT NULL,         -- of imap: imaps://host:port, else empty
    sealed BYTES NOT NULL,        -- of imap: the password, sealed by the keeper
    state TEXT NOT NULL,          -- waiting, watched, failed
    problem TEXT NOT NULL,
    event_ms BIGINT NOT NULL,     -- the last event that went out, 0: none
    heard_ms BIGINT NOT NULL,     -- the last thing heard of the source
    created_by TEXT NOT NULL,
    created_ms BIGINT NOT NULL
);
CREATE UNIQUE INDEX mailbox_by_login ON mailbox(source, login, server);

-- What was heard last of each folder.
CREATE TABLE mailbox_folder (
    account TEXT NOT NULL REFERENCES mailbox(account) ON DELETE CASCADE,
    folder TEXT NOT NULL,
    uidvalidity BIGINT NOT NULL,
    uid BIGINT NOT NULL,
    modseq BIGINT NOT NULL,
    PRIMARY KEY (account, folder)
);

-- Events that wait, because one went out a moment ago: one a mailbox, the newest.
CREATE TABLE mailbox_wait (
    account TEXT PRIMARY KEY REFERENCES mailbox(account) ON DELETE CASCADE,
    folder TEXT NOT NULL,
    uidvalidity BIGINT NOT NULL,
    uid BIGINT NOT NULL,
    modseq BIGINT NOT NULL,
    due_ms BIGINT NOT NULL
);
CREATE INDEX mailbox_wait_due ON mailbox_wait(due_ms);

-- What devices are told, in this order.
CREATE TABLE mail_event (
    seq IDENTITY,
    device_id TEXT NOT NULL,
    account TEXT NOT NULL,
    event TEXT NOT NULL,          -- what a release of the lease is for
    folder TEXT NOT NULL,
    uidvalidity BIGINT NOT NULL,
    uid BIGINT NOT NULL,
    modseq BIGINT NOT NULL,
    created_ms BIGINT NOT NULL
);
CREATE INDEX mail_event_of_device ON mail_event(device_id, seq);
CREATE INDEX mail_event_by_time ON mail_event(created_ms);
