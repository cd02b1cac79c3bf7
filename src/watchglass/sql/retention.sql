-- name: drop_expired_partition
-- Drop one partition in which everything is older than so many days of metrics, of logs and traces; null: there is none.
SELECT watchglass.drop_expired_partition($1, $2) AS dropped;

-- name: forget_batches
-- Shorten the ledger; no process sends a batch again after two days.
DELETE FROM watchglass.batches WHERE written_at < now() - interval '2 days';

-- name: forget_instances
-- Forget processes of which nothing is kept any more.
DELETE FROM watchglass.instances WHERE last_seen < now() - make_interval(days => $1 + 1);
