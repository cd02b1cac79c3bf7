-- name: set_pending
-- Note the requests of this process that have run for a while: those given, and no others. What is as it was is written
-- anew only every few seconds: each time leaves a dead row behind.
WITH me AS (
    SELECT id FROM watchglass.instances WHERE service_instance_id = $1
), ended AS (
    DELETE FROM watchglass.pending
    WHERE instance_id = (SELECT id FROM me) AND span_id <> ALL ($3::bytea[])
)
INSERT INTO watchglass.pending AS known (
    instance_id, trace_id, span_id, name, method, route, started_at, seen_at, spans
)
SELECT me.id, running.trace_id, running.span_id, name, method, route, started_at, now(), spans::jsonb
FROM me, unnest(
    $2::bytea[], $3::bytea[], $4::text[], $5::text[], $6::text[], $7::timestamptz[], $8::text[]
) AS running (trace_id, span_id, name, method, route, started_at, spans)
ON CONFLICT (instance_id, span_id) DO UPDATE SET
    name = excluded.name, route = excluded.route, seen_at = excluded.seen_at, spans = excluded.spans
WHERE known.seen_at < now() - interval '4 seconds'
    OR (known.name, known.route) IS DISTINCT FROM (excluded.name, excluded.route);

-- name: pending
-- The requests of a service (null: of all) that were running when last seen, those that began first first; and when
-- their process was last heard of.
SELECT
    encode(trace_id, 'hex') AS trace_id, encode(span_id, 'hex') AS span_id, name, method, route,
    jsonb_array_length(spans) AS spans, extract(epoch FROM pending.started_at)::float8 AS started_at, extract(epoch FROM seen_at)::float8 AS seen_at,
    extract(epoch FROM now())::float8 AS now, service_name, service_instance_id, host_name, process_pid,
    extract(epoch FROM last_seen)::float8 AS last_seen
FROM watchglass.pending
JOIN watchglass.instances ON instances.id = instance_id
WHERE service_name = coalesce($1, service_name)
ORDER BY pending.started_at, span_id
LIMIT $2;

-- name: forget_pending
-- Forget what never ended so many days ago, and all but the newest.
DELETE FROM watchglass.pending
WHERE seen_at < now() - make_interval(days => $1) OR (instance_id, span_id) IN (
    SELECT instance_id, span_id FROM watchglass.pending ORDER BY seen_at DESC OFFSET $2
);
