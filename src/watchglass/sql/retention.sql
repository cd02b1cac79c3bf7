-- name: drop_expired_partition
-- Drop one partition in which everything is older than any service of this store that is alive has it kept; null: there
-- is none.
SELECT watchglass.drop_expired_partition(jsonb_object_agg(name, longest)) AS dropped
FROM (
    SELECT kept.key AS name, max(kept.value::interval) AS longest
    FROM watchglass.facts
    CROSS JOIN LATERAL jsonb_each_text(facts.value) AS kept
    WHERE facts.name = 'retention' AND updated_at > now() - interval '2 days'
    GROUP BY kept.key
) AS retention;

-- name: forget_batches
-- Shorten the ledger; no process sends a batch again after two days.
DELETE FROM watchglass.batches WHERE written_at < now() - interval '2 days';

-- name: forget_instances
-- Forget processes of which nothing is kept any more.
DELETE FROM watchglass.instances
WHERE last_seen < now() - interval '1 day' - (
    SELECT max(kept.value::interval)
    FROM watchglass.facts
    CROSS JOIN LATERAL jsonb_each_text(facts.value) AS kept
    WHERE facts.name = 'retention' AND updated_at > now() - interval '2 days'
);
