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

-- What a series of a process gained in ten seconds. Histogram: all columns, buckets as packed (int16 index, uint32 count)
-- pairs on one grid. Counter: sum is the increase. Gauge: sum is the last sample, between min and max of all samples.
CREATE TABLE watchglass.metrics (
    time timestamptz NOT NULL,
    series_id bigint NOT NULL,
    instance_id integer NOT NULL,
    count bigint NOT NULL,
    sum double precision NOT NULL,
    min double precision,
    max double precision,
    buckets bytea,
    PRIMARY KEY (series_id, time, instance_id)
) PARTITION BY RANGE (time);
CREATE INDEX metrics_time ON watchglass.metrics USING brin (time) WITH (pages_per_range = 32, autosummarize = on);

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
CREATE INDEX batches_written_at ON watchglass.batches USING brin (written_at) WITH (pages_per_range = 32, autosummarize = on);

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
    PRIMARY KEY (instance_id, sequence, position, time)
) PARTITION BY RANGE (time);
CREATE INDEX traces_time ON watchglass.traces (time);
CREATE INDEX traces_trace_id ON watchglass.traces (trace_id);

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

-- The metrics with one value a row, for queries by hand. Of a histogram the value is the mean.
CREATE VIEW watchglass.metrics_flat AS
SELECT
    md5(concat_ws(':', m.series_id, m.instance_id, extract(epoch FROM m.time)))::uuid AS id,
    m.time AS timestamp,
    s.kind AS metric_type,
    s.name AS metric_name,
    CASE WHEN s.kind = 'histogram' AND m.count > 0 THEN m.sum / m.count ELSE m.sum END AS value,
    s.attributes || jsonb_strip_nulls(jsonb_build_object(
        'unit', s.unit, 'count', m.count, 'min', m.min, 'max', m.max, 'service.instance.id', i.service_instance_id
    )) AS metadata
FROM watchglass.metrics AS m
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

-- Create the partitions from one before now to some ahead: seven days of metrics, one day of logs and traces by the hour.
-- Returns how many were missing. A table that is attached never waits for those who read its parent, unlike one made
-- with PARTITION OF. https://www.postgresql.org/docs/current/ddl-partitioning.html#DDL-PARTITIONING-DECLARATIVE-MAINTENANCE
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
            SELECT 'metrics' AS parent, 'YYYYMMDD' AS pattern, interval '1 day' AS span,
                generate_series(date_trunc('day', now()) - interval '1 day', now() + interval '7 days', '1 day') AS lower
            UNION ALL
            SELECT hourly, 'YYYYMMDDHH24', interval '1 hour',
                generate_series(date_trunc('hour', now()) - interval '1 hour', now() + interval '1 day', '1 hour')
            FROM unnest(ARRAY['logs', 'traces']) AS hourly
        )
        SELECT parent, parent || '_' || to_char(lower, pattern) AS name, lower, lower + span AS upper FROM wanted
    LOOP
        CONTINUE WHEN to_regclass(format('watchglass.%I', missing.name)) IS NOT NULL;
        EXECUTE format('CREATE TABLE watchglass.%I (LIKE watchglass.%I INCLUDING ALL)', missing.name, missing.parent);
        EXECUTE format(
            'ALTER TABLE watchglass.%I ATTACH PARTITION watchglass.%I FOR VALUES FROM (%L) TO (%L)',
            missing.parent, missing.name, missing.lower, missing.upper
        );
        created := created + 1;
    END LOOP;
    RETURN created;
END
$$;

-- Drop the oldest partition that holds nothing younger than asked, and return its name; null when there is none.
-- One at a time: the caller's lock_timeout bounds how long our own readers wait, and a failed one is tried again later.
CREATE FUNCTION watchglass.drop_expired_partition(metrics_days integer, records_days integer) RETURNS text
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp SET timezone = 'UTC' SET datestyle = 'ISO, MDY'
AS $$
DECLARE
    expired text;
BEGIN
    IF metrics_days < 1 OR records_days < 1 THEN
        RAISE EXCEPTION 'telemetry is kept for at least one day' USING ERRCODE = 'invalid_parameter_value';
    END IF;
    SELECT name INTO expired
    FROM watchglass.partitions()
    WHERE upper <= now() - make_interval(days => CASE parent WHEN 'metrics' THEN metrics_days ELSE records_days END)
    ORDER BY upper, name
    LIMIT 1;
    IF expired IS NOT NULL THEN
        EXECUTE format('DROP TABLE watchglass.%I', expired);
    END IF;
    RETURN expired;
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
    EXECUTE format('GRANT EXECUTE ON FUNCTION watchglass.drop_expired_partition(integer, integer) TO %I', application);
END
$$;

REVOKE ALL ON FUNCTION watchglass.partitions() FROM PUBLIC;
REVOKE ALL ON FUNCTION watchglass.create_partitions() FROM PUBLIC;
REVOKE ALL ON FUNCTION watchglass.drop_expired_partition(integer, integer) FROM PUBLIC;
REVOKE ALL ON FUNCTION watchglass.grant_to(name) FROM PUBLIC;
