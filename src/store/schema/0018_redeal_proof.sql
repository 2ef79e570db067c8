-- Officers of a set who said that what was dealt anew to them opens. Until as many did as the set
-- demands, the shares of the set before are kept: they are the only way back from a wrong dealing.

CREATE TABLE redeal_proof (
    to_epoch BIGINT NOT NULL REFERENCES officer_set(epoch),
    officer_id TEXT NOT NULL,
    created_ms BIGINT NOT NULL,
    PRIMARY KEY (to_epoch, officer_id)
);
