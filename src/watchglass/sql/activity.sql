-- name: activity_server
-- The server, and as whom it is asked. Members of pg_read_all_stats see what sessions of other roles do.
-- https://www.postgresql.org/docs/current/predefined-roles.html
SELECT
    current_setting('server_version') AS version,
    pg_is_in_recovery() AS standby,
    pg_postmaster_start_time() AS started,
    current_database()::text AS database,
    current_user::text AS role,
    quote_ident(current_user) AS quoted_role,
    pg_has_role('pg_read_all_stats', 'USAGE') AS sees_all,
    current_setting('is_superuser')::boolean AS is_superuser,
    current_setting('max_connections')::integer AS max_connections,
    current_setting('superuser_reserved_connections')::integer
        + coalesce(current_setting('reserved_connections', true)::integer, 0) AS reserved,
    current_setting('track_activities')::boolean AS tracked,
    pg_size_bytes(current_setting('track_activity_query_size')) AS longest_text;

-- name: activity_connections
-- Connections of clients of all databases, by state, and by application and user, the most first; Watchglass's own, as
-- in activity_sessions, apart. What a session of another role is, a role without pg_monitor does not see; one with a
-- database and a user is a client's, or works for one.
WITH clients AS (
    SELECT
        state, application_name, usename,
        coalesce(query, '') LIKE '%/* watchglass:%' OR coalesce(application_name, '') ~ '^watchglass( |$)'
            AND (backend_type IS NULL OR coalesce(query, '') ~* $2) AS is_ours
    FROM pg_stat_activity
    WHERE coalesce(backend_type = 'client backend', datid IS NOT NULL AND usesysid IS NOT NULL)
)
SELECT
    grouping(is_ours) = 0 AS of_state, coalesce(is_ours, false) AS is_ours, state, application_name,
    usename::text AS username, count(*) AS connections
FROM clients
GROUP BY GROUPING SETS ((is_ours, state), (application_name, usename))
ORDER BY 1 DESC, 6 DESC, 3, 4, 5
LIMIT $1;

-- name: activity_waiting
-- Who waits for a lock in this database, the longest first; for which; and who is in the way: 0 is a prepared
-- transaction. A row's lock is waited for as that of the transaction that has changed it, while the row itself is locked
-- for the first who waits. Neither pg_locks nor the database of a session is hidden. pg_blocking_pids is asked for those
-- that wait only, for it stops the lock manager for a moment.
-- https://www.postgresql.org/docs/current/view-pg-locks.html
WITH locks AS MATERIALIZED (
    SELECT * FROM pg_locks WHERE NOT granted OR locktype = 'tuple'
), waiting AS (
    SELECT DISTINCT ON (locks.pid) locks.*
    FROM locks
    JOIN pg_stat_activity AS sessions ON sessions.pid = locks.pid AND sessions.datname = current_database()
    WHERE NOT granted
    ORDER BY locks.pid, waitstart
), longest AS MATERIALIZED (
    SELECT *, count(*) OVER () AS everyone FROM waiting ORDER BY waitstart NULLS LAST, pid LIMIT $1
)
SELECT
    longest.pid, longest.locktype, longest.mode, pg_blocking_pids(longest.pid) AS blocked_by, everyone,
    extract(epoch FROM clock_timestamp() - longest.waitstart)::float8 AS seconds,
    pg_class.oid::regclass::text AS relation, relkind::text AS kind,
    longest.transactionid::text AS transaction, longest.virtualxid,
    longest.classid::bigint AS classid, longest.objid::bigint AS objid, longest.objsubid
FROM longest
LEFT JOIN LATERAL (
    SELECT locks.relation
    FROM locks
    WHERE locks.pid = longest.pid AND locks.granted AND longest.locktype = 'transactionid'
    LIMIT 1
) AS of_row ON true
LEFT JOIN pg_class ON pg_class.oid = coalesce(longest.relation, of_row.relation)
ORDER BY longest.waitstart NULLS LAST, longest.pid;

-- name: activity_sessions
-- The sessions $1, who wait or are waited for; and of the database, those that run and those that are idle in a
-- transaction, the $2 longest of each and how many there are. Who works for another in parallel is not counted.
-- Watchglass's own are known by what they sent last: a name is not enough, because behind pgbouncer a session keeps that
-- of who had it before. What the driver words itself ($3) has no mark of ours, and goes by the name.
WITH sessions AS MATERIALIZED (
    SELECT
        *,
        pid = ANY ($1::integer[]) AS is_locked,
        datname = current_database() AND pid <> pg_backend_pid() AND state IN ('active', 'fastpath function call')
            AND wait_event_type IS DISTINCT FROM 'Lock' AND leader_pid IS NULL AS is_running,
        datname = current_database() AND state LIKE 'idle in transaction%' AS is_idle,
        coalesce(query, '') LIKE '%/* watchglass:%' OR coalesce(application_name, '') ~ '^watchglass( |$)'
            AND (backend_type IS NULL OR coalesce(query, '') ~* $3) AS is_ours,
        CASE WHEN state IN ('active', 'fastpath function call') THEN query_start ELSE state_change END AS since
    FROM pg_stat_activity
), placed AS (
    SELECT
        *,
        row_number() OVER (PARTITION BY is_running ORDER BY since, pid) AS place_running,
        row_number() OVER (PARTITION BY is_idle ORDER BY since, pid) AS place_idle,
        count(*) FILTER (WHERE is_running) OVER () AS all_running,
        count(*) FILTER (WHERE is_idle) OVER () AS all_idle
    FROM sessions
)
SELECT
    pid, datname::text AS database, usename::text AS username, application_name, backend_type, backend_start, xact_start,
    host(client_addr) AS client_addr, client_hostname, client_port, state, wait_event_type, wait_event,
    extract(epoch FROM clock_timestamp() - since)::float8 AS seconds,
    extract(epoch FROM clock_timestamp() - xact_start)::float8 AS transaction_seconds,
    query, octet_length(query) AS query_bytes, is_ours, is_running, is_idle, all_running, all_idle,
    rolsuper AS of_superuser, pg_has_role(usesysid, 'USAGE') OR pg_has_role('pg_signal_backend', 'USAGE') AS may_signal
FROM placed
LEFT JOIN pg_roles ON pg_roles.oid = usesysid
WHERE is_locked OR (is_running AND place_running <= $2) OR (is_idle AND place_idle <= $2)
ORDER BY since, pid;

-- name: activity_present
-- Which of these are sessions of this server.
SELECT pid FROM pg_stat_activity WHERE pid = ANY ($1::integer[]);

-- name: activity_prepared
-- Prepared transactions, which hold locks without a session: one of those that are waited for ($1) is first, else the
-- oldest. `is_it` says whether it is known to be in the way: a lock on a table does not tell whose it is, where there are
-- several.
SELECT
    gid, owner::text AS owner, extract(epoch FROM clock_timestamp() - prepared)::float8 AS seconds,
    transaction::text = ANY ($1::text[]) OR count(*) OVER () = 1 AS is_it, count(*) OVER () AS everyone
FROM pg_prepared_xacts
WHERE database = current_database()
ORDER BY transaction::text = ANY ($1::text[]) DESC, prepared
LIMIT 1;

-- name: activity_cancel
-- Cancel what a session runs, if it is the one that began then.
SELECT pg_cancel_backend(pid) AS done
FROM pg_stat_activity
WHERE pid = $1 AND backend_start = $2 AND pid <> pg_backend_pid();

-- name: activity_terminate
-- End a session, if it is the one that began then, and wait for its end for as many milliseconds.
SELECT pg_terminate_backend(pid, $3::bigint) AS done
FROM pg_stat_activity
WHERE pid = $1 AND backend_start = $2 AND pid <> pg_backend_pid();
