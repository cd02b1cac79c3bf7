-- name: logs_before
-- Log lines of a span that come before a place (time, instance_id, sequence, position), the newest first. What is null is
-- not asked for: severity (at least), processes, logger, text (a pattern), place.
WITH page AS (
    SELECT *
    FROM watchglass.logs
    WHERE time >= $1 AND time < $2
        AND ($3::timestamptz IS NULL OR (time, instance_id, sequence, position) < ($3, $4::integer, $5::bigint, $6::integer))
        AND ($7::integer IS NULL OR severity >= $7)
        AND ($8::integer[] IS NULL OR instance_id = ANY ($8))
        AND ($9::text IS NULL OR (left(logger, 200) = left($9, 200) AND logger = $9))
        AND ($10::text IS NULL OR message ILIKE $10 OR exception ILIKE $10)
    ORDER BY time DESC, instance_id DESC, sequence DESC, position DESC
    LIMIT $11
)
SELECT page.*, service_name, service_instance_id, host_name
FROM page
LEFT JOIN watchglass.instances ON id = instance_id
ORDER BY time DESC, instance_id DESC, sequence DESC, position DESC;

-- name: logs_after
-- The same of what comes after the place, the oldest first.
WITH page AS (
    SELECT *
    FROM watchglass.logs
    WHERE time >= $1 AND time < $2
        AND ($3::timestamptz IS NULL OR (time, instance_id, sequence, position) > ($3, $4::integer, $5::bigint, $6::integer))
        AND ($7::integer IS NULL OR severity >= $7)
        AND ($8::integer[] IS NULL OR instance_id = ANY ($8))
        AND ($9::text IS NULL OR (left(logger, 200) = left($9, 200) AND logger = $9))
        AND ($10::text IS NULL OR message ILIKE $10 OR exception ILIKE $10)
    ORDER BY time, instance_id, sequence, position
    LIMIT $11
)
SELECT page.*, service_name, service_instance_id, host_name
FROM page
LEFT JOIN watchglass.instances ON id = instance_id
ORDER BY time, instance_id, sequence, position;

-- name: logs_of_trace_before
-- The same as logs_before, of one trace ($11): its lines are few, and are found before anything else is asked of them.
WITH trace AS MATERIALIZED (
    SELECT * FROM watchglass.logs WHERE trace_id = $11 AND time >= $1 AND time < $2
)
SELECT trace.*, service_name, service_instance_id, host_name
FROM trace
LEFT JOIN watchglass.instances ON id = instance_id
WHERE ($3::timestamptz IS NULL OR (time, instance_id, sequence, position) < ($3, $4::integer, $5::bigint, $6::integer))
    AND ($7::integer IS NULL OR severity >= $7)
    AND ($8::integer[] IS NULL OR instance_id = ANY ($8))
    AND ($9::text IS NULL OR logger = $9)
    AND ($10::text IS NULL OR message ILIKE $10 OR exception ILIKE $10)
ORDER BY time DESC, instance_id DESC, sequence DESC, position DESC
LIMIT $12;

-- name: logs_of_trace_after
-- The same of what comes after the place, the oldest first.
WITH trace AS MATERIALIZED (
    SELECT * FROM watchglass.logs WHERE trace_id = $11 AND time >= $1 AND time < $2
)
SELECT trace.*, service_name, service_instance_id, host_name
FROM trace
LEFT JOIN watchglass.instances ON id = instance_id
WHERE ($3::timestamptz IS NULL OR (time, instance_id, sequence, position) > ($3, $4::integer, $5::bigint, $6::integer))
    AND ($7::integer IS NULL OR severity >= $7)
    AND ($8::integer[] IS NULL OR instance_id = ANY ($8))
    AND ($9::text IS NULL OR logger = $9)
    AND ($10::text IS NULL OR message ILIKE $10 OR exception ILIKE $10)
ORDER BY time, instance_id, sequence, position
LIMIT $12;

-- name: log_writers
-- The processes of a service ($1), or the one of an instance ($2), that lived within a span, give or take a day; and
-- whether these are all that did.
SELECT array_agg(id) FILTER (WHERE asked) AS ids, coalesce(bool_and(asked), false) AS everyone
FROM (
    SELECT id, service_name = coalesce($1, service_name) AND service_instance_id = coalesce($2, service_instance_id) AS asked
    FROM watchglass.instances
    WHERE started_at < $4::timestamptz + interval '1 day' AND last_seen >= $3::timestamptz - interval '1 day'
) AS alive;

-- name: text_is_indexed
-- Whether every partition of the logs within a span that holds anything has an index by which text is found.
SELECT coalesce(bool_and(EXISTS (
    SELECT FROM pg_index JOIN pg_opclass ON pg_opclass.oid = ANY (indclass)
    WHERE indrelid = relation AND indisvalid AND opcname = 'gin_trgm_ops'
)), true) AS indexed
FROM watchglass.partitions()
WHERE parent = 'logs' AND upper > $1 AND lower < $2 AND pg_relation_size(relation) > 0;

-- name: kept_traces
-- Which of these traces were kept: one whose line is of a time began in the hour before it.
SELECT DISTINCT asked.trace_id
FROM unnest($1::bytea[], $2::timestamptz[]) AS asked (trace_id, time)
WHERE EXISTS (
    SELECT FROM watchglass.traces
    WHERE traces.trace_id = asked.trace_id
        AND traces.time BETWEEN $3::timestamptz - interval '1 hour' AND $4::timestamptz + interval '1 minute'
        AND traces.time BETWEEN asked.time - interval '1 hour' AND asked.time + interval '1 minute'
);

-- name: trimmed
-- What went before its time, because its table had reached its limit in bytes: up to when.
SELECT extract(epoch FROM until)::float8 AS until, limit_bytes FROM watchglass.trimmed WHERE name = $1;
