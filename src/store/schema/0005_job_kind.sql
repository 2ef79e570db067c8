-- Each kind of job has a worker of its own, which must find its next one without looking at the
-- others': a hundred thousand pushes may wait beside one mail.
DROP INDEX job_due;
CREATE INDEX job_due_by_kind ON job(kind, dead, due_ms);
