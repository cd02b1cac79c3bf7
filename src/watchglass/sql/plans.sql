-- name: plans_standing
-- Of a statement: the plan with this shape, and the one seen last of another shape, both asked for in this way.
SELECT id, shape, plan, shape = $4 AS is_same, seen_at > now() - interval '1 day' AS is_recent
FROM (
    SELECT DISTINCT ON (shape = $4) id, shape, plan, seen_at
    FROM watchglass.plans
    WHERE service_name = $1 AND fingerprint = $2 AND how = $3
    ORDER BY shape = $4, seen_at DESC, id DESC
) AS standing;

-- name: plan_seen_again
-- The plan was chosen again: the figures are those of the last time.
UPDATE watchglass.plans
SET seen_at = now(), captures = captures + 1, plan = $2::jsonb, cost = $3, seconds = $4, trace_id = $5,
    server_version = $6, settings = $7::jsonb
WHERE id = $1
RETURNING id;

-- name: add_plan
-- A plan that the statement did not have before, or what running it gave.
INSERT INTO watchglass.plans
    (service_name, fingerprint, shape, plan, how, cost, seconds, trace_id, server_version, settings)
VALUES ($1, $2, $3, $4::jsonb, $5, $6, $7, $8, $9, $10::jsonb)
RETURNING id;

-- name: note_identifier
-- By which identifier PostgreSQL counts a statement that a client of the service's sent, as its plan told.
INSERT INTO watchglass.statements AS known (service_name, fingerprint, queryid, database, text)
VALUES ($1, $2, $3, $4, $5)
ON CONFLICT (service_name, fingerprint) DO UPDATE SET queryid = excluded.queryid, last_seen = excluded.last_seen;

-- name: add_plan_event
-- A statement is planned differently.
INSERT INTO watchglass.plan_events (time, service_name, fingerprint, from_shape, to_shape, sentence)
VALUES (now(), $1, $2, $3, $4, $5)
ON CONFLICT DO NOTHING;

-- name: plan
-- One plan, whole; of one service, or of any.
SELECT id, service_name, fingerprint, captured_at, seen_at, captures, shape, plan, how, cost, seconds,
    encode(trace_id, 'hex') AS trace_id, server_version, settings
FROM watchglass.plans
WHERE id = $2 AND ($1::text IS NULL OR service_name = $1);
