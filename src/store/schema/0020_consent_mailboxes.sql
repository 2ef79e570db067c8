-- A consent names the person's mailboxes, which officers sign too (record cofferDL, version 2). What
-- was asked for without them is asked for anew.

ALTER TABLE mail_consent ADD COLUMN mailboxes TEXT NOT NULL DEFAULT '';
UPDATE mail_consent SET state = 'void' WHERE state IN ('waiting', 'given');
