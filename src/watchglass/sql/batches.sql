-- name: add_instance
-- Make this process known and return its number here.
INSERT INTO watchglass.instances AS known (
    service_instance_id, service_name, service_namespace, service_version, host_name, process_pid, started_at, last_seen
)
VALUES ($1, $2, $3, $4, $5, $6, to_timestamp($7::float8), to_timestamp($7::float8))
ON CONFLICT (service_instance_id) DO UPDATE SET service_version = excluded.service_version
RETURNING id;

-- name: writable
-- The encoding of the database, its clock, and the spans of the partitions of each table, in order.
SELECT
    getdatabaseencoding() AS encoding,
    clock_timestamp() AS now,
    parent,
    array_agg(lower ORDER BY lower) AS lowers,
    array_agg(upper ORDER BY lower) AS uppers
FROM watchglass.partitions()
GROUP BY parent;

-- name: create_partitions
-- Have partitions for what comes next; says how many were missing.
SELECT watchglass.create_partitions() AS created;

-- name: add_batch
-- Enter a batch into the ledger and return the oldest writer the store takes, and its clock; no row when the batch is
-- there already.
INSERT INTO watchglass.batches (instance_id, sequence, points, logs, traces)
VALUES ($1, $2, $3, $4, $5)
ON CONFLICT DO NOTHING
RETURNING (SELECT max(min_writer) FROM watchglass.migrations) AS min_writer, clock_timestamp() AS now;

-- name: leave_batch
-- Take a batch back that was entered in this transaction: there is something to do before it.
DELETE FROM watchglass.batches WHERE instance_id = $1 AND sequence = $2;

-- name: seen
-- Note how far the metrics of this process reach.
UPDATE watchglass.instances SET last_seen = greatest(last_seen, $2) WHERE id = $1;
