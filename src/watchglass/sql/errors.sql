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
