-- name: take_tier
-- Take a tier for this transaction and say how far it reaches; no row while another process has it. The lock is the
-- fence: whoever was frozen meanwhile finds its transaction ended by the server.
SELECT extract(epoch FROM until)::bigint AS until, extract(epoch FROM now())::float8 AS now
FROM watchglass.rollups
WHERE width = $1
FOR UPDATE SKIP LOCKED;

-- name: reach_of
-- How far back, and how far, a tier reaches.
SELECT extract(epoch FROM since)::float8 AS since, extract(epoch FROM until)::float8 AS until
FROM watchglass.rollups
WHERE width = $1;

-- name: late_chunk
-- The oldest chunk of a tier for which something came after it was rolled up.
SELECT extract(epoch FROM min(time))::bigint FROM watchglass.late_chunks WHERE width = $1 AND time < to_timestamp($2::float8);

-- name: forget_late
-- A chunk is about to be rolled up from all that is there now.
DELETE FROM watchglass.late_chunks WHERE width = $1 AND time = to_timestamp($2::float8);

-- name: mark_late
-- Chunks of a tier have to be rolled up again, if they have been; each process marks for itself, so that none waits.
INSERT INTO watchglass.late_chunks AS known (width, time, instance_id)
SELECT $1, to_timestamp(chunk), $3 FROM unnest($2::float8[]) AS chunk
ON CONFLICT (width, time, instance_id) DO UPDATE SET marks = known.marks + 1;

-- name: rolled_up
-- A chunk is in its tier. What was closed and has changed gets a new revision, so that nobody keeps the old one.
UPDATE watchglass.rollups SET
    revision = revision + (until > to_timestamp($2::float8))::integer,
    until = greatest(until, to_timestamp($3::float8))
WHERE width = $1;

-- name: metric_names
-- Every metric there is.
SELECT DISTINCT name FROM watchglass.series ORDER BY name;

-- name: has_first_version
-- Whether rows of before this schema was there can be within a span.
SELECT to_timestamp($1::float8) < applied_at + interval '5 min' FROM watchglass.migrations WHERE version = 2;

-- name: blocks_10s
-- The blocks of a metric within a span, of all processes.
SELECT
    extract(epoch FROM time)::bigint AS time, instance_id, array_send(series_ids) AS series_ids,
    array_send(counts) AS counts, array_send(sums) AS sums, array_send(mins) AS mins, array_send(maxs) AS maxs,
    array_send(sizes) AS sizes, buckets
FROM watchglass.metrics_10s
WHERE name = $1 AND time >= to_timestamp($2::float8) AND time < to_timestamp($3::float8);

-- name: blocks_of_first_version
-- Rows of the first version as blocks.
SELECT
    extract(epoch FROM time)::bigint AS time, instance_id, array_send(array_agg(series_id)) AS series_ids,
    CASE kind WHEN 'histogram' THEN array_send(array_agg(count)) END AS counts,
    array_send(array_agg(sum)) AS sums,
    CASE kind WHEN 'histogram' THEN array_send(array_agg(coalesce(min, 'NaN'))) END AS mins,
    CASE kind WHEN 'histogram' THEN array_send(array_agg(coalesce(max, 'NaN'))) END AS maxs,
    CASE kind WHEN 'histogram' THEN array_send(array_agg(coalesce(length(buckets), 0) / 6)) END AS sizes,
    string_agg(buckets, '') AS buckets
FROM watchglass.metrics
JOIN watchglass.series ON id = series_id
WHERE name = $1 AND time >= to_timestamp($2::float8) AND time < to_timestamp($3::float8) AND NOT carried_over
GROUP BY time, instance_id, kind;

-- name: releases
-- The processes by release: in hours and days, the counters and histograms of a release are one.
SELECT id, dense_rank() OVER (ORDER BY service_name, service_namespace, service_version) AS release
FROM watchglass.instances
ORDER BY id;

-- name: gauges
-- The series that are states, not amounts.
SELECT id FROM watchglass.series WHERE kind IN ('gauge', 'updown') ORDER BY id;

-- name: number_of_series
-- How many series there are.
SELECT count(*) FROM watchglass.series;

-- name: chunk_1m
-- An hour of the tier of minutes, of the series whose ids lie within a range.
SELECT
    extract(epoch FROM time)::bigint AS time, instance_id, series_id, array_send(minutes) AS minutes,
    array_send(counts) AS counts, array_send(sums) AS sums, array_send(mins) AS mins, array_send(maxs) AS maxs,
    array_send(lasts) AS lasts, array_send(sizes) AS sizes, buckets
FROM watchglass.metrics_1m
WHERE time >= to_timestamp($1::float8) AND time < to_timestamp($2::float8) AND series_id BETWEEN $3 AND $4;

-- name: chunk_1h
-- A day of the tier of hours, of the series whose ids lie within a range, all of it as one column of bytes each.
SELECT
    string_agg(int8send(extract(epoch FROM time)::bigint), '') AS times,
    string_agg(int4send(instance_id), '') AS instance_ids, string_agg(int8send(series_id), '') AS series_ids,
    string_agg(int8send(count), '') AS counts, string_agg(float8send(sum), '') AS sums,
    string_agg(float8send(coalesce(min, 'NaN')), '') AS mins, string_agg(float8send(coalesce(max, 'NaN')), '') AS maxs,
    string_agg(float8send(coalesce(last, 'NaN')), '') AS lasts,
    string_agg(int4send(coalesce(length(buckets), 0) / 6), '') AS sizes, string_agg(buckets, '') AS buckets
FROM watchglass.metrics_1h
WHERE time >= to_timestamp($1::float8) AND time < to_timestamp($2::float8) AND series_id BETWEEN $3 AND $4;

-- name: clear_1m
-- Make room for a chunk that is rolled up again.
DELETE FROM watchglass.metrics_1m WHERE time = to_timestamp($1::float8);

-- name: clear_1h
-- The same of an hour.
DELETE FROM watchglass.metrics_1h WHERE time = to_timestamp($1::float8);

-- name: clear_1d
-- The same of a day.
DELETE FROM watchglass.metrics_1d WHERE time = to_timestamp($1::float8);
