-- A look through the trace goes by number, newest first, whatever it looks for: no statement used
-- this index, and every request wrote one of its pages.
DROP INDEX scep_trace_by_transaction;
