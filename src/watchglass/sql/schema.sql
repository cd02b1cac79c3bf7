-- The schema watchglass as it is after every migration. A test compares it with migrations/*.sql applied in turn.
--
-- One role owns it. The application's role is that one, or another that `watchglass migrate --role` has granted what it
-- needs: it writes rows, and maintains partitions through functions that run as the owner. Nothing outside this schema
-- is ever changed.

CREATE SCHEMA watchglass;

-- What has been applied. Processes that write an older version than the greatest min_writer stop writing and say so.
CREATE TABLE watchglass.migrations (
    version integer PRIMARY KEY,
    name text NOT NULL,
    min_writer integer NOT NULL,
    applied_at timestamptz NOT NULL DEFAULT clock_timestamp()
);

-- Processes of the service, by the attributes of their OpenTelemetry resource.
CREATE TABLE watchglass.instances (
    id integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    service_instance_id text NOT NULL UNIQUE,
    service_name text NOT NULL,
    service_namespace text NOT NULL,
    service_version text NOT NULL,
    host_name text NOT NULL,
    process_pid bigint NOT NULL,
    started_at timestamptz NOT NULL,
    last_seen timestamptz NOT NULL -- the time of its newest point
) WITH (fillfactor = 50);

-- What numbers are about. The id is a hash of name, kind and attributes, made by the process.
CREATE TABLE watchglass.series (
    id bigint PRIMARY KEY,
    name text NOT NULL,
    kind text NOT NULL,
    unit text NOT NULL,
    attributes jsonb NOT NULL,
    first_seen timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX series_name ON watchglass.series (name);

-- Metrics are kept in four resolutions, each made from the finer one. What a series of a process gained is: of a
-- histogram count, sum, min, max and buckets, as packed (int16 index, uint32 count) pairs on one grid; of a counter the
-- increase as sum; of a gauge the sum of its samples and their count, and the last one.

-- What came in ten seconds: one row per metric and process, an array element per series. Counts, mins and maxs are those
-- of histograms, sizes the number of pairs that each series has in buckets.
CREATE TABLE watchglass.metrics_10s (
    time timestamptz NOT NULL,
    name text NOT NULL,
    instance_id integer NOT NULL,
    series_ids bigint[] NOT NULL,
    counts bigint[],
    sums double precision[] NOT NULL,
    mins double precision[],
    maxs double precision[],
    sizes integer[],
    buckets bytea
) PARTITION BY RANGE (time);
CREATE INDEX metrics_10s_time ON watchglass.metrics_10s USING brin (time) WITH (pages_per_range = 16, autosummarize = on);

-- The same in minutes: one row per series and process for half an hour, an array element per minute.
CREATE TABLE watchglass.metrics_1m (
    time timestamptz NOT NULL,
    series_id bigint NOT NULL,
    instance_id integer NOT NULL,
    minutes smallint[] NOT NULL,
    counts bigint[],
    sums double precision[] NOT NULL,
    mins double precision[],
    maxs double precision[],
    lasts double precision[],
    sizes integer[],
    buckets bytea,
    PRIMARY KEY (series_id, time, instance_id)
) PARTITION BY RANGE (time);
CREATE INDEX metrics_1m_time ON watchglass.metrics_1m USING brin (time) WITH (pages_per_range = 16, autosummarize = on);

-- In hours, amounts are those of a release (service, namespace, version), under the number of one of its processes.
CREATE TABLE watchglass.metrics_1h (
    time timestamptz NOT NULL,
    series_id bigint NOT NULL,
    instance_id integer NOT NULL,
    count bigint NOT NULL,
    sum double precision NOT NULL,
    min double precision,
    max double precision,
    last double precision,
    buckets bytea,
    PRIMARY KEY (series_id, time, instance_id)
) PARTITION BY RANGE (time);
CREATE INDEX metrics_1h_time ON watchglass.metrics_1h USING brin (time) WITH (pages_per_range = 16, autosummarize = on);

-- The same in days, of UTC.
CREATE TABLE watchglass.metrics_1d (LIKE watchglass.metrics_1h INCLUDING CONSTRAINTS, PRIMARY KEY (series_id, time, instance_id))
PARTITION BY RANGE (time);
CREATE INDEX metrics_1d_time ON watchglass.metrics_1d USING brin (time) WITH (pages_per_range = 16, autosummarize = on);

-- How far back each resolution is kept and up to when it is complete. The revision grows when what was complete changes.
CREATE TABLE watchglass.rollups (
    width integer PRIMARY KEY,
    since timestamptz NOT NULL,
    until timestamptz NOT NULL,
    revision bigint NOT NULL DEFAULT 0
) WITH (fillfactor = 50);
INSERT INTO watchglass.rollups (width, since, until)
SELECT width, date_bin('1 day', began - interval '1 day', 'epoch'),
    CASE width WHEN 10 THEN 'infinity' ELSE date_bin(chunk, began, 'epoch') END
FROM (VALUES (10, interval '10 s'), (60, '30 min'), (3600, '1 h'), (86400, '1 d')) AS tiers (width, chunk)
CROSS JOIN (SELECT now() AS began) AS first;

-- Spans for which a process wrote something when it was late: they are rolled up again.
CREATE TABLE watchglass.late_chunks (
    width integer NOT NULL,
    time timestamptz NOT NULL,
    instance_id integer NOT NULL,
    marks bigint NOT NULL DEFAULT 1,
    PRIMARY KEY (width, time, instance_id)
);

-- What the first version wrote, and processes of that version still write: a row per series, process and ten seconds.
CREATE TABLE watchglass.metrics (
    time timestamptz NOT NULL,
    series_id bigint NOT NULL,
    instance_id integer NOT NULL,
    count bigint NOT NULL,
    sum double precision NOT NULL,
    min double precision,
    max double precision,
    buckets bytea,
    carried_over boolean NOT NULL DEFAULT true,
    PRIMARY KEY (series_id, time, instance_id)
) PARTITION BY RANGE (time);
CREATE INDEX metrics_time ON watchglass.metrics USING brin (time) WITH (pages_per_range = 32, autosummarize = on);

-- Rows of the first version as blocks of this one.
CREATE FUNCTION watchglass.add_blocks(gained watchglass.metrics[]) RETURNS void
LANGUAGE sql
SET search_path = pg_catalog, pg_temp
AS $$
    INSERT INTO watchglass.metrics_10s
    SELECT
        time, name, instance_id, array_agg(series_id),
        CASE kind WHEN 'histogram' THEN array_agg(count) END,
        array_agg(sum),
        CASE kind WHEN 'histogram' THEN array_agg(coalesce(min, 'NaN')) END,
        CASE kind WHEN 'histogram' THEN array_agg(coalesce(max, 'NaN')) END,
        CASE kind WHEN 'histogram' THEN array_agg(coalesce(length(buckets), 0) / 6) END,
        string_agg(buckets, '')
    FROM unnest(gained)
    JOIN watchglass.series ON id = series_id
    GROUP BY time, name, kind, instance_id;
    INSERT INTO watchglass.late_chunks AS known
    SELECT DISTINCT 60, date_bin('30 min', time, 'epoch'), instance_id
    FROM unnest(gained)
    WHERE time < now() - interval '40 s'
    ON CONFLICT (width, time, instance_id) DO UPDATE SET marks = known.marks + 1;
$$;

-- What a process of the first version writes is in the tier of ten seconds too, in the same transaction.
CREATE FUNCTION watchglass.carry_over() RETURNS trigger
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF TG_OP = 'INSERT' THEN
        PERFORM watchglass.add_blocks(ARRAY(
            SELECT (time, series_id, instance_id, count, sum, min, max, buckets, true)::watchglass.metrics FROM added
        ));
    ELSE
        PERFORM watchglass.add_blocks(ARRAY(
            SELECT (
                changed.time, changed.series_id, changed.instance_id, greatest(changed.count - before.count, 0),
                CASE WHEN kind IN ('gauge', 'updown') THEN changed.sum ELSE changed.sum - before.sum END,
                changed.min, changed.max, substr(changed.buckets, coalesce(length(before.buckets), 0) + 1), true
            )::watchglass.metrics
            FROM changed
            JOIN before USING (series_id, time, instance_id)
            JOIN watchglass.series ON id = changed.series_id
            WHERE before.carried_over
        ));
    END IF;
    RETURN NULL;
END
$$;
CREATE TRIGGER carry_over_inserts AFTER INSERT ON watchglass.metrics
REFERENCING NEW TABLE AS added FOR EACH STATEMENT EXECUTE FUNCTION watchglass.carry_over();
CREATE TRIGGER carry_over_updates AFTER UPDATE ON watchglass.metrics
REFERENCING OLD TABLE AS before NEW TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION watchglass.carry_over();

-- The ledger: a batch is written when its row is here, in the same transaction. Also the cursor of those who follow.
CREATE TABLE watchglass.batches (
    instance_id integer NOT NULL,
    sequence bigint NOT NULL,
    written_at timestamptz NOT NULL DEFAULT now(),
    points integer NOT NULL,
    logs integer NOT NULL,
    traces integer NOT NULL,
    PRIMARY KEY (instance_id, sequence)
);
CREATE INDEX batches_written_at ON watchglass.batches (written_at);

-- Log lines. (instance_id, sequence, position) is their order within a process.
CREATE TABLE watchglass.logs (
    time timestamptz NOT NULL,
    sequence bigint NOT NULL,
    instance_id integer NOT NULL,
    position integer NOT NULL,
    severity smallint NOT NULL,
    level text NOT NULL,
    logger text NOT NULL,
    message text NOT NULL,
    fields jsonb NOT NULL,
    trace_id bytea,
    span_id bytea,
    exception text,
    PRIMARY KEY (instance_id, sequence, position, time)
) PARTITION BY RANGE (time);
CREATE INDEX logs_time ON watchglass.logs (time);
CREATE INDEX logs_trace_id ON watchglass.logs (trace_id) WHERE trace_id IS NOT NULL;
CREATE INDEX logs_instance ON watchglass.logs (instance_id, time);
CREATE INDEX logs_logger ON watchglass.logs (left(logger, 200), time); -- any text has to fit into an index
CREATE INDEX logs_warnings ON watchglass.logs (time) WHERE severity >= 13;
CREATE INDEX logs_errors ON watchglass.logs (time) WHERE severity >= 17;

-- Traces that were kept: the local root in columns, all its spans in one document.
CREATE TABLE watchglass.traces (
    time timestamptz NOT NULL,
    sequence bigint NOT NULL,
    duration double precision NOT NULL,
    instance_id integer NOT NULL,
    position integer NOT NULL,
    status integer,
    dropped_spans integer NOT NULL,
    trace_id bytea NOT NULL,
    span_id bytea NOT NULL,
    name text NOT NULL,
    route text,
    method text,
    error_type text,
    reason text NOT NULL,
    spans jsonb NOT NULL,
    error_group text,
    statements text[],
    PRIMARY KEY (instance_id, sequence, position, time)
) PARTITION BY RANGE (time);
CREATE INDEX traces_time ON watchglass.traces (time);
CREATE INDEX traces_trace_id ON watchglass.traces (trace_id);
CREATE INDEX traces_endpoint ON watchglass.traces (left(route, 200), time);
CREATE INDEX traces_duration ON watchglass.traces (duration);
CREATE INDEX traces_error_group ON watchglass.traces (error_group, time) WHERE error_group IS NOT NULL;
CREATE INDEX traces_statements ON watchglass.traces USING gin (statements);

-- The minutes before something happened, in full detail, kept for good. `reason`: alert, error_burst, sigterm or by_hand.
CREATE TABLE watchglass.incidents (
    id text PRIMARY KEY,
    time timestamptz NOT NULL,
    service_name text NOT NULL,
    instance_id integer NOT NULL,
    reason text NOT NULL,
    title text NOT NULL,
    window_start timestamptz NOT NULL,
    window_end timestamptz NOT NULL,
    content jsonb NOT NULL
);
CREATE INDEX incidents_time ON watchglass.incidents (time);

-- Requests that run now, as their process last said; what a process left when it died stays for a while.
CREATE TABLE watchglass.pending (
    instance_id integer NOT NULL,
    trace_id bytea NOT NULL,
    span_id bytea NOT NULL,
    name text NOT NULL,
    method text,
    route text,
    started_at timestamptz NOT NULL,
    seen_at timestamptz NOT NULL,
    spans jsonb NOT NULL,
    PRIMARY KEY (instance_id, span_id)
);
CREATE INDEX pending_trace_id ON watchglass.pending (trace_id);

-- Which connections to PostgreSQL the processes of a service hold, and for which request.
CREATE TABLE watchglass.backends (
    instance_id integer NOT NULL,
    pid integer NOT NULL,
    database text NOT NULL,
    connected_at timestamptz NOT NULL,
    trace_id bytea,
    span_id bytea,
    endpoint text,
    request_ended boolean NOT NULL,
    seen_at timestamptz NOT NULL,
    PRIMARY KEY (instance_id, pid, database)
) WITH (fillfactor = 50);

-- Errors that are one and the same, counted whether their trace was kept or not; trace_id is an example that was.
CREATE TABLE watchglass.error_groups (
    service_name text NOT NULL,
    id text NOT NULL,
    error_type text NOT NULL,
    frame text NOT NULL,
    message text NOT NULL,
    stack text NOT NULL,
    first_seen timestamptz NOT NULL,
    last_seen timestamptz NOT NULL,
    count bigint NOT NULL,
    trace_id bytea,
    PRIMARY KEY (service_name, id)
);
CREATE INDEX error_groups_last_seen ON watchglass.error_groups (last_seen);

-- What went before its time, because its table had reached its limit in bytes: up to when, and how much.
CREATE TABLE watchglass.trimmed (
    name text PRIMARY KEY,
    until timestamptz NOT NULL,
    limit_bytes bigint NOT NULL,
    bytes bigint NOT NULL,
    partitions bigint NOT NULL,
    trimmed_at timestamptz NOT NULL
);

-- Statements that pg_stat_statements knows, by the fingerprint of their shape; queryid is that of the one which took most
-- time. What they cost are metrics by fingerprint.
CREATE TABLE watchglass.statements (
    service_name text NOT NULL,
    fingerprint text NOT NULL,
    queryid bigint,
    database text NOT NULL,
    text text NOT NULL,
    first_seen timestamptz NOT NULL DEFAULT now(),
    last_seen timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (service_name, fingerprint)
) WITH (fillfactor = 70);
CREATE INDEX statements_last_seen ON watchglass.statements (last_seen);

-- Plans of statements as EXPLAIN gave them, literals reduced to their shape. `shape` is the hash of what makes two plans
-- the same; one that is captured again is counted and has a new seen_at. `how`: with the real parameters, with none
-- (GENERIC_PLAN), or executed on an admin's wish.
CREATE TABLE watchglass.plans (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    service_name text NOT NULL,
    fingerprint text NOT NULL,
    captured_at timestamptz NOT NULL DEFAULT now(),
    seen_at timestamptz NOT NULL DEFAULT now(),
    captures bigint NOT NULL DEFAULT 1,
    shape text NOT NULL,
    plan jsonb NOT NULL,
    how text NOT NULL CHECK (how IN ('parameters', 'generic', 'analyze')),
    cost double precision NOT NULL,
    seconds double precision,
    trace_id bytea,
    server_version text NOT NULL,
    settings jsonb
);
CREATE INDEX plans_statement ON watchglass.plans (service_name, fingerprint, captured_at);
CREATE INDEX plans_seen_at ON watchglass.plans (seen_at);

-- Since when a statement has another plan, in a sentence.
CREATE TABLE watchglass.plan_events (
    time timestamptz NOT NULL,
    service_name text NOT NULL,
    fingerprint text NOT NULL,
    from_shape text NOT NULL,
    to_shape text NOT NULL,
    sentence text NOT NULL,
    PRIMARY KEY (service_name, fingerprint, time)
);
CREATE INDEX plan_events_time ON watchglass.plan_events (time);

-- Indexes that were advised for a statement, with what was measured before one was built and after. Advice that is still
-- found has a new updated_at.
CREATE TABLE watchglass.advice (
    service_name text NOT NULL,
    id text NOT NULL,
    fingerprint text NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    statement text NOT NULL,
    verified boolean NOT NULL,
    cost_before double precision,
    cost_after double precision,
    size_bytes bigint,
    state text NOT NULL DEFAULT 'open' CHECK (state IN ('open', 'built', 'gone')),
    built_at timestamptz,
    before jsonb,
    after jsonb,
    detail jsonb NOT NULL DEFAULT '{}',
    PRIMARY KEY (service_name, id)
);
CREATE INDEX advice_statement ON watchglass.advice (service_name, fingerprint);

-- What the elected process found out and every process shows: which Redis it is, why a figure is missing.
CREATE TABLE watchglass.facts (
    service_name text NOT NULL,
    name text NOT NULL,
    value jsonb NOT NULL,
    updated_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (service_name, name)
);

-- Who does periodic work. The epoch grows with every change of holder.
CREATE TABLE watchglass.leases (
    name text PRIMARY KEY,
    holder text NOT NULL,
    epoch bigint NOT NULL,
    expires_at timestamptz NOT NULL
);

CREATE TABLE watchglass.secrets (
    name text PRIMARY KEY,
    value text NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now()
);

-- One-time login links, by the hash of their token.
CREATE TABLE watchglass.login_tokens (
    hash bytea PRIMARY KEY,
    username text NOT NULL,
    role text NOT NULL CHECK (role IN ('viewer', 'admin')),
    created_at timestamptz NOT NULL DEFAULT now(),
    expires_at timestamptz NOT NULL,
    used_at timestamptz
);

-- Who did what; rows are only added.
CREATE TABLE watchglass.audit (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    time timestamptz NOT NULL DEFAULT now(),
    actor text NOT NULL,
    action text NOT NULL,
    target text NOT NULL,
    detail jsonb NOT NULL
);
CREATE INDEX audit_time ON watchglass.audit (time);

-- The metrics with one value a row, for queries by hand, each time in the finest resolution that is kept of it. Of a
-- histogram or a gauge the value is the mean.
CREATE VIEW watchglass.metrics_flat AS
WITH kept AS (
    SELECT 10 AS width, time, instance_id, series_id, count, sum, min, max
    FROM watchglass.metrics_10s
    CROSS JOIN LATERAL unnest(series_ids, counts, sums, mins, maxs) AS blocks (series_id, count, sum, min, max)
    UNION ALL
    SELECT 60, time + make_interval(mins => minute), instance_id, series_id, count, sum, min, max
    FROM watchglass.metrics_1m
    CROSS JOIN LATERAL unnest(minutes, counts, sums, mins, maxs) AS blocks (minute, count, sum, min, max)
    WHERE time < (SELECT since FROM watchglass.rollups WHERE width = 10)
    UNION ALL
    SELECT 3600, time, instance_id, series_id, count, sum, min, max
    FROM watchglass.metrics_1h
    WHERE time < (SELECT since FROM watchglass.rollups WHERE width = 60)
    UNION ALL
    SELECT 86400, time, instance_id, series_id, count, sum, min, max
    FROM watchglass.metrics_1d
    WHERE time < (SELECT since FROM watchglass.rollups WHERE width = 3600)
)
SELECT
    md5(concat_ws(':', m.series_id, m.instance_id, extract(epoch FROM m.time)))::uuid AS id,
    m.time AS timestamp,
    s.kind AS metric_type,
    s.name AS metric_name,
    CASE WHEN s.kind <> 'counter' AND m.count > 0 THEN m.sum / m.count ELSE m.sum END AS value,
    s.attributes || jsonb_strip_nulls(jsonb_build_object(
        'unit', s.unit, 'count', coalesce(m.count, 1), 'min', nullif(m.min, 'NaN'), 'max', nullif(m.max, 'NaN'),
        'seconds', m.width, 'service.instance.id', i.service_instance_id
    )) AS metadata
FROM kept AS m
JOIN watchglass.series AS s ON s.id = m.series_id
LEFT JOIN watchglass.instances AS i ON i.id = m.instance_id;

-- The partitions there are, with their bounds.
CREATE FUNCTION watchglass.partitions()
RETURNS TABLE (parent text, name text, lower timestamptz, upper timestamptz, relation oid)
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp SET timezone = 'UTC' SET datestyle = 'ISO, MDY'
AS $$
    SELECT parent.relname, child.relname, bounds[1]::timestamptz, bounds[2]::timestamptz, child.oid
    FROM pg_inherits
    JOIN pg_class AS parent ON parent.oid = inhparent
    JOIN pg_class AS child ON child.oid = inhrelid
    CROSS JOIN LATERAL regexp_match(
        pg_get_expr(child.relpartbound, child.oid), 'FROM \(''([^'']+)''\) TO \(''([^'']+)''\)'
    ) AS bounds
    WHERE parent.relkind = 'p' AND parent.relnamespace = to_regnamespace('watchglass')
$$;

-- A partition of a table. One that is attached never waits for those who read its parent, unlike one made with
-- PARTITION OF. https://www.postgresql.org/docs/current/ddl-partitioning.html#DDL-PARTITIONING-DECLARATIVE-MAINTENANCE
CREATE FUNCTION watchglass.add_partition(parent text, name text, lower timestamptz, upper timestamptz) RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp SET timezone = 'UTC' SET datestyle = 'ISO, MDY'
AS $$
BEGIN
    EXECUTE format('CREATE TABLE watchglass.%I (LIKE watchglass.%I INCLUDING ALL)', name, parent);
    EXECUTE format(
        'ALTER TABLE watchglass.%I ATTACH PARTITION watchglass.%I FOR VALUES FROM (%L) TO (%L)',
        parent, name, lower, upper
    );
END
$$;

-- Create the partitions from one before now, or where rolling up goes on, to some ahead: seven days of metrics, one of
-- logs and traces, of which an hour may have been divided.
-- Returns how many were missing.
CREATE FUNCTION watchglass.create_partitions() RETURNS integer
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp SET timezone = 'UTC' SET datestyle = 'ISO, MDY'
AS $$
DECLARE
    missing record;
    created integer := 0;
BEGIN
    PERFORM pg_advisory_xact_lock(hashtext('watchglass'), hashtext('partitions'));
    FOR missing IN
        WITH wanted AS (
            SELECT parent, pattern, span, generate_series(
                date_bin(span, least(until, now() - least(span, '1 day')), '2001-01-01'), now() + ahead, span
            ) AS lower
            FROM (VALUES
                ('metrics', 'YYYYMMDD', interval '1 day', interval '7 days', NULL),
                ('metrics_10s', 'YYYYMMDD', '1 day', '7 days', NULL),
                ('metrics_1m', 'YYYYMMDD', '1 day', '7 days', 60),
                ('metrics_1h', 'YYYYMMDD', '7 days', '7 days', 3600),
                ('metrics_1d', 'YYYYMMDD', '91 days', '7 days', 86400),
                ('logs', 'YYYYMMDDHH24', '1 hour', '1 day', NULL),
                ('traces', 'YYYYMMDDHH24', '1 hour', '1 day', NULL)
            ) AS spans (parent, pattern, span, ahead, tier)
            LEFT JOIN watchglass.rollups ON width = tier
        )
        SELECT
            wanted.parent, wanted.parent || '_' || to_char(wanted.lower, pattern) AS name, wanted.lower,
            wanted.lower + span AS upper
        FROM wanted
        LEFT JOIN watchglass.partitions() AS present
            ON present.parent = wanted.parent AND present.lower < wanted.lower + span AND present.upper > wanted.lower
        WHERE present.parent IS NULL
    LOOP
        PERFORM watchglass.add_partition(missing.parent, missing.name, missing.lower, missing.upper);
        created := created + 1;
    END LOOP;
    RETURN created;
END
$$;

-- Drop the oldest partition that holds nothing younger than asked, and return its name; null when there is none. `keep`
-- has an interval by table; a table that is not in it is kept, as is what has not been rolled up yet, or not wholly. The
-- tiers are locked, so that nobody rolls up what is being dropped.
-- One at a time: the caller's lock_timeout bounds how long our own readers wait, and a failed one is tried again later.
CREATE FUNCTION watchglass.drop_expired_partition(keep jsonb) RETURNS text
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp SET timezone = 'UTC' SET datestyle = 'ISO, MDY'
AS $$
DECLARE
    expired record;
BEGIN
    IF EXISTS (SELECT FROM jsonb_each_text(keep) WHERE value::interval < interval '2 hours') THEN
        RAISE EXCEPTION 'telemetry is kept for at least two hours' USING ERRCODE = 'invalid_parameter_value';
    END IF;
    PERFORM FROM watchglass.rollups FOR UPDATE;
    SELECT name, upper, tier INTO expired
    FROM watchglass.partitions()
    LEFT JOIN (VALUES
        ('metrics', NULL, 60), ('metrics_10s', 10, 60), ('metrics_1m', 60, 3600), ('metrics_1h', 3600, 86400)
        , ('metrics_1d', 86400, NULL)
    ) AS tiers (table_name, tier, next) ON table_name = parent
    LEFT JOIN watchglass.rollups ON width = next
    WHERE upper <= now() - (keep ->> parent)::interval AND upper <= coalesce(until, 'infinity')
        AND NOT EXISTS (SELECT FROM watchglass.late_chunks WHERE width = next AND time >= lower AND time < upper)
    ORDER BY upper, name
    LIMIT 1;
    IF expired.name IS NOT NULL THEN
        EXECUTE format('DROP TABLE watchglass.%I', expired.name);
        UPDATE watchglass.rollups SET since = greatest(since, expired.upper) WHERE width = expired.tier;
    END IF;
    RETURN expired.name;
END
$$;

-- The same for processes of the first version.
CREATE FUNCTION watchglass.drop_expired_partition(metrics_days integer, records_days integer) RETURNS text
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp SET timezone = 'UTC' SET datestyle = 'ISO, MDY'
AS $$
BEGIN
    RETURN watchglass.drop_expired_partition(jsonb_build_object(
        'metrics', make_interval(days => metrics_days),
        'logs', make_interval(days => records_days),
        'traces', make_interval(days => records_days)
    ));
END
$$;

-- Drop the oldest partition of a table that is larger than its limit in bytes, and return its name; null when there is
-- none. `limits` has bytes by table, of logs and traces only. What is being written now stays: the partition that holds
-- the present, and those ahead of it. What goes is noted, so that those who look further back are told.
CREATE FUNCTION watchglass.drop_oversized_partition(limits jsonb) RETURNS text
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp SET timezone = 'UTC' SET datestyle = 'ISO, MDY'
AS $$
DECLARE
    oversized record;
BEGIN
    IF EXISTS (
        SELECT FROM jsonb_each_text(limits) WHERE key NOT IN ('logs', 'traces') OR value::bigint < 16 * 1024 * 1024
    ) THEN
        RAISE EXCEPTION 'logs and traces have limits of 16 MB or more' USING ERRCODE = 'invalid_parameter_value';
    END IF;
    SELECT parent, name, upper, size, (limits ->> parent)::bigint AS most INTO oversized
    FROM (
        SELECT
            parent, name, upper, pg_relation_size(relation) AS holds, pg_total_relation_size(relation) AS size,
            sum(pg_total_relation_size(relation)) OVER (PARTITION BY parent) AS whole
        FROM watchglass.partitions()
        WHERE limits ? parent
    ) AS sized
    WHERE whole > (limits ->> parent)::bigint AND upper <= now() AND holds > 0
    ORDER BY upper, name
    LIMIT 1;
    IF oversized.name IS NOT NULL THEN
        EXECUTE format('DROP TABLE watchglass.%I', oversized.name);
        INSERT INTO watchglass.trimmed AS known (name, until, limit_bytes, bytes, partitions, trimmed_at)
        VALUES (oversized.parent, oversized.upper, oversized.most, oversized.size, 1, now())
        ON CONFLICT (name) DO UPDATE SET
            until = greatest(known.until, excluded.until), limit_bytes = excluded.limit_bytes,
            bytes = known.bytes + excluded.bytes, partitions = known.partitions + 1, trimmed_at = excluded.trimmed_at;
    END IF;
    RETURN oversized.name;
END
$$;

-- Divide the hours of logs or traces that begin next into six, where the newest ones hold more than an eighth of what
-- their table may take: what goes for the limit is a partition, and so never much of what may stay. Returns how many
-- were divided. Only what is empty is replaced.
CREATE FUNCTION watchglass.divide_partitions(limits jsonb) RETURNS integer
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp SET timezone = 'UTC' SET datestyle = 'ISO, MDY'
AS $$
DECLARE
    wide record;
    is_empty boolean;
    divided integer := 0;
BEGIN
    PERFORM pg_advisory_xact_lock(hashtext('watchglass'), hashtext('partitions'));
    FOR wide IN
        SELECT next.parent, next.name, next.lower
        FROM watchglass.partitions() AS next
        JOIN watchglass.partitions() AS newest ON newest.parent = next.parent
        WHERE next.lower > now() + interval '6 min' AND next.lower < now() + interval '2 hours'
            AND next.upper - next.lower = interval '1 hour' AND next.parent IN ('logs', 'traces')
            AND newest.lower <= now() AND newest.upper > now() - interval '1 hour'
        GROUP BY 1, 2, 3
        HAVING sum(pg_total_relation_size(newest.relation)) > (limits ->> next.parent)::bigint / 8
    LOOP
        EXECUTE format('LOCK TABLE ONLY watchglass.%I', wide.parent);
        EXECUTE format('SELECT NOT EXISTS (SELECT FROM watchglass.%I)', wide.name) INTO is_empty;
        CONTINUE WHEN NOT is_empty;
        EXECUTE format('DROP TABLE watchglass.%I', wide.name);
        PERFORM watchglass.add_partition(
            wide.parent, wide.parent || '_' || to_char(lower, 'YYYYMMDDHH24MI'), lower, lower + interval '10 min'
        ) FROM generate_series(wide.lower, wide.lower + interval '50 min', '10 min') AS lower;
        divided := divided + 1;
    END LOOP;
    RETURN divided;
END
$$;

-- Make the index by which text is found for the newest hour of log lines that has none, where the extension pg_trgm is
-- there, and return its name; null when there is none left. At once and once the hour is over: line by line it costs
-- twice as much, and those who write would wait for it. Hours smaller than asked are read as quickly without.
CREATE FUNCTION watchglass.index_text(smallest bigint, largest bigint) RETURNS text
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp SET timezone = 'UTC' SET datestyle = 'ISO, MDY'
AS $$
DECLARE
    trigrams record;
    hour text;
BEGIN
    SELECT opcname, nspname INTO trigrams
    FROM pg_opclass
    JOIN pg_namespace ON pg_namespace.oid = opcnamespace
    WHERE opcname = 'gin_trgm_ops' AND has_schema_privilege(pg_namespace.oid, 'USAGE');
    IF NOT FOUND OR NOT pg_try_advisory_xact_lock(hashtext('watchglass'), hashtext('text')) THEN
        RETURN NULL;
    END IF;
    SELECT name INTO hour
    FROM watchglass.partitions()
    WHERE parent = 'logs' AND upper <= now() - interval '10 min'
        AND pg_relation_size(relation) BETWEEN smallest AND largest
        AND NOT EXISTS (
            SELECT FROM pg_index JOIN pg_opclass ON pg_opclass.oid = ANY (indclass)
            WHERE indrelid = relation AND opcname = 'gin_trgm_ops'
        )
    ORDER BY upper DESC
    LIMIT 1;
    IF hour IS NOT NULL THEN
        EXECUTE format(
            'CREATE INDEX %1$I ON watchglass.%2$I USING gin (message %3$I.%4$I, exception %3$I.%4$I)',
            hour || '_text', hour, trigrams.nspname, trigrams.opcname
        );
    END IF;
    RETURN hour;
END
$$;

-- Grant a role what an application needs. Run as the owner.
CREATE FUNCTION watchglass.grant_to(application name) RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    EXECUTE format('GRANT USAGE ON SCHEMA watchglass TO %I', application);
    EXECUTE format('GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA watchglass TO %I', application);
    EXECUTE format('REVOKE INSERT, UPDATE, DELETE ON watchglass.migrations FROM %I', application);
    EXECUTE format('REVOKE UPDATE, DELETE ON watchglass.audit FROM %I', application);
    EXECUTE format('GRANT EXECUTE ON FUNCTION watchglass.partitions() TO %I', application);
    EXECUTE format('GRANT EXECUTE ON FUNCTION watchglass.create_partitions() TO %I', application);
    EXECUTE format('GRANT EXECUTE ON FUNCTION watchglass.add_blocks(watchglass.metrics[]) TO %I', application);
    EXECUTE format('GRANT EXECUTE ON FUNCTION watchglass.drop_expired_partition(integer, integer) TO %I', application);
    EXECUTE format('GRANT EXECUTE ON FUNCTION watchglass.drop_expired_partition(jsonb) TO %I', application);
    EXECUTE format('GRANT EXECUTE ON FUNCTION watchglass.drop_oversized_partition(jsonb) TO %I', application);
    EXECUTE format('GRANT EXECUTE ON FUNCTION watchglass.divide_partitions(jsonb) TO %I', application);
    EXECUTE format('GRANT EXECUTE ON FUNCTION watchglass.index_text(bigint, bigint) TO %I', application);
END
$$;

REVOKE ALL ON FUNCTION watchglass.partitions() FROM PUBLIC;
REVOKE ALL ON FUNCTION watchglass.create_partitions() FROM PUBLIC;
REVOKE ALL ON FUNCTION watchglass.drop_expired_partition(integer, integer) FROM PUBLIC;
REVOKE ALL ON FUNCTION watchglass.drop_expired_partition(jsonb) FROM PUBLIC;
REVOKE ALL ON FUNCTION watchglass.drop_oversized_partition(jsonb) FROM PUBLIC;
REVOKE ALL ON FUNCTION watchglass.divide_partitions(jsonb) FROM PUBLIC;
REVOKE ALL ON FUNCTION watchglass.index_text(bigint, bigint) FROM PUBLIC;
REVOKE ALL ON FUNCTION watchglass.add_partition(text, text, timestamptz, timestamptz) FROM PUBLIC;
REVOKE ALL ON FUNCTION watchglass.add_blocks(watchglass.metrics[]) FROM PUBLIC;
REVOKE ALL ON FUNCTION watchglass.carry_over() FROM PUBLIC;
REVOKE ALL ON FUNCTION watchglass.grant_to(name) FROM PUBLIC;
