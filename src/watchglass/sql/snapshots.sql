-- name: snapshot_database
-- The cumulative figures of the connected database and its server's limit. Its size, where it is wanted ($1): PostgreSQL
-- looks at every file for it.
-- https://www.postgresql.org/docs/current/monitoring-stats.html#MONITORING-PG-STAT-DATABASE-VIEW
SELECT
    current_setting('server_version') AS version,
    current_setting('server_version_num')::integer / 10000 AS major,
    current_setting('max_connections')::integer AS max_connections,
    CASE WHEN $1::boolean THEN pg_database_size(datid) END AS size,
    xact_commit, xact_rollback, blks_hit, blks_read, deadlocks, temp_files, temp_bytes, stats_reset
FROM pg_stat_database
WHERE datname = current_database();

-- name: snapshot_backends
-- Connections of clients to the database by state. Of other roles' sessions a role without pg_monitor sees that they are
-- there, not their state; a session without a visible state is counted under null.
SELECT state, count(*) AS backends, current_user::text AS role
FROM pg_stat_activity
WHERE datname = current_database() AND coalesce(backend_type, 'client backend') = 'client backend'
GROUP BY state;
