-- name: find_traces
-- The traces that were kept, newest first, before a place; of an argument that is null everything. $1 and $2 from and
-- until, $3 method, $4 route, $5 paths that no route matched, $6 service, $7 and $8 status, $9 errors only, $10 type of
-- the error, $11 its group, $12 any of these statements, $13 reason, $14 and $15 seconds, $16 to $19 place, $20 limit.
WITH found AS (
    SELECT *
    FROM watchglass.traces
    WHERE time >= $1 AND time < $2
        AND ($3::text IS NULL OR method = $3)
        AND ($4::text IS NULL OR (left(route, 200) = left($4, 200) AND route = $4))
        AND (NOT $5::boolean OR route IS NULL)
        AND ($6::text IS NULL OR instance_id = ANY (ARRAY(
            SELECT id FROM watchglass.instances WHERE service_name = $6
        )))
        AND ($7::integer IS NULL OR status >= $7)
        AND ($8::integer IS NULL OR status <= $8)
        AND (NOT $9::boolean OR error_type IS NOT NULL OR status >= 500)
        AND ($10::text IS NULL OR error_type = $10)
        AND ($11::text IS NULL OR error_group = $11)
        AND ($12::text[] IS NULL OR statements && $12)
        AND ($13::text IS NULL OR reason = $13)
        AND ($14::double precision IS NULL OR duration >= $14)
        AND ($15::double precision IS NULL OR duration <= $15)
        AND ($16::timestamptz IS NULL OR (time, instance_id, sequence, position)
            < ($16, $17::integer, $18::bigint, $19::integer))
    ORDER BY time DESC, instance_id DESC, sequence DESC, position DESC
    LIMIT $20
)
SELECT
    time, found.instance_id, sequence, position, trace_id, span_id, duration, name, method, route, status, error_type,
    error_group, reason, dropped_spans, service_name, service_instance_id, jsonb_array_length(spans) AS spans,
    (
        SELECT count(*) FROM jsonb_path_query(
            spans, '$[*].attributes ? (@."db.system.name" == "postgresql" || @."db.system" == "postgresql")'
        )
    ) AS statements
FROM found
LEFT JOIN watchglass.instances ON instances.id = found.instance_id
ORDER BY time DESC, found.instance_id DESC, sequence DESC, position DESC;

-- name: count_traces
-- How many traces of an endpoint of a service (null: of all) were kept in a window, counted up to a limit.
SELECT count(*) AS kept
FROM (
    SELECT
    FROM watchglass.traces
    WHERE time >= $1 AND time < $2
        AND ($3::text IS NULL OR method = $3)
        AND ($4::text IS NULL OR (left(route, 200) = left($4, 200) AND route = $4))
        AND (NOT $5::boolean OR route IS NULL)
        AND ($6::text IS NULL OR instance_id = ANY (ARRAY(
            SELECT id FROM watchglass.instances WHERE service_name = $6
        )))
    LIMIT $7
) AS counted;

-- name: trace_parts
-- The local roots of a trace, with all their spans, oldest first: at most $2, and no more once $3 bytes are reached, as
-- they are stored. The parts are looked up by the id before anything is sorted. `parts` is how many there are, up to a
-- thousand.
WITH found AS MATERIALIZED (
    SELECT * FROM watchglass.traces WHERE trace_id = $1 LIMIT 1000
), placed AS (
    SELECT
        *,
        count(*) OVER () AS parts,
        row_number() OVER oldest AS place,
        sum(pg_column_size(spans)) OVER oldest AS bytes,
        pg_column_size(spans) AS own_bytes
    FROM found
    WINDOW oldest AS (ORDER BY time, instance_id, sequence, position)
)
SELECT
    time, placed.instance_id, sequence, position, trace_id, span_id, duration, name, method, route, status, error_type,
    error_group, reason, dropped_spans, service_name, service_instance_id, host_name, spans, parts
FROM placed
LEFT JOIN watchglass.instances ON instances.id = placed.instance_id
WHERE place = 1 OR (place <= $2 AND bytes <= $3)
ORDER BY place;

-- name: pending_parts
-- The local roots of a trace that had not ended when their process last said so, `silent` seconds ago.
SELECT
    pending.instance_id, pending.trace_id, pending.span_id, name, method, route, pending.started_at, seen_at, spans,
    service_name, service_instance_id, host_name, extract(epoch FROM now() - seen_at)::float8 AS silent
FROM watchglass.pending
LEFT JOIN watchglass.instances ON instances.id = pending.instance_id
WHERE pending.trace_id = $1
ORDER BY pending.started_at, span_id
LIMIT $2;

-- name: trace_logs
-- The log lines of a trace, oldest first, of a window or (null) of all that is kept.
WITH found AS MATERIALIZED (
    SELECT *
    FROM watchglass.logs
    WHERE trace_id = $1 AND ($2::timestamptz IS NULL OR time >= $2) AND ($3::timestamptz IS NULL OR time < $3)
    LIMIT 20000
)
SELECT found.*, service_name, service_instance_id, host_name, $5::boolean AS trace_kept
FROM found
LEFT JOIN watchglass.instances ON instances.id = found.instance_id
ORDER BY time, found.instance_id, sequence, position
LIMIT $4;

-- name: statement_texts
-- Shapes of statements that hold a text, whatever its case; every one that a service's clients sent is known, of kept
-- traces and others.
SELECT DISTINCT attributes ->> 'db.query.text' AS text
FROM watchglass.series
WHERE name = $1 AND strpos(lower(attributes ->> 'db.query.text'), lower($2)) > 0
ORDER BY text
LIMIT $3;

-- name: endpoint_error_groups
-- The error groups that an endpoint's kept traces of a window have, at most $6 traces looked at.
SELECT DISTINCT error_group
FROM (
    SELECT error_group
    FROM watchglass.traces
    WHERE time >= $1 AND time < $2 AND error_group IS NOT NULL
        AND ($3::text IS NULL OR method = $3)
        AND ($4::text IS NULL OR (left(route, 200) = left($4, 200) AND route = $4))
        AND (NOT $5::boolean OR route IS NULL)
    LIMIT $6
) AS looked_at;

-- name: error_groups
-- The groups of a service's errors (null: of all) seen within a window, those seen last first; of these ids, unless that
-- is null. The trace is one that is kept still.
SELECT
    service_name, id, error_type, frame, message, stack, count, first_seen, last_seen,
    (
        SELECT encode(traces.trace_id, 'hex') FROM watchglass.traces
        WHERE traces.trace_id = groups.trace_id LIMIT 1
    ) AS trace_id
FROM watchglass.error_groups AS groups
WHERE ($3::text IS NULL OR service_name = $3) AND ($4::text[] IS NULL OR id = ANY ($4))
    AND last_seen >= $1 AND first_seen < $2
ORDER BY last_seen DESC, id
LIMIT $5;
