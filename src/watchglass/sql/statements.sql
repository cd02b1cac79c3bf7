-- name: statements_extension
-- Let what pg_stat_statements brings be found, wherever it was created, until the end of the transaction. The version of
-- the extension, null where the database has none; whether the server loads it; and what a person has to be told.
SELECT
    extversion AS version, quote_ident(nspname) AS schema,
    has_schema_privilege(pg_namespace.oid, 'USAGE') AS may_use,
    set_config('search_path', 'pg_catalog, ' || quote_ident(nspname), true) AS search_path,
    EXISTS (SELECT FROM pg_settings WHERE name = 'pg_stat_statements.max') AS loaded,
    quote_ident(current_user) AS role,
    current_database()::text AS database
FROM (VALUES ('pg_stat_statements')) AS wanted (name)
LEFT JOIN (pg_extension JOIN pg_namespace ON pg_namespace.oid = extnamespace) ON extname = name;

-- name: statements_reset
-- When everything was last reset, which a crash of the server does too; and the time.
SELECT stats_reset, clock_timestamp() AS now FROM pg_stat_statements_info;

-- name: statements_figures
-- The cumulative figures of the database's statements, without their texts, those that took most time first. Columns
-- differ between versions: one that is not there is found in `absent`, and one that is hides it, being nearer.
-- Of other roles' statements a role without pg_read_all_stats sees no queryid; they are counted in `hidden`.
-- https://www.postgresql.org/docs/current/pgstatstatements.html
SELECT
    userid, queryid, figures.toplevel, figures.began,
    calls, figures.seconds, rows, shared_blks_hit, shared_blks_read, temp_blks_read, temp_blks_written,
    figures.io_seconds, wal_bytes::float8 AS wal_bytes,
    count(*) FILTER (WHERE queryid IS NULL) OVER () AS hidden
FROM pg_stat_statements(false) AS known
CROSS JOIN (
    VALUES (0::float8, 0::float8, 0::float8, 0::float8, 0::float8, 0::float8, NULL::timestamptz)
) AS absent (
    blk_read_time, blk_write_time, shared_blk_read_time, shared_blk_write_time,
    temp_blk_read_time, temp_blk_write_time, stats_since
)
CROSS JOIN LATERAL (
    SELECT
        toplevel, stats_since AS began, total_exec_time / 1000 AS seconds,
        (blk_read_time + blk_write_time + shared_blk_read_time + shared_blk_write_time
            + temp_blk_read_time + temp_blk_write_time) / 1000 AS io_seconds
    FROM (SELECT known.*) AS present
) AS figures
WHERE dbid = (SELECT oid FROM pg_database WHERE datname = current_database())
ORDER BY figures.seconds DESC
LIMIT $1;

-- name: statements_texts
-- The texts of statements by their identifier.
SELECT DISTINCT ON (queryid) queryid, query
FROM pg_stat_statements(true)
WHERE queryid = ANY ($1::bigint[]) AND dbid = (SELECT oid FROM pg_database WHERE datname = current_database())
ORDER BY queryid;

-- name: add_statements
-- Note which statements there are, under the fingerprint of their shape.
INSERT INTO watchglass.statements AS known (service_name, fingerprint, queryid, database, text)
SELECT $1, fingerprint, queryid, $2, text
FROM unnest($3::text[], $4::bigint[], $5::text[]) AS seen (fingerprint, queryid, text)
ON CONFLICT (service_name, fingerprint) DO UPDATE SET
    queryid = excluded.queryid, database = excluded.database, last_seen = excluded.last_seen;

-- name: server_statements
-- What is known of a service's (null: any's) statements of these fingerprints.
SELECT DISTINCT ON (fingerprint) fingerprint, queryid, database, text,
    extract(epoch FROM first_seen)::float8 AS first_seen, extract(epoch FROM last_seen)::float8 AS last_seen
FROM watchglass.statements
WHERE service_name = coalesce($1, service_name) AND fingerprint = ANY ($2::text[])
ORDER BY fingerprint, statements.last_seen DESC;

-- name: plans_of
-- What is known of the plans of a statement, by any of its fingerprints, the newest first; of what they read, a few.
SELECT id, shape, ARRAY(
    SELECT concat_ws(' ', node ->> 'Node Type', coalesce(node ->> 'Index Name', node ->> 'Relation Name'))
    FROM jsonb_path_query(plan, 'strict $.** ? (exists (@."Relation Name") || exists (@."Index Name"))') AS node
    LIMIT 5
) AS scans, how, cost, seconds, captures, server_version, encode(trace_id, 'hex') AS trace_id,
    extract(epoch FROM captured_at)::float8 AS captured_at, extract(epoch FROM seen_at)::float8 AS seen_at
FROM watchglass.plans
WHERE service_name = coalesce($1, service_name) AND fingerprint = ANY ($2::text[])
ORDER BY plans.seen_at DESC, id DESC
LIMIT $3;

-- name: parameters_of
-- The shapes of the parameters that a slow execution of a statement had, by any of its fingerprints, and when: the last.
SELECT plan -> 'Parameters' AS shapes, extract(epoch FROM seen_at)::float8 AS seen_at
FROM watchglass.plans
WHERE service_name = coalesce($1, service_name) AND fingerprint = ANY ($2::text[]) AND plan ? 'Parameters'
ORDER BY plans.seen_at DESC, id DESC
LIMIT 1;

-- name: plan_events_of
-- Since when a statement has another plan, the newest first.
SELECT extract(epoch FROM time)::float8 AS time, from_shape, to_shape, sentence
FROM watchglass.plan_events
WHERE service_name = coalesce($1, service_name) AND fingerprint = ANY ($2::text[])
ORDER BY plan_events.time DESC
LIMIT $3;

-- name: advice_of
-- The indexes that were advised for a statement, the newest first.
SELECT id, statement, verified, cost_before, cost_after, size_bytes, state,
    extract(epoch FROM created_at)::float8 AS created_at, extract(epoch FROM built_at)::float8 AS built_at
FROM watchglass.advice
WHERE service_name = coalesce($1, service_name) AND fingerprint = ANY ($2::text[])
ORDER BY advice.created_at DESC, id
LIMIT $3;

-- name: statement_marks
-- Of statements by their fingerprints: the newest change of a plan within a span of time, and the indexes that are
-- advised and not built.
SELECT wanted.fingerprint, changed.time AS plan_changed_at, changed.sentence AS plan_change, advised.open AS open_advice
FROM unnest($2::text[]) AS wanted (fingerprint)
LEFT JOIN LATERAL (
    SELECT extract(epoch FROM plan_events.time)::float8 AS time, sentence
    FROM watchglass.plan_events
    WHERE service_name = coalesce($1, service_name) AND fingerprint = wanted.fingerprint
        AND plan_events.time >= to_timestamp($3::float8) AND plan_events.time < to_timestamp($4::float8)
    ORDER BY plan_events.time DESC
    LIMIT 1
) AS changed ON true
CROSS JOIN LATERAL (
    SELECT count(*) AS open
    FROM watchglass.advice
    WHERE service_name = coalesce($1, service_name) AND fingerprint = wanted.fingerprint AND state = 'open'
) AS advised
WHERE changed.time IS NOT NULL OR advised.open > 0;
