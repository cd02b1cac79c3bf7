-- name: snapshot_database
-- The cumulative figures of the connected database, its size and its server's limit.
-- https://www.postgresql.org/docs/current/monitoring-stats.html#MONITORING-PG-STAT-DATABASE-VIEW
SELECT
    current_setting('server_version') AS version,
    current_setting('max_connections')::integer AS max_connections,
    pg_database_size(datid) AS size,
    xact_commit, xact_rollback, blks_hit, blks_read, deadlocks, stats_reset
FROM pg_stat_database
WHERE datname = current_database();

-- name: snapshot_backends
-- Connections of clients to the database by state. Of other roles' sessions a role without pg_monitor sees that they are
-- there, not their state; a session without a visible state is counted under null.
SELECT state, count(*) AS backends, current_user::text AS role
FROM pg_stat_activity
WHERE datname = current_database() AND coalesce(backend_type, 'client backend') = 'client backend'
GROUP BY state;
