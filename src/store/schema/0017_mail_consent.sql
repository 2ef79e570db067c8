-- Officers' consent to the delivery of a person's mail keys to a device that never got them. What they
-- sign (record cofferDL) is made of person, certificate, epoch and expires; the keeper checks it.

CREATE TABLE mail_consent (
    seq IDENTITY,
    id TEXT NOT NULL UNIQUE,               -- 32 hex digits
    device_id TEXT NOT NULL REFERENCES device(id),
    person_id TEXT NOT NULL,
    certificate BYTES NOT NULL,            -- fingerprint of the identity that the device spoke with
    epoch BIGINT NOT NULL,                 -- of the officers' set that is asked
    expires BIGINT NOT NULL,               -- seconds
    state TEXT NOT NULL,                   -- waiting, given, used, denied, void
    consents BIGINT NOT NULL,
    created_ms BIGINT NOT NULL,
    decided_ms BIGINT NOT NULL             -- 0: not yet
);
CREATE INDEX mail_consent_by_device ON mail_consent(device_id, state);
CREATE INDEX mail_consent_by_state ON mail_consent(state, seq);

CREATE TABLE mail_consent_answer (
    consent_id TEXT NOT NULL REFERENCES mail_consent(id),
    officer_id TEXT NOT NULL,
    person_id TEXT NOT NULL,
    approved BIGINT NOT NULL,
    record BYTES NOT NULL,                 -- cofferSG, or empty
    reason TEXT NOT NULL,                  -- of a denial
    created_ms BIGINT NOT NULL,
    PRIMARY KEY (consent_id, officer_id)
);
