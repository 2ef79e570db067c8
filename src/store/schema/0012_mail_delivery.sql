-- How far a person's mail keys came on each of his devices. The profile itself is encrypted to the
-- device by the keeper; it is kept while its command is open, so that a device that is busy gets the
-- same one again.

CREATE TABLE mail_delivery (
    device_id TEXT PRIMARY KEY REFERENCES device(id),
    person_id TEXT NOT NULL,
    state TEXT NOT NULL,                   -- due, queued, sent, delivered, waiting, refused, failed
    why TEXT NOT NULL,                     -- of waiting, refused, failed
    command_uuid TEXT NOT NULL,            -- the last command, or empty
    wanted_seq BIGINT NOT NULL,            -- escrow_object.seq of the newest key it shall have
    sent_seq BIGINT NOT NULL,              -- of the newest key in the profile that was sent
    sent_keys BIGINT NOT NULL,
    held_seq BIGINT NOT NULL,              -- the same of the profile that it acknowledged; 0: none yet
    held_keys BIGINT NOT NULL,
    profile BYTES NOT NULL,                -- ciphertext, or empty
    certificate BYTES NOT NULL,            -- fingerprint of the identity that the profile is encrypted to
    tries BIGINT NOT NULL,                 -- failures since the last success
    due_ms BIGINT NOT NULL,                -- when a command is to be queued; 0: never
    changed_ms BIGINT NOT NULL
);
CREATE INDEX mail_delivery_due ON mail_delivery(due_ms) WHERE due_ms > 0;
CREATE INDEX mail_delivery_by_person ON mail_delivery(person_id);

-- Devices that enrolled before have the keys of that day in their management profile.
INSERT INTO mail_delivery (device_id, person_id, state, why, command_uuid, wanted_seq, sent_seq,
                           sent_keys, held_seq, held_keys, profile, certificate, tries, due_ms, changed_ms)
SELECT d.id, d.person_id, 'due', '', '', max(o.seq), 0, 0, 0, 0, '', '', 0, 1, 0
  FROM device d JOIN escrow_object o ON o.owner = d.person_id
 WHERE d.state = 'enrolled' AND o.kind = 'smime-key' AND o.officers_only = 0
 GROUP BY d.id, d.person_id;
