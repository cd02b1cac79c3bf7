-- name: health_server
-- What health is judged by: settings, the role and what it may see, and what the database counted of itself. The size is
-- that of the last VACUUM or ANALYZE of each table; work_mem is the role's, not that of this question. An ordinary role
-- sees no worker of autovacuum.
-- https://www.postgresql.org/docs/current/monitoring-stats.html#MONITORING-PG-STAT-DATABASE-VIEW
SELECT
    current_setting('server_version_num')::integer / 10000 AS major,
    pg_catalog.pg_is_in_recovery() AS standby,
    quote_ident(current_user) AS role,
    pg_catalog.pg_has_role(current_user, 'pg_read_all_stats', 'USAGE') AS sees_all,
    current_setting('autovacuum')::boolean AND current_setting('track_counts')::boolean AS autovacuum,
    current_setting('autovacuum_max_workers')::integer AS most_workers,
    (SELECT count(*) FROM pg_catalog.pg_stat_activity WHERE backend_type = 'autovacuum worker') AS workers,
    current_setting('autovacuum_freeze_max_age')::bigint AS freeze_max_age,
    current_setting('autovacuum_multixact_freeze_max_age')::bigint AS multixact_freeze_max_age,
    pg_catalog.pg_size_bytes(current_setting('max_wal_size')) AS max_wal_size,
    (SELECT setting::integer FROM pg_catalog.pg_settings WHERE name = 'checkpoint_timeout') AS checkpoint_seconds,
    pg_catalog.pg_size_bytes(current_setting('shared_buffers')) AS shared_buffers,
    (SELECT reset_val::bigint * 1024 FROM pg_catalog.pg_settings WHERE name = 'work_mem') AS work_mem,
    current_setting('block_size')::integer AS block_size,
    coalesce(
        pg_catalog.inet_server_addr() <<= '127.0.0.0/8'::inet OR pg_catalog.inet_server_addr() = '::1'::inet, true
    ) AS local,
    (
        SELECT coalesce(sum(greatest(relpages, 0)), 0)::bigint * current_setting('block_size')::bigint
        FROM pg_catalog.pg_class
    ) AS estimated_size,
    d.blks_hit, d.blks_read, d.temp_files, d.temp_bytes, d.deadlocks,
    extract(epoch FROM coalesce(d.stats_reset, pg_catalog.pg_postmaster_start_time()))::double precision
        AS counted_since,
    extract(epoch FROM now())::double precision AS now
FROM pg_catalog.pg_stat_database d
WHERE d.datname = current_database();

-- name: health_reads
-- The tables whose blocks, with those of their indexes, came from outside of the buffer cache most often.
-- https://www.postgresql.org/docs/current/monitoring-stats.html#MONITORING-PG-STATIO-ALL-TABLES-VIEW
SELECT
    pg_catalog.format('%I.%I', n.nspname, most.relname) AS "table",
    most.pages * current_setting('block_size')::bigint AS bytes,
    (most.fetched - most.hit + indexes.fetched - indexes.hit)::bigint AS blocks_read,
    (most.hit + indexes.hit)::bigint AS blocks_hit
FROM (
    SELECT c.oid, c.relname, c.relnamespace, greatest(c.relpages, 0)::bigint AS pages, io.fetched, io.hit
    FROM pg_catalog.pg_class c
    CROSS JOIN LATERAL (
        SELECT pg_catalog.pg_stat_get_blocks_fetched(c.oid) AS fetched, pg_catalog.pg_stat_get_blocks_hit(c.oid) AS hit
    ) AS io
    WHERE c.relkind IN ('r', 'm') AND io.fetched > io.hit
        AND c.relnamespace NOT IN ('pg_catalog'::regnamespace, 'information_schema'::regnamespace)
    ORDER BY io.fetched - io.hit DESC
    LIMIT 100
) AS most
JOIN pg_catalog.pg_namespace n ON n.oid = most.relnamespace
CROSS JOIN LATERAL (
    SELECT
        coalesce(sum(pg_catalog.pg_stat_get_blocks_fetched(i.indexrelid)), 0) AS fetched,
        coalesce(sum(pg_catalog.pg_stat_get_blocks_hit(i.indexrelid)), 0) AS hit
    FROM pg_catalog.pg_index i
    WHERE i.indrelid = most.oid
) AS indexes
ORDER BY blocks_read DESC
LIMIT $1;

-- name: health_dead_tuples
-- Tables with dead rows beside the number at which autovacuum begins on them, by their own settings or the server's: the
-- furthest beyond it first, out of the thousand with most dead rows. `owner` is the table whose TOAST it is.
-- https://www.postgresql.org/docs/current/routine-vacuuming.html#AUTOVACUUM
SELECT
    pg_catalog.format('%I.%I', coalesce(m.nspname, n.nspname), coalesce(owner.relname, most.relname)) AS "table",
    owner.oid IS NOT NULL AS toast, most.dead, most.live, limits.threshold, limits.enabled, limits.own,
    greatest(most.relpages, 0)::bigint * current_setting('block_size')::bigint AS bytes,
    extract(epoch FROM pg_catalog.pg_stat_get_last_autovacuum_time(most.oid))::double precision AS autovacuumed_at,
    extract(epoch FROM pg_catalog.pg_stat_get_last_vacuum_time(most.oid))::double precision AS vacuumed_at,
    count(*) OVER () AS tables
FROM (
    SELECT c.oid, c.relname, c.relnamespace, c.relkind, c.relpages, c.reltuples, c.reloptions, counted.dead,
        pg_catalog.pg_stat_get_live_tuples(c.oid) AS live
    FROM pg_catalog.pg_class c
    CROSS JOIN LATERAL (SELECT pg_catalog.pg_stat_get_dead_tuples(c.oid) AS dead) AS counted
    WHERE c.relkind IN ('r', 'm', 't') AND c.relpersistence <> 't' AND counted.dead > 0
    ORDER BY counted.dead DESC
    LIMIT 1000
) AS most
JOIN pg_catalog.pg_namespace n ON n.oid = most.relnamespace
LEFT JOIN pg_catalog.pg_class owner ON most.relkind = 't' AND owner.reltoastrelid = most.oid
LEFT JOIN pg_catalog.pg_namespace m ON m.oid = owner.relnamespace
CROSS JOIN LATERAL (
    SELECT
        max(option_value) FILTER (WHERE option_name = 'autovacuum_enabled') AS enabled,
        max(option_value) FILTER (WHERE option_name = 'autovacuum_vacuum_threshold') AS threshold,
        max(option_value) FILTER (WHERE option_name = 'autovacuum_vacuum_scale_factor') AS scale,
        max(option_value) FILTER (WHERE option_name = 'autovacuum_vacuum_max_threshold') AS most
    FROM pg_catalog.pg_options_to_table(most.reloptions)
) AS options
CROSS JOIN LATERAL (
    SELECT
        coalesce(options.enabled::boolean, true) AS enabled,
        coalesce(options.threshold, options.scale, options.most) IS NOT NULL AS own,
        coalesce(options.threshold, current_setting('autovacuum_vacuum_threshold'))::double precision
            + coalesce(options.scale, current_setting('autovacuum_vacuum_scale_factor'))::double precision
            * greatest(most.reltuples, 0) AS calculated,
        nullif(coalesce(options.most, current_setting('autovacuum_vacuum_max_threshold', true)), '-1')::double precision
            AS most
) AS found
CROSS JOIN LATERAL (
    SELECT found.enabled, found.own, least(found.calculated, found.most) AS threshold
) AS limits
ORDER BY most.dead / greatest(limits.threshold, 1) DESC
LIMIT $1;

-- name: health_vacuums
-- The vacuums that run in this database. Of other roles' ones, autovacuum's too, an ordinary role sees the process alone.
-- https://www.postgresql.org/docs/current/progress-reporting.html#VACUUM-PROGRESS-REPORTING
SELECT
    p.pid, quote_ident(n.nspname) || '.' || quote_ident(c.relname) AS "table", p.phase,
    p.heap_blks_total AS pages, p.heap_blks_scanned AS scanned, p.heap_blks_vacuumed AS vacuumed,
    a.backend_type = 'autovacuum worker' AS automatic,
    extract(epoch FROM clock_timestamp() - a.xact_start)::double precision AS seconds
FROM pg_catalog.pg_stat_progress_vacuum p
LEFT JOIN pg_catalog.pg_stat_activity a ON a.pid = p.pid
LEFT JOIN pg_catalog.pg_class c ON c.oid = p.relid
LEFT JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
WHERE p.datname = current_database()
ORDER BY a.xact_start NULLS LAST, p.pid
LIMIT $1;

-- name: health_horizon
-- What keeps vacuum from removing dead rows of this database, those that keep most first: transactions, prepared ones,
-- replicas that say what they read, and replication slots. `transactions` is how many have begun since. Of other roles'
-- sessions an ordinary role does not see this.
-- https://www.postgresql.org/docs/current/routine-vacuuming.html#VACUUM-FOR-SPACE-RECOVERY
SELECT kind, name, who, detail, seconds, began, transactions
FROM (
    SELECT
        CASE backend_type WHEN 'walsender' THEN 'replica' ELSE 'session' END AS kind,
        pid::text AS name, concat_ws(', ', usename, nullif(application_name, '')) AS who, state AS detail,
        extract(epoch FROM clock_timestamp() - xact_start)::double precision AS seconds,
        extract(epoch FROM xact_start)::double precision AS began,
        greatest(age(backend_xid), age(backend_xmin)) AS transactions
    FROM pg_catalog.pg_stat_activity
    WHERE pid <> pg_catalog.pg_backend_pid() AND coalesce(backend_xid, backend_xmin) IS NOT NULL
        AND (datname = current_database() AND backend_type = 'client backend' OR backend_type = 'walsender')
        AND pid NOT IN (SELECT pid FROM pg_catalog.pg_stat_progress_vacuum WHERE pid IS NOT NULL)
    UNION ALL
    SELECT
        'prepared', gid, owner::text, NULL,
        extract(epoch FROM clock_timestamp() - prepared)::double precision,
        extract(epoch FROM prepared)::double precision, age(transaction)
    FROM pg_catalog.pg_prepared_xacts
    WHERE database = current_database()
    UNION ALL
    SELECT
        'slot', slot_name::text, slot_type, CASE WHEN active THEN 'active' ELSE 'nobody uses it' END,
        NULL, NULL, greatest(age(xmin), age(catalog_xmin))
    FROM pg_catalog.pg_replication_slots
    WHERE coalesce(xmin, catalog_xmin) IS NOT NULL AND coalesce(database, current_database()) = current_database()
) AS holding
ORDER BY transactions DESC NULLS LAST, seconds DESC NULLS LAST
LIMIT $1;

-- name: health_sizes
-- The largest tables, out of the hundred that are largest by what VACUUM and the statistics say: only these are measured.
-- One that somebody locks for himself alone, or is about to, is left out: measuring it would wait.
-- https://www.postgresql.org/docs/current/functions-admin.html#FUNCTIONS-ADMIN-DBSIZE
WITH locked AS (
    SELECT l.relation AS oid
    FROM pg_catalog.pg_locks l
    WHERE l.locktype = 'relation' AND l.mode = 'AccessExclusiveLock'
        AND l.database = (SELECT oid FROM pg_catalog.pg_database WHERE datname = current_database())
),
largest AS MATERIALIZED (
    SELECT c.oid, c.relname, c.relnamespace, pg_catalog.pg_stat_get_live_tuples(c.oid) AS live
    FROM pg_catalog.pg_class c
    LEFT JOIN pg_catalog.pg_class t ON t.oid = c.reltoastrelid
    WHERE c.relkind IN ('r', 'm') AND c.relpersistence <> 't'
        AND c.relnamespace NOT IN ('pg_catalog'::regnamespace, 'information_schema'::regnamespace)
        AND c.oid NOT IN (SELECT oid FROM locked)
        AND c.oid NOT IN (
            SELECT i.indrelid FROM pg_catalog.pg_index i JOIN locked ON locked.oid = i.indexrelid
        )
    ORDER BY greatest(
        greatest(c.relpages, 0) + coalesce(greatest(t.relpages, 0), 0), pg_catalog.pg_stat_get_live_tuples(c.oid) / 50
    ) DESC
    LIMIT 100
)
SELECT
    pg_catalog.format('%I.%I', n.nspname, largest.relname) AS "table", largest.live,
    size.table_bytes, size.index_bytes
FROM largest
JOIN pg_catalog.pg_namespace n ON n.oid = largest.relnamespace
CROSS JOIN LATERAL (
    SELECT
        coalesce(pg_catalog.pg_table_size(largest.oid), 0) AS table_bytes,
        coalesce(pg_catalog.pg_indexes_size(largest.oid), 0) AS index_bytes
) AS size
ORDER BY size.table_bytes + size.index_bytes DESC
LIMIT $1;

-- name: health_wraparound_databases
-- How many transactions ago rows of each database were frozen last, and multixacts.
-- https://www.postgresql.org/docs/current/routine-vacuuming.html#VACUUM-FOR-WRAPAROUND
SELECT
    datname::text AS name, datname = current_database() AS own, age(datfrozenxid)::bigint AS transactions,
    pg_catalog.mxid_age(datminmxid)::bigint AS multixacts
FROM pg_catalog.pg_database
ORDER BY greatest(age(datfrozenxid), pg_catalog.mxid_age(datminmxid)) DESC
LIMIT $1;

-- name: health_wraparound_tables
-- The same of this database's tables, the nearest to where autovacuum has to freeze them first: by the table's own setting
-- where it is lower than the server's.
SELECT
    pg_catalog.format('%I.%I', coalesce(m.nspname, n.nspname), coalesce(owner.relname, oldest.relname)) AS "table",
    owner.oid IS NOT NULL AS toast, oldest.transactions, oldest.multixacts, oldest.freeze_max_age,
    greatest(oldest.relpages, 0)::bigint * current_setting('block_size')::bigint AS bytes,
    extract(epoch FROM greatest(
        pg_catalog.pg_stat_get_last_autovacuum_time(oldest.oid), pg_catalog.pg_stat_get_last_vacuum_time(oldest.oid)
    ))::double precision AS vacuumed_at
FROM (
    SELECT
        c.oid, c.relname, c.relnamespace, c.relkind, c.relpages, age(c.relfrozenxid)::bigint AS transactions,
        pg_catalog.mxid_age(c.relminmxid)::bigint AS multixacts, limits.freeze_max_age
    FROM pg_catalog.pg_class c
    CROSS JOIN LATERAL (
        SELECT least(
            current_setting('autovacuum_freeze_max_age')::bigint,
            (
                SELECT max(option_value)::bigint FROM pg_catalog.pg_options_to_table(c.reloptions)
                WHERE option_name = 'autovacuum_freeze_max_age'
            )
        ) AS freeze_max_age
    ) AS limits
    WHERE c.relkind IN ('r', 'm', 't') AND c.relpersistence <> 't' AND c.relfrozenxid <> '0'::xid
    ORDER BY age(c.relfrozenxid)::double precision / greatest(limits.freeze_max_age, 1) DESC, c.relpages DESC
    LIMIT $1
) AS oldest
JOIN pg_catalog.pg_namespace n ON n.oid = oldest.relnamespace
LEFT JOIN pg_catalog.pg_class owner ON oldest.relkind = 't' AND owner.reltoastrelid = oldest.oid
LEFT JOIN pg_catalog.pg_namespace m ON m.oid = owner.relnamespace
ORDER BY oldest.transactions::double precision / greatest(oldest.freeze_max_age, 1) DESC, oldest.relpages DESC;

-- name: health_checkpoints_before_17
-- Checkpoints since somebody reset their statistics.
-- https://www.postgresql.org/docs/16/monitoring-stats.html#MONITORING-PG-STAT-BGWRITER-VIEW
SELECT
    checkpoints_timed AS timed, checkpoints_req AS requested, buffers_checkpoint AS buffers,
    checkpoint_write_time / 1000 AS write_seconds, checkpoint_sync_time / 1000 AS sync_seconds,
    extract(epoch FROM stats_reset)::double precision AS since
FROM pg_catalog.pg_stat_bgwriter;

-- name: health_checkpoints_from_17
-- The same of the versions that count them by themselves.
-- https://www.postgresql.org/docs/current/monitoring-stats.html#MONITORING-PG-STAT-CHECKPOINTER-VIEW
SELECT
    num_timed AS timed, num_requested AS requested, buffers_written AS buffers,
    write_time / 1000 AS write_seconds, sync_time / 1000 AS sync_seconds,
    extract(epoch FROM stats_reset)::double precision AS since
FROM pg_catalog.pg_stat_checkpointer;

-- name: health_wal
-- How much write-ahead log was made in so many seconds.
-- https://www.postgresql.org/docs/current/monitoring-stats.html#MONITORING-PG-STAT-WAL-VIEW
SELECT
    wal_bytes::double precision AS bytes,
    extract(epoch FROM now() - stats_reset)::double precision AS seconds
FROM pg_catalog.pg_stat_wal;

-- name: health_senders
-- Those that follow this server, and how far behind each is. An ordinary role sees that they are there.
-- https://www.postgresql.org/docs/current/monitoring-stats.html#MONITORING-PG-STAT-REPLICATION-VIEW
SELECT
    pid, application_name AS name, host(client_addr) AS address, state, sync_state,
    pg_catalog.pg_wal_lsn_diff(
        CASE WHEN pg_catalog.pg_is_in_recovery() THEN pg_catalog.pg_last_wal_receive_lsn()
        ELSE pg_catalog.pg_current_wal_lsn() END, replay_lsn
    )::double precision AS bytes,
    extract(epoch FROM replay_lag)::double precision AS seconds
FROM pg_catalog.pg_stat_replication
WHERE state IS DISTINCT FROM 'backup'
ORDER BY bytes DESC NULLS LAST, pid
LIMIT $1;

-- name: health_slots
-- Replication slots and the write-ahead log that each keeps. What only newer versions say is null in older ones.
-- https://www.postgresql.org/docs/current/view-pg-replication-slots.html
SELECT
    slot_name::text AS name, slot_type AS type, active, wal_status,
    pg_catalog.pg_wal_lsn_diff(
        CASE WHEN pg_catalog.pg_is_in_recovery() THEN pg_catalog.pg_last_wal_receive_lsn()
        ELSE pg_catalog.pg_current_wal_lsn() END, restart_lsn
    )::double precision AS bytes,
    safe_wal_size::double precision AS safe_bytes, to_jsonb(s) ->> 'inactive_since' AS inactive_since
FROM pg_catalog.pg_replication_slots s
WHERE NOT temporary
ORDER BY bytes DESC NULLS LAST, slot_name
LIMIT $1;

-- name: health_standby
-- How far this replica is behind what it has received, and whether it receives. Seconds are null where it is up to date.
-- https://www.postgresql.org/docs/current/functions-admin.html#FUNCTIONS-RECOVERY-CONTROL
SELECT
    EXISTS (SELECT FROM pg_catalog.pg_stat_wal_receiver) AS receiving,
    CASE WHEN pg_catalog.pg_is_in_recovery() THEN pg_catalog.pg_is_wal_replay_paused() END AS paused,
    pg_catalog.pg_wal_lsn_diff(pg_catalog.pg_last_wal_receive_lsn(), pg_catalog.pg_last_wal_replay_lsn())
        ::double precision AS bytes,
    extract(epoch FROM clock_timestamp() - pg_catalog.pg_last_xact_replay_timestamp())::double precision AS seconds,
    (
        SELECT confl_tablespace + confl_lock + confl_snapshot + confl_bufferpin + confl_deadlock
        FROM pg_catalog.pg_stat_database_conflicts
        WHERE datname = current_database()
    ) AS conflicts;
