-- name: add_series
-- Make series known. In order of id, so that two processes never wait for each other in a circle.
INSERT INTO watchglass.series (id, name, kind, unit, attributes)
SELECT id, name, kind, unit, attributes::jsonb
FROM unnest($1::bigint[], $2::text[], $3::text[], $4::text[], $5::text[]) AS new (id, name, kind, unit, attributes)
ORDER BY id
ON CONFLICT DO NOTHING;

-- name: merge_points
-- Add to the slots of ten seconds that this process has written before. A gauge keeps its last sample.
INSERT INTO watchglass.metrics AS old (time, series_id, instance_id, count, sum, min, max, buckets)
SELECT *
FROM unnest(
    $1::timestamptz[], $2::bigint[], $3::integer[], $4::bigint[], $5::float8[], $6::float8[], $7::float8[], $8::bytea[]
)
ON CONFLICT (series_id, time, instance_id) DO UPDATE SET
    count = CASE WHEN excluded.min IS NOT NULL AND excluded.buckets IS NULL THEN 1 ELSE old.count + excluded.count END,
    sum = CASE WHEN excluded.min IS NOT NULL AND excluded.buckets IS NULL THEN excluded.sum ELSE old.sum + excluded.sum END,
    min = least(old.min, excluded.min),
    max = greatest(old.max, excluded.max),
    buckets = coalesce(old.buckets || excluded.buckets, old.buckets, excluded.buckets);

-- name: select_metrics
-- Sums over a window from the rows of ten seconds, by attributes of series ($2) and of processes ($6), in slots of $11
-- seconds (null: one). $4 and $5, $7 and $8 are attributes that must be so, and that must be absent.
WITH chosen AS MATERIALIZED (
    SELECT id, kind IN ('gauge', 'updown') AS is_gauge, key, dense_rank() OVER (ORDER BY key) AS number
    FROM watchglass.series
    CROSS JOIN LATERAL (
        SELECT array_agg(attributes ->> wanted.name ORDER BY wanted.position) AS key
        FROM unnest($2::text[]) WITH ORDINALITY AS wanted (name, position)
    ) AS keys
    WHERE series.name = $1 AND attributes @> $4::jsonb AND NOT attributes ?| $5::text[]
),
processes AS (
    SELECT id, service_name, jsonb_strip_nulls(jsonb_build_object(
        'service.instance.id', service_instance_id, 'service.name', service_name,
        'service.namespace', nullif(service_namespace, ''), 'service.version', nullif(service_version, ''),
        'host.name', host_name, 'process.pid', process_pid::text
    )) AS attributes
    FROM watchglass.instances
),
sources AS MATERIALIZED (
    SELECT id, key, dense_rank() OVER (ORDER BY key) AS number
    FROM processes
    CROSS JOIN LATERAL (
        SELECT array_agg(attributes ->> wanted.name ORDER BY wanted.position) AS key
        FROM unnest($6::text[]) WITH ORDINALITY AS wanted (name, position)
    ) AS keys
    WHERE service_name = coalesce($3, service_name) AND attributes @> $7::jsonb AND NOT attributes ?| $8::text[]
),
sums AS (
    SELECT
        chosen.number AS chosen_number,
        sources.number AS source_number,
        date_bin(make_interval(secs => $11::integer), time, 'epoch') AS slot,
        sum(count)::bigint AS count,
        sum(sum) AS sum,
        min(min) AS min,
        max(max) AS max,
        (max(ARRAY[extract(epoch FROM time)::float8, sum]) FILTER (WHERE is_gauge))[2] AS last,
        string_agg(buckets, '') AS buckets
    FROM watchglass.metrics
    JOIN chosen ON chosen.id = series_id
    JOIN sources ON sources.id = instance_id
    WHERE time >= to_timestamp($9::float8) AND time < to_timestamp($10::float8)
    GROUP BY 1, 2, 3
)
SELECT chosen_keys.key, source_keys.key AS source_key, extract(epoch FROM slot)::bigint AS time,
    count, sum, min, max, last, buckets
FROM sums
JOIN (SELECT DISTINCT number, key FROM chosen) AS chosen_keys ON chosen_keys.number = chosen_number
JOIN (SELECT DISTINCT number, key FROM sources) AS source_keys ON source_keys.number = source_number
ORDER BY chosen_number, source_number, slot;
