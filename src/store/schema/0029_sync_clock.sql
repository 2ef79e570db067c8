-- How far the clock was by which synced files become old: it goes on from there, whatever the time of day is said to be.
CREATE TABLE sync_clock (
    id BIGINT PRIMARY KEY CHECK (id = 1),
    now_ms BIGINT NOT NULL
);
