-- How many of his shares an officer was handed for drills of his own, on the day (UTC) he was last
-- handed some: what he keeps of them he can open later, so they are counted.

CREATE TABLE officer_sample (
    officer_id TEXT PRIMARY KEY,
    day BIGINT NOT NULL,                   -- since 1970
    objects BIGINT NOT NULL
);
