-- name: pressing
-- How many sessions of this database have waited for a lock for $1 seconds or longer, and how many connections of those
-- that applications may open are used. It is asked every few seconds: not for who is in the way, which stops the lock
-- manager.
SELECT
    (
        SELECT count(DISTINCT pid)
        FROM pg_locks
        JOIN pg_stat_activity USING (pid)
        WHERE NOT granted AND waitstart <= clock_timestamp() - make_interval(secs => $1)
            AND datname = current_database()
    ) AS waiting,
    (
        SELECT count(*)
        FROM pg_stat_activity
        WHERE coalesce(backend_type = 'client backend', datid IS NOT NULL AND usesysid IS NOT NULL)
    ) AS used,
    greatest(
        current_setting('max_connections')::integer - current_setting('superuser_reserved_connections')::integer
            - coalesce(current_setting('reserved_connections', true)::integer, 0),
        1
    ) AS usable;
