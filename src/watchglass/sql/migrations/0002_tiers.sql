-- Metrics in four resolutions. The first version's table stays for processes that still write it: what they write is
-- carried over at once, what they wrote before is taken up when its half hour is rolled up.

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

CREATE TABLE watchglass.metrics_1d (LIKE watchglass.metrics_1h INCLUDING CONSTRAINTS, PRIMARY KEY (series_id, time, instance_id))
PARTITION BY RANGE (time);
CREATE INDEX metrics_1d_time ON watchglass.metrics_1d USING brin (time) WITH (pages_per_range = 16, autosummarize = on);

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
CROSS JOIN (
    SELECT coalesce(least(greatest(
        (SELECT min(started_at) FROM watchglass.instances),
        (SELECT min(lower) FROM watchglass.partitions() WHERE parent = 'metrics')
    ), now()), now()) AS began
) AS first;

CREATE TABLE watchglass.late_chunks (
    width integer NOT NULL,
    time timestamptz NOT NULL,
    instance_id integer NOT NULL,
    marks bigint NOT NULL DEFAULT 1,
    PRIMARY KEY (width, time, instance_id)
);

ALTER TABLE watchglass.metrics ADD COLUMN carried_over boolean NOT NULL DEFAULT false;
ALTER TABLE watchglass.metrics ALTER COLUMN carried_over SET DEFAULT true;

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

CREATE OR REPLACE VIEW watchglass.metrics_flat AS
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

CREATE OR REPLACE FUNCTION watchglass.create_partitions() RETURNS integer
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

CREATE OR REPLACE FUNCTION watchglass.drop_expired_partition(metrics_days integer, records_days integer) RETURNS text
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

CREATE OR REPLACE FUNCTION watchglass.grant_to(application name) RETURNS void
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
END
$$;

REVOKE ALL ON FUNCTION watchglass.add_blocks(watchglass.metrics[]) FROM PUBLIC;
REVOKE ALL ON FUNCTION watchglass.carry_over() FROM PUBLIC;
REVOKE ALL ON FUNCTION watchglass.drop_expired_partition(jsonb) FROM PUBLIC;

INSERT INTO watchglass.migrations (version, name, min_writer) VALUES (2, 'tiers', 1);
