-- name: born
-- When the schema was made, in unix seconds, which tells this store from another that has the same address; and the clock.
SELECT extract(epoch FROM min(applied_at))::bigint AS born, extract(epoch FROM now())::float8 AS now
FROM watchglass.migrations;

-- name: written_since
-- Of each process that wrote a batch after a time ($1): its newest batch, its newest one that was written by another time
-- ($4), and the newest that is known already: $2 and $3 have it by process, else it is the last one before $1.
SELECT lately.instance_id, newest, newest_by, coalesce(known.sequence, earlier.sequence, 0) AS known
FROM (
    SELECT
        instance_id, max(sequence) AS newest,
        coalesce(max(sequence) FILTER (WHERE written_at <= to_timestamp($4::float8)), 0) AS newest_by
    FROM watchglass.batches
    WHERE written_at > to_timestamp($1::float8)
    GROUP BY instance_id
) AS lately
LEFT JOIN unnest($2::integer[], $3::bigint[]) AS known (instance_id, sequence) USING (instance_id)
LEFT JOIN LATERAL (
    SELECT sequence FROM watchglass.batches
    WHERE known.instance_id IS NULL AND batches.instance_id = lately.instance_id
        AND written_at <= to_timestamp($1::float8)
    ORDER BY sequence DESC LIMIT 1
) AS earlier ON true;

-- name: unread_batches
-- The batches with log lines of these processes, from a first sequence to a last, of whose first some lines are read
-- already; of more than $5 lines the newest alone, with the number of all. In the order in which they were written, those
-- of one process in theirs, even if the clock was set back.
SELECT instance_id, sequence, taken, lines, extract(epoch FROM written_at)::float8 AS written_at, total
FROM (
    SELECT
        *, sum(lines) OVER ()::bigint AS total,
        sum(lines) OVER (ORDER BY settled_at DESC, instance_id DESC, sequence DESC) AS with_newer
    FROM (
        SELECT
            instance_id, sequence, written_at, skip AS taken, logs - skip AS lines,
            max(written_at) OVER (PARTITION BY instance_id ORDER BY sequence) AS settled_at
        FROM unnest($1::integer[], $2::bigint[], $3::integer[], $4::bigint[]) AS wanted (id, first, read, last)
        JOIN watchglass.batches ON instance_id = id AND sequence BETWEEN first AND last
        CROSS JOIN LATERAL (SELECT CASE sequence WHEN first THEN read ELSE 0 END AS skip) AS of_first
        WHERE logs > skip
    ) AS unread
) AS counted
WHERE with_newer <= $5::bigint OR with_newer = lines
ORDER BY settled_at, instance_id, sequence;

-- name: lines_of
-- The log lines of these batches between two times. Each batch is looked up by itself, whatever the planner thinks of the
-- size of a new partition.
SELECT found.*
FROM unnest($1::integer[], $2::bigint[]) AS wanted (id, batch)
CROSS JOIN LATERAL (
    SELECT
        time, instance_id, sequence, position, severity, level, logger, message, fields, trace_id, span_id, exception
    FROM watchglass.logs
    WHERE instance_id = id AND sequence = batch AND time >= to_timestamp($3::float8) AND time < to_timestamp($4::float8)
    OFFSET 0
) AS found;

-- name: kept_among
-- Which of these traces were kept between two times.
SELECT DISTINCT trace_id FROM watchglass.traces
WHERE trace_id = ANY($1::bytea[]) AND time >= to_timestamp($2::float8) AND time < to_timestamp($3::float8);

-- name: who_wrote
-- The processes with these numbers, as log lines name them.
SELECT id, service_name, service_instance_id, host_name FROM watchglass.instances WHERE id = ANY($1::integer[]);
