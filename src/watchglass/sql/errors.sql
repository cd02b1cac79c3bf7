-- name: add_errors
-- Add to the groups of a service's errors what came since the last batch; the text of the newest error that has one.
INSERT INTO watchglass.error_groups AS known (
    service_name, id, error_type, frame, message, stack, first_seen, last_seen, count
)
SELECT $1, gained.*
FROM unnest(
    $2::text[], $3::text[], $4::text[], $5::text[], $6::text[], $7::timestamptz[], $8::timestamptz[], $9::bigint[]
) AS gained
ON CONFLICT (service_name, id) DO UPDATE SET
    message = CASE WHEN excluded.stack = '' THEN known.message ELSE excluded.message END,
    stack = CASE WHEN excluded.stack = '' THEN known.stack ELSE excluded.stack END,
    first_seen = least(known.first_seen, excluded.first_seen),
    last_seen = greatest(known.last_seen, excluded.last_seen),
    count = known.count + excluded.count;

-- name: set_examples
-- Note of groups of a service's errors a trace each that is kept.
UPDATE watchglass.error_groups AS known
SET trace_id = kept.trace_id
FROM unnest($2::text[], $3::bytea[]) AS kept (id, trace_id)
WHERE known.service_name = $1 AND known.id = kept.id;

-- name: error_groups
-- The groups of a service's errors (null: of all) seen within a window, those seen last first. The trace is one that is
-- kept still.
SELECT
    service_name, id, error_type, frame, message, stack, count,
    extract(epoch FROM first_seen)::float8 AS first_seen, extract(epoch FROM last_seen)::float8 AS last_seen,
    (
        SELECT encode(traces.trace_id, 'hex') FROM watchglass.traces
        WHERE traces.trace_id = groups.trace_id LIMIT 1
    ) AS trace_id
FROM watchglass.error_groups AS groups
WHERE service_name = coalesce($1, service_name)
    AND last_seen >= to_timestamp($2::float8) AND first_seen < to_timestamp($3::float8)
ORDER BY groups.last_seen DESC, id
LIMIT $4;

-- name: forget_error_groups
-- Forget groups that were not seen for so many days, and of each service all but the newest.
DELETE FROM watchglass.error_groups
WHERE last_seen < now() - make_interval(days => $1) OR (service_name, id) IN (
    SELECT service_name, id
    FROM (
        SELECT service_name, id, row_number() OVER (PARTITION BY service_name ORDER BY last_seen DESC) AS place
        FROM watchglass.error_groups
    ) AS placed
    WHERE place > $2
);
