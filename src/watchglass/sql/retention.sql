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

-- name: drop_oversized_partition
-- Drop the oldest partition of a table that takes more bytes than any service of this store that is alive grants it;
-- null: there is none.
SELECT watchglass.drop_oversized_partition(jsonb_object_agg(name, largest)) AS dropped
FROM (
    SELECT kept.key AS name, max(kept.value::bigint) AS largest
    FROM watchglass.facts
    CROSS JOIN LATERAL jsonb_each_text(facts.value) AS kept
    WHERE facts.name = 'retention_bytes' AND updated_at > now() - interval '2 days'
    GROUP BY kept.key
) AS retention;

-- name: divide_partitions
-- Divide the hours that begin next where they would be too large a part of what their table may take.
SELECT watchglass.divide_partitions(jsonb_object_agg(name, largest)) AS divided
FROM (
    SELECT kept.key AS name, max(kept.value::bigint) AS largest
    FROM watchglass.facts
    CROSS JOIN LATERAL jsonb_each_text(facts.value) AS kept
    WHERE facts.name = 'retention_bytes' AND updated_at > now() - interval '2 days'
    GROUP BY kept.key
) AS retention;

-- name: index_text
-- Make the index by which text is found for one hour of log lines that has none; null: there is none left.
SELECT watchglass.index_text($1, $2) AS indexed;

-- name: forget_batches
-- Shorten the ledger. The newest batch of each process stays: its answer may be lost, and only that one is sent again.
DELETE FROM watchglass.batches AS old
WHERE written_at < now() - interval '2 days' AND (
    sequence < (SELECT max(sequence) FROM watchglass.batches AS newest WHERE newest.instance_id = old.instance_id)
    OR NOT EXISTS (SELECT FROM watchglass.instances WHERE id = old.instance_id)
);

-- name: forget_instances
-- Forget processes of which nothing is kept any more.
DELETE FROM watchglass.instances
WHERE last_seen < now() - interval '1 day' - (
    SELECT max(kept.value::interval)
    FROM watchglass.facts
    CROSS JOIN LATERAL jsonb_each_text(facts.value) AS kept
    WHERE facts.name = 'retention' AND updated_at > now() - interval '2 days'
);
