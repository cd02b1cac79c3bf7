-- name: sizes
-- Tables with their rows as PostgreSQL last estimated them and their bytes with indexes, partitions under their parent;
-- and up to when rows went before their time, for which limit in bytes.
WITH sized AS (
    SELECT
        coalesce(partitions.parent, relname::text) AS name,
        count(partitions.name) AS partitions,
        sum(greatest(reltuples, 0))::bigint AS rows,
        sum(pg_total_relation_size(pg_class.oid))::bigint AS bytes
    FROM pg_class
    LEFT JOIN watchglass.partitions() ON relation = pg_class.oid
    WHERE relnamespace = to_regnamespace('watchglass') AND relkind IN ('r', 'p')
    GROUP BY 1
)
SELECT name, sized.partitions, rows, sized.bytes, extract(epoch FROM until)::float8 AS trimmed_until, limit_bytes
FROM sized
LEFT JOIN watchglass.trimmed USING (name)
ORDER BY sized.bytes DESC, name;

-- name: instances
-- The processes of a service (null: of all) that reported within a window.
SELECT
    service_instance_id, service_name, service_namespace, service_version, host_name, process_pid,
    extract(epoch FROM started_at)::float8 AS started_at, extract(epoch FROM last_seen)::float8 AS last_seen
FROM watchglass.instances
WHERE service_name = coalesce($1, service_name)
    AND started_at < to_timestamp($3::float8) AND last_seen >= to_timestamp($2::float8)
ORDER BY started_at, id;

-- name: last_seen
-- When the process of a service (null: of all) that reported last did so, and the seconds from its newest point until
-- that was written; null before it has written twice: the first time comes after a part of an interval only.
SELECT
    extract(epoch FROM last_seen)::float8 AS last_seen,
    extract(epoch FROM (
        SELECT CASE count(*) WHEN 2 THEN max(written_at) END
        FROM (
            SELECT written_at FROM watchglass.batches
            WHERE instance_id = instances.id AND points > 0
            ORDER BY sequence DESC LIMIT 2
        ) AS newest
    ) - last_seen)::float8 AS lag
FROM watchglass.instances
WHERE service_name = coalesce($1, service_name)
ORDER BY instances.last_seen DESC LIMIT 1;

-- name: earliest
-- When the oldest telemetry of a service (null: of all) that is still kept can be from; null without any.
SELECT extract(epoch FROM greatest(
    (SELECT min(started_at) FROM watchglass.instances WHERE service_name = coalesce($1, service_name)),
    (SELECT min(lower) FROM watchglass.partitions() WHERE parent = 'metrics_1d')
))::float8 AS earliest
WHERE EXISTS (SELECT FROM watchglass.instances WHERE service_name = coalesce($1, service_name));

-- name: facts
-- What the elected process of a service (null: of any) found out.
SELECT name, value, extract(epoch FROM updated_at)::float8 AS updated_at
FROM watchglass.facts
WHERE service_name = coalesce($1, service_name)
ORDER BY updated_at;

-- name: set_fact
-- Let every process know what the elected one found out.
INSERT INTO watchglass.facts (service_name, name, value)
VALUES ($1, $2, $3)
ON CONFLICT (service_name, name) DO UPDATE SET value = excluded.value, updated_at = excluded.updated_at;

-- name: series_names
-- The metrics that have series, with their kind and unit.
SELECT DISTINCT name, kind, unit FROM watchglass.series ORDER BY name, kind, unit;
