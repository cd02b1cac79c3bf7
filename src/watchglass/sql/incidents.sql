-- name: add_incident
-- Keep an incident of this process, once.
INSERT INTO watchglass.incidents (
    id, time, service_name, instance_id, reason, title, window_start, window_end, content
)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)
ON CONFLICT DO NOTHING;

-- name: incidents
-- The incidents of a service (null: of all) within a window, newest first, without their content.
SELECT
    incidents.id, reason, title, incidents.service_name, service_instance_id, host_name, process_pid,
    extract(epoch FROM time)::float8 AS time,
    extract(epoch FROM window_start)::float8 AS window_start, extract(epoch FROM window_end)::float8 AS window_end,
    pg_column_size(content) AS bytes
FROM watchglass.incidents
LEFT JOIN watchglass.instances ON instances.id = incidents.instance_id
WHERE incidents.service_name = coalesce($1, incidents.service_name)
    AND time >= to_timestamp($2::float8) AND time < to_timestamp($3::float8)
ORDER BY incidents.time DESC, incidents.id
LIMIT $4;

-- name: incident
-- One incident of a service (null: of any), with its content.
SELECT
    incidents.id, reason, title, incidents.service_name, service_instance_id, host_name, process_pid,
    extract(epoch FROM time)::float8 AS time,
    extract(epoch FROM window_start)::float8 AS window_start, extract(epoch FROM window_end)::float8 AS window_end,
    pg_column_size(content) AS bytes, content
FROM watchglass.incidents
LEFT JOIN watchglass.instances ON instances.id = incidents.instance_id
WHERE incidents.service_name = coalesce($1, incidents.service_name) AND incidents.id = $2;

-- name: forget_incidents
-- Forget incidents of a service that are older than so many days, all but the newest, and all but the newest that an
-- ended process left.
DELETE FROM watchglass.incidents
WHERE service_name = $1 AND (time < now() - make_interval(days => $2) OR id IN (
    SELECT id
    FROM (
        SELECT
            id, reason,
            row_number() OVER (ORDER BY time DESC, id) AS place,
            row_number() OVER (PARTITION BY reason ORDER BY time DESC, id) AS of_reason
        FROM watchglass.incidents
        WHERE service_name = $1
    ) AS placed
    WHERE place > $3 OR (reason = 'sigterm' AND of_reason > $4)
));

-- name: running_statements
-- What the clients of the connected database are executing, or hold a transaction open after, longest first.
SELECT
    pid, state, wait_event_type, wait_event, application_name, query,
    extract(epoch FROM clock_timestamp() - query_start)::float8 AS seconds,
    extract(epoch FROM clock_timestamp() - xact_start)::float8 AS transaction_seconds,
    pg_blocking_pids(pid) AS blocked_by
FROM pg_stat_activity
WHERE datname = current_database() AND pid <> pg_backend_pid() AND state <> 'idle'
    AND application_name NOT LIKE 'watchglass %'
ORDER BY query_start
LIMIT 100;
