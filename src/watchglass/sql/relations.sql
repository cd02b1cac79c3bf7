-- name: relations_named
-- The tables of these names ("schema"."table" or "table", quoted), as the connection's search_path finds them. Pages are
-- those of the file now, rows are scaled to them as the planner does; -1 where it was never analyzed.
-- https://www.postgresql.org/docs/current/catalog-pg-class.html
SELECT
    written, c.oid::bigint AS oid, n.nspname AS schema, c.relname AS name,
    pg_catalog.format('%I.%I', n.nspname, c.relname) AS quoted, c.relkind::text AS kind,
    coalesce(c.reltuples, -1)::double precision AS tuples, c.relpages AS analyzed_pages,
    coalesce(pg_catalog.pg_relation_size(c.oid) / current_setting('block_size')::bigint, 0) AS pages,
    coalesce(pg_catalog.pg_relation_size(nullif(c.reltoastrelid, 0)), 0) AS beside_bytes,
    pg_catalog.pg_stat_get_tuples_inserted(c.oid) AS inserts,
    pg_catalog.pg_stat_get_tuples_updated(c.oid) AS updates,
    pg_catalog.pg_stat_get_tuples_hot_updated(c.oid) AS hot_updates
FROM unnest($1::text[]) AS names (written)
JOIN pg_catalog.pg_class c ON c.oid = pg_catalog.to_regclass(written)
JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
LIMIT 50;

-- name: relations_partitions
-- These partitioned tables and their partitions, each behind its parent; of one that has more of them than $2 (in_all,
-- itself included) some that are chosen by chance, and always the same.
-- https://www.postgresql.org/docs/current/ddl-partitioning.html
WITH RECURSIVE parts AS (
        SELECT root AS root, root AS oid, 0::oid AS parent, 0 AS depth
        FROM unnest($1::bigint[]::oid[]) AS roots (root)
    UNION ALL
        SELECT parts.root, inhrelid, inhparent, depth + 1
        FROM parts
        JOIN pg_catalog.pg_inherits ON inhparent = parts.oid
    ),
    chosen AS (
        SELECT
            root, oid, parent, depth, count(*) OVER (PARTITION BY root) AS in_all,
            row_number() OVER (PARTITION BY root ORDER BY depth > 0, pg_catalog.hashoid(oid)) AS place
        FROM parts
    )
SELECT
    parts.in_all, parts.root::bigint AS root, c.oid::bigint AS oid, parts.parent::bigint AS parent, c.relname AS name,
    pg_catalog.format('%I.%I', n.nspname, c.relname) AS quoted, pg_catalog.quote_ident(n.nspname) AS quoted_schema,
    c.relkind = 'p' AS has_parts, c.relkind = 'f' AS is_foreign,
    coalesce(c.reltuples, -1)::double precision AS tuples, c.relpages AS analyzed_pages,
    coalesce(pg_catalog.pg_relation_size(c.oid) / current_setting('block_size')::bigint, 0) AS pages,
    coalesce(pg_catalog.pg_relation_size(nullif(c.reltoastrelid, 0)), 0) AS beside_bytes,
    pg_catalog.pg_stat_get_tuples_inserted(c.oid) AS inserts,
    pg_catalog.pg_stat_get_tuples_updated(c.oid) AS updates,
    pg_catalog.pg_stat_get_tuples_hot_updated(c.oid) AS hot_updates
FROM chosen AS parts
JOIN pg_catalog.pg_class c ON c.oid = parts.oid
JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
WHERE parts.place <= $2
ORDER BY parts.depth, c.oid;

-- name: relations_columns
-- The columns of these tables ($2: their names), with what ANALYZE saw; null where it saw nothing, or the role may not read the column.
-- Of a partitioned table it sees the whole. Values of more than 1 kB it only counts. The common elements of an array are
-- followed by three figures about them.
-- https://www.postgresql.org/docs/current/view-pg-stats.html
SELECT
    a.attrelid::bigint AS oid, a.attname AS name, pg_catalog.quote_ident(a.attname) AS quoted,
    pg_catalog.format_type(a.atttypid, NULL) AS type, s.n_distinct, s.null_frac, s.correlation,
    coalesce(s.avg_width, CASE WHEN a.attlen > 0 THEN a.attlen ELSE 32 END) AS avg_width,
    s.correlation IS NULL AND NOT s.is_bounded AND s.avg_width > 0 AS is_long, s.elements, s.common_elements,
    coalesce(
        CASE WHEN l.collname = 'default' THEN
            d.datcollate IN ('C', 'POSIX') AND coalesce(to_jsonb(d) ->> 'datlocprovider', 'c') = 'c'
        ELSE l.collname IN ('C', 'POSIX') END, false
    ) AS ordered_by_bytes
FROM pg_catalog.pg_attribute a
JOIN pg_catalog.pg_class c ON c.oid = a.attrelid
JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
JOIN pg_catalog.pg_database d ON d.datname = current_database()
LEFT JOIN pg_catalog.pg_collation l ON l.oid = a.attcollation
LEFT JOIN (
    SELECT
        schemaname, tablename, attname, inherited, n_distinct, null_frac, avg_width, correlation,
        histogram_bounds IS NOT NULL OR most_common_freqs IS NOT NULL AS is_bounded,
        elem_count_histogram[array_upper(elem_count_histogram, 1)] AS elements,
        (
            SELECT sum(frequency) FROM unnest(most_common_elem_freqs) WITH ORDINALITY AS one (frequency, place)
            WHERE place <= array_length(most_common_elem_freqs, 1) - 3
        ) AS common_elements
    FROM pg_catalog.pg_stats
    WHERE tablename = ANY ($2::name[])
) AS s ON s.schemaname = n.nspname AND s.tablename = c.relname AND s.attname = a.attname
    AND s.inherited = (c.relkind = 'p')
WHERE a.attrelid = ANY ($1::bigint[]::oid[]) AND a.attnum > 0 AND NOT a.attisdropped
ORDER BY a.attrelid, a.attnum
LIMIT 5000;

-- name: relations_indexes
-- The indexes of these tables: their keys as PostgreSQL writes them, without INCLUDE, and classes of operators.
-- https://www.postgresql.org/docs/current/catalog-pg-index.html
SELECT
    i.indrelid::bigint AS oid, c.relname AS name, m.amname AS method,
    ARRAY(
        SELECT pg_catalog.pg_get_indexdef(i.indexrelid, k, true) FROM generate_series(1, i.indnkeyatts) AS k ORDER BY k
    ) AS keys,
    ARRAY(
        SELECT o.opcname::text FROM unnest(i.indclass::oid[]) WITH ORDINALITY AS used (class, k)
        JOIN pg_catalog.pg_opclass o ON o.oid = used.class ORDER BY k
    ) AS classes,
    pg_catalog.pg_get_expr(i.indpred, i.indrelid) AS predicate, i.indisunique AS "unique", i.indisprimary AS "primary",
    k.conname AS "constraint", i.indisvalid AND i.indisready AS valid,
    c.relpages::bigint * current_setting('block_size')::bigint AS bytes,
    pg_catalog.pg_stat_get_numscans(i.indexrelid) AS scans
FROM pg_catalog.pg_index i
JOIN pg_catalog.pg_class c ON c.oid = i.indexrelid
JOIN pg_catalog.pg_am m ON m.oid = c.relam
LEFT JOIN pg_catalog.pg_constraint k ON k.conindid = i.indexrelid AND k.contype IN ('p', 'u', 'x')
WHERE i.indrelid = ANY ($1::bigint[]::oid[])
ORDER BY i.indrelid, i.indexrelid
LIMIT 1000;

-- name: relations_server
-- What advice depends on besides tables: extensions, since when statistics are counted, and whether this is a replica.
SELECT
    (
        SELECT pg_catalog.quote_ident(n.nspname)
        FROM pg_catalog.pg_extension e JOIN pg_catalog.pg_namespace n ON n.oid = e.extnamespace
        WHERE e.extname = 'pg_trgm'
    ) AS trigrams,
    EXISTS (SELECT FROM pg_catalog.pg_available_extensions WHERE name = 'pg_trgm') AS trigrams_available,
    (
        SELECT pg_catalog.quote_ident(n.nspname)
        FROM pg_catalog.pg_extension e JOIN pg_catalog.pg_namespace n ON n.oid = e.extnamespace
        WHERE e.extname = 'hypopg'
    ) AS hypopg,
    EXISTS (SELECT FROM pg_catalog.pg_available_extensions WHERE name = 'hypopg') AS hypopg_available,
    extract(epoch FROM coalesce(d.stats_reset, pg_catalog.pg_postmaster_start_time()))::double precision
        AS counted_since,
    extract(epoch FROM now())::double precision AS now,
    pg_catalog.pg_is_in_recovery() AS replica
FROM pg_catalog.pg_stat_database d
WHERE d.datname = current_database();

-- name: relations_index_usage
-- Every index of the application's tables by size, with how often it was scanned, and what tells its keys from another's.
-- Without those of partitions, which cannot be dropped alone, and of extensions.
SELECT
    n.nspname AS schema, t.relname AS "table", c.relname AS name,
    pg_catalog.format('%I.%I', n.nspname, t.relname) AS quoted_table,
    pg_catalog.format('%I.%I', n.nspname, c.relname) AS quoted, i.indexrelid::bigint AS oid,
    m.amname AS method,
    i.indkey::text AS columns, i.indclass::text AS classes, i.indcollation::text AS collations,
    i.indoption::text AS options,
    i.indnatts - i.indnkeyatts AS included,
    i.indexprs::text AS expressions, i.indpred::text AS predicate,
    i.indisunique AS "unique", i.indisprimary AS "primary", k.conname AS "constraint",
    i.indisreplident AS replica_identity, i.indisvalid AS valid,
    greatest(c.relpages, 0)::bigint * current_setting('block_size')::bigint AS bytes,
    pg_catalog.pg_stat_get_numscans(i.indexrelid) AS scans
FROM pg_catalog.pg_index i
JOIN pg_catalog.pg_class c ON c.oid = i.indexrelid
JOIN pg_catalog.pg_class t ON t.oid = i.indrelid
JOIN pg_catalog.pg_namespace n ON n.oid = t.relnamespace
JOIN pg_catalog.pg_am m ON m.oid = c.relam
LEFT JOIN pg_catalog.pg_constraint k ON k.conindid = i.indexrelid AND k.contype IN ('p', 'u', 'x')
LEFT JOIN pg_catalog.pg_depend e
    ON e.classid = 'pg_catalog.pg_class'::regclass AND e.objid = t.oid AND e.deptype = 'e'
WHERE t.relkind IN ('r', 'm') AND NOT c.relispartition AND e.objid IS NULL
    AND n.nspname NOT IN ('pg_catalog', 'information_schema', 'watchglass') AND n.nspname !~ '^pg_'
ORDER BY c.relpages DESC, i.indexrelid
LIMIT $1;
