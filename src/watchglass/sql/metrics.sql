-- name: add_series
-- Make series known. In order of id, so that two processes never wait for each other in a circle.
INSERT INTO watchglass.series (id, name, kind, unit, attributes)
SELECT id, name, kind, unit, attributes::jsonb
FROM unnest($1::bigint[], $2::text[], $3::text[], $4::text[], $5::text[]) AS new (id, name, kind, unit, attributes)
ORDER BY id
ON CONFLICT DO NOTHING;

-- name: known_series
-- What is known of a metric's series, and of the processes of a service (null: of all): how many, to see whether there
-- are new ones, and how far each tier reaches. Late chunks and revisions say whether something closed has changed.
SELECT
    extract(epoch FROM now())::float8 AS now,
    (SELECT count(*) FROM watchglass.series WHERE name = $1) AS series,
    (SELECT concat_ws(',', count(*), max(id)) FROM watchglass.instances) AS instances,
    (SELECT concat_ws(',', sum(marks), count(*), max(time)) FROM watchglass.late_chunks)
        || ';' || (SELECT concat_ws(',', count(*), max(id)) FROM watchglass.instances) || ';' || string_agg(revision::text, ',' ORDER BY width) AS version,
    ARRAY(
        SELECT extract(epoch FROM time)::float8 FROM watchglass.late_chunks GROUP BY width, time ORDER BY time, width
    ) AS late,
    ARRAY(SELECT width FROM watchglass.late_chunks GROUP BY width, time ORDER BY time, width) AS late_widths,
    array_agg(width ORDER BY width) AS widths,
    array_agg(extract(epoch FROM since)::float8 ORDER BY width) AS since,
    array_agg(extract(epoch FROM until)::float8 ORDER BY width) AS until
FROM watchglass.rollups;

-- name: series_of_name
-- The series of a metric.
SELECT id, kind, attributes FROM watchglass.series WHERE name = $1;

-- name: processes
-- Who wrote since some time: the attributes that rows have from the process that wrote them.
SELECT id, service_name, jsonb_strip_nulls(jsonb_build_object(
    'service.instance.id', service_instance_id, 'service.name', service_name,
    'service.namespace', nullif(service_namespace, ''), 'service.version', nullif(service_version, ''),
    'host.name', host_name, 'process.pid', process_pid::text
)) AS attributes
FROM watchglass.instances
WHERE last_seen >= to_timestamp($1::float8);

-- name: read_10s
-- Blocks of ten seconds: one per time, process and metric, with a column of arrays per value, in PostgreSQL's binary form.
SELECT
    extract(epoch FROM time)::bigint AS time, instance_id, array_send(series_ids) AS series_ids,
    array_send(counts) AS counts, array_send(sums) AS sums, array_send(mins) AS mins, array_send(maxs) AS maxs,
    array_send(sizes) AS sizes, buckets
FROM watchglass.metrics_10s
WHERE name = $1 AND ($2::integer[] IS NULL OR instance_id = ANY ($2))
    AND time >= to_timestamp($3::float8) AND time < to_timestamp($4::float8);

-- name: read_1m
-- Blocks of half an hour in minutes: one per series, process and half hour.
SELECT
    extract(epoch FROM time)::bigint AS time, instance_id, series_id, array_send(minutes) AS minutes,
    array_send(counts) AS counts, array_send(sums) AS sums, array_send(mins) AS mins, array_send(maxs) AS maxs,
    array_send(lasts) AS lasts, array_send(sizes) AS sizes, buckets
FROM watchglass.metrics_1m
WHERE series_id = ANY ($1::bigint[]) AND ($2::integer[] IS NULL OR instance_id = ANY ($2))
    AND time > to_timestamp($3::float8) - interval '30 min' AND time < to_timestamp($4::float8);

-- name: read_1h
-- Rows of an hour, in slots of $5 seconds (null: one) per series and process, all of them as one column of bytes each.
WITH slots AS (
    SELECT
        series_id, instance_id,
        greatest(date_bin(make_interval(secs => $5), time, 'epoch'), to_timestamp($3::float8)) AS slot,
        sum(count)::bigint AS count, sum(sum) AS sum, min(min) AS min, max(max) AS max,
        (array_agg(last ORDER BY time DESC))[1] AS last, string_agg(buckets, '') AS buckets
    FROM watchglass.metrics_1h
    WHERE series_id = ANY ($1::bigint[]) AND ($2::integer[] IS NULL OR instance_id = ANY ($2))
        AND time >= to_timestamp($3::float8) AND time < to_timestamp($4::float8)
    GROUP BY 1, 2, 3
)
SELECT
    string_agg(int8send(extract(epoch FROM slot)::bigint), '') AS times,
    string_agg(int4send(instance_id), '') AS instance_ids, string_agg(int8send(series_id), '') AS series_ids,
    string_agg(int8send(count), '') AS counts, string_agg(float8send(sum), '') AS sums,
    string_agg(float8send(coalesce(min, 'NaN')), '') AS mins, string_agg(float8send(coalesce(max, 'NaN')), '') AS maxs,
    string_agg(float8send(coalesce(last, 'NaN')), '') AS lasts,
    string_agg(int4send(coalesce(length(buckets), 0) / 6), '') AS sizes, string_agg(buckets, '') AS buckets
FROM slots;

-- name: read_1d
-- The same of rows of a day.
WITH slots AS (
    SELECT
        series_id, instance_id,
        greatest(date_bin(make_interval(secs => $5), time, 'epoch'), to_timestamp($3::float8)) AS slot,
        sum(count)::bigint AS count, sum(sum) AS sum, min(min) AS min, max(max) AS max,
        (array_agg(last ORDER BY time DESC))[1] AS last, string_agg(buckets, '') AS buckets
    FROM watchglass.metrics_1d
    WHERE series_id = ANY ($1::bigint[]) AND ($2::integer[] IS NULL OR instance_id = ANY ($2))
        AND time >= to_timestamp($3::float8) AND time < to_timestamp($4::float8)
    GROUP BY 1, 2, 3
)
SELECT
    string_agg(int8send(extract(epoch FROM slot)::bigint), '') AS times,
    string_agg(int4send(instance_id), '') AS instance_ids, string_agg(int8send(series_id), '') AS series_ids,
    string_agg(int8send(count), '') AS counts, string_agg(float8send(sum), '') AS sums,
    string_agg(float8send(coalesce(min, 'NaN')), '') AS mins, string_agg(float8send(coalesce(max, 'NaN')), '') AS maxs,
    string_agg(float8send(coalesce(last, 'NaN')), '') AS lasts,
    string_agg(int4send(coalesce(length(buckets), 0) / 6), '') AS sizes, string_agg(buckets, '') AS buckets
FROM slots;
