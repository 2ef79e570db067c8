-- Whose hands a credential went through: who made a token or set a password in another's name could
-- act as that person, and so must not answer what is asked in that name.

-- maker: the person behind whoever made it, or empty. not_hers: it was made with the instance's own
-- token, without its person's password; so were all that are older than this.
ALTER TABLE api_token ADD COLUMN maker TEXT NOT NULL DEFAULT '';
ALTER TABLE api_token ADD COLUMN not_hers BIGINT NOT NULL DEFAULT 1;

CREATE TABLE credential_hand (
    person_id TEXT NOT NULL,
    hand TEXT NOT NULL,                    -- id of the person who had a credential of person_id
    what TEXT NOT NULL,                    -- account, password, token: the latest
    created_ms BIGINT NOT NULL,
    PRIMARY KEY (person_id, hand)
);
