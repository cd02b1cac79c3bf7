-- Logs and traces that are searched, and limited in bytes. Older processes go on writing: what is new may be left out.
--
-- The indexes are made on the tables alone and then on their partitions, newest first, as far as half a gigabyte
-- reaches: so a store of any size is upgraded in seconds. Older partitions go without until they expire.

CREATE INDEX logs_instance ON ONLY watchglass.logs (instance_id, time);
CREATE INDEX logs_logger ON ONLY watchglass.logs (left(logger, 200), time);
CREATE INDEX logs_warnings ON ONLY watchglass.logs (time) WHERE severity >= 13;
CREATE INDEX logs_errors ON ONLY watchglass.logs (time) WHERE severity >= 17;

ALTER TABLE watchglass.traces ADD COLUMN error_group text;
ALTER TABLE watchglass.traces ADD COLUMN statements text[];
CREATE INDEX traces_endpoint ON ONLY watchglass.traces (left(route, 200), time);
CREATE INDEX traces_duration ON ONLY watchglass.traces (duration);
CREATE INDEX traces_error_group ON ONLY watchglass.traces (error_group, time) WHERE error_group IS NOT NULL;
CREATE INDEX traces_statements ON ONLY watchglass.traces USING gin (statements);

DO $$
DECLARE
    missing record;
BEGIN
    FOR missing IN
        SELECT relname AS whole, pg_get_indexdef(indexrelid) AS definition, name,
            name || substr(relname, length(parent) + 1) AS part
        FROM (
            SELECT *, sum(pg_table_size(relation)) OVER (PARTITION BY parent ORDER BY lower DESC) AS reaching
            FROM watchglass.partitions()
            WHERE parent IN ('logs', 'traces')
        ) AS newest
        JOIN pg_index AS parents ON indrelid = format('watchglass.%I', parent)::regclass
        JOIN pg_class ON pg_class.oid = indexrelid
        WHERE reaching < 512 * 1024 * 1024 AND NOT EXISTS (
            SELECT FROM pg_inherits JOIN pg_index AS children ON children.indexrelid = inhrelid
            WHERE inhparent = parents.indexrelid AND children.indrelid = relation
        )
    LOOP
        EXECUTE replace(
            missing.definition,
            split_part(missing.definition, ' USING ', 1),
            format('CREATE INDEX %I ON watchglass.%I', missing.part, missing.name)
        );
        EXECUTE format('ALTER INDEX watchglass.%I ATTACH PARTITION watchglass.%I', missing.whole, missing.part);
    END LOOP;
END
$$;

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

CREATE TABLE watchglass.trimmed (
    name text PRIMARY KEY,
    until timestamptz NOT NULL,
    limit_bytes bigint NOT NULL,
    bytes bigint NOT NULL,
    partitions bigint NOT NULL,
    trimmed_at timestamptz NOT NULL
);

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
    EXECUTE format('GRANT EXECUTE ON FUNCTION watchglass.drop_oversized_partition(jsonb) TO %I', application);
    EXECUTE format('GRANT EXECUTE ON FUNCTION watchglass.divide_partitions(jsonb) TO %I', application);
    EXECUTE format('GRANT EXECUTE ON FUNCTION watchglass.index_text(bigint, bigint) TO %I', application);
END
$$;

REVOKE ALL ON FUNCTION watchglass.drop_oversized_partition(jsonb) FROM PUBLIC;
REVOKE ALL ON FUNCTION watchglass.divide_partitions(jsonb) FROM PUBLIC;
REVOKE ALL ON FUNCTION watchglass.index_text(bigint, bigint) FROM PUBLIC;
REVOKE ALL ON FUNCTION watchglass.add_partition(text, text, timestamptz, timestamptz) FROM PUBLIC;

-- Who follows the log lines asks several times a second what was written lately: a BRIN index answers that within a
-- millisecond once autovacuum has summarised it, and reads the whole ledger where it has not.
DROP INDEX watchglass.batches_written_at;
CREATE INDEX batches_written_at ON watchglass.batches (written_at);

INSERT INTO watchglass.migrations (version, name, min_writer) VALUES (3, 'logs and traces', 1);
