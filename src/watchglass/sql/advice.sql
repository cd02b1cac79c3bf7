-- name: keep_advice
-- An index was advised, or again. What was measured before is that of the last time without it; one that is advised
-- though it was built is gone.
INSERT INTO watchglass.advice AS kept
    (service_name, id, fingerprint, statement, verified, cost_before, cost_after, size_bytes, before, detail)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9::jsonb, $10::jsonb)
ON CONFLICT (service_name, id) DO UPDATE SET
    updated_at = now(), verified = excluded.verified, cost_before = excluded.cost_before,
    cost_after = excluded.cost_after, size_bytes = excluded.size_bytes, before = excluded.before,
    detail = excluded.detail, state = 'open', built_at = NULL, after = NULL
WHERE kept.state <> 'built' OR kept.built_at < now() - interval '5 minutes';

-- name: advice_standing
-- The indexes that a service was advised, and those of them that were built, the newest first.
SELECT id, state, detail
FROM watchglass.advice
WHERE service_name = $1 AND state IN ('open', 'built')
ORDER BY updated_at DESC, id
LIMIT 200;

-- name: advice_became
-- What was found of advised indexes: that they are there now ('built'), or not any more ('gone').
UPDATE watchglass.advice
SET state = $3, updated_at = now(), built_at = CASE WHEN $3 = 'built' THEN now() ELSE built_at END
WHERE service_name = $1 AND id = ANY ($2::text[]);

-- name: advice_built
-- Advised indexes that are there, of a service, or of all, with what was measured before; the newest first.
SELECT id, fingerprint, statement, extract(epoch FROM built_at)::double precision AS built_at, before, detail
FROM watchglass.advice
WHERE service_name = coalesce($1, service_name) AND state = 'built' AND fingerprint = coalesce($2, fingerprint)
ORDER BY advice.built_at DESC, id
LIMIT 50;

-- name: advice_plan
-- The plan that a statement was given last with parameters of its own; none that is older than a week.
SELECT plan
FROM watchglass.plans
WHERE service_name = coalesce($1, service_name) AND fingerprint = $2 AND how = 'parameters'
    AND seen_at > now() - interval '7 days'
ORDER BY plans.seen_at DESC
LIMIT 1;
