-- name: hypopg_path
-- Find HypoPG's functions, which are in this schema (quoted), and PostgreSQL's own; the path was `before`.
SELECT
    pg_catalog.current_setting('search_path') AS before,
    pg_catalog.set_config('search_path', pg_catalog.concat_ws(', ', 'pg_catalog', $1::pg_catalog.text), true);

-- name: hypopg_path_before
-- Find what was found before.
SELECT pg_catalog.set_config('search_path', $1::pg_catalog.text, true);

-- name: hypopg_create
-- An index that only EXPLAIN sees, and only in this session. https://hypopg.readthedocs.io/en/rel1_stable/usage.html
SELECT indexrelid::bigint AS oid, indexname AS name, hypopg_relation_size(indexrelid) AS bytes
FROM hypopg_create_index($1::text);

-- name: hypopg_drop
-- Forget one of those: behind pgbouncer the session outlives its connection.
SELECT hypopg_drop_index($1::bigint::oid);
