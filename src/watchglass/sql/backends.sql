-- name: set_backends
-- Note the connections that this process holds: those given, and no others. $4 is for how many seconds each is open. What
-- is as it was is written anew only every few seconds: each time leaves a dead row behind.
WITH me AS (
    SELECT id FROM watchglass.instances WHERE service_instance_id = $1
), held AS (
    SELECT *
    FROM unnest($2::integer[], $3::text[], $4::float8[], $5::bytea[], $6::bytea[], $7::text[], $8::boolean[])
        AS held (pid, database, age, trace_id, span_id, endpoint, request_ended)
), given_back AS (
    DELETE FROM watchglass.backends AS known
    WHERE instance_id = (SELECT id FROM me)
        AND NOT EXISTS (SELECT FROM held WHERE held.pid = known.pid AND held.database = known.database)
)
INSERT INTO watchglass.backends AS known (
    instance_id, pid, database, connected_at, trace_id, span_id, endpoint, request_ended, seen_at
)
SELECT me.id, pid, database, now() - make_interval(secs => age), trace_id, span_id, endpoint, request_ended, now()
FROM me, held
ON CONFLICT (instance_id, pid, database) DO UPDATE SET
    connected_at = excluded.connected_at, trace_id = excluded.trace_id, span_id = excluded.span_id,
    endpoint = excluded.endpoint, request_ended = excluded.request_ended, seen_at = excluded.seen_at
WHERE known.seen_at < now() - interval '4 seconds'
    OR (known.span_id, known.endpoint, known.request_ended)
        IS DISTINCT FROM (excluded.span_id, excluded.endpoint, excluded.request_ended);

-- name: held_backends
-- The connections that processes hold to databases of these names, as they said within so many seconds.
SELECT
    pid, connected_at, encode(trace_id, 'hex') AS trace_id, endpoint, request_ended, seen_at, service_name,
    service_instance_id, host_name, process_pid
FROM watchglass.backends
JOIN watchglass.instances ON instances.id = instance_id
WHERE database = ANY ($1::text[]) AND seen_at > now() - make_interval(secs => $2)
ORDER BY seen_at DESC, instance_id, pid
LIMIT $3;

-- name: forget_backends
-- Forget what processes held that are dead.
DELETE FROM watchglass.backends WHERE seen_at < now() - interval '1 hour';
