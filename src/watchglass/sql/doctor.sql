-- name: server
-- What the server is, and what the current role may see of it. An ordinary role is not shown shared_preload_libraries.
SELECT
    current_setting('server_version') AS version,
    current_setting('server_version_num')::integer AS version_number,
    pg_is_in_recovery() AS is_replica,
    quote_ident(current_user) AS role,
    quote_ident(current_database()) AS database,
    pg_has_role(current_user, 'pg_monitor', 'USAGE') AS monitors,
    current_setting('track_io_timing')::boolean AS times_io,
    EXISTS (SELECT FROM pg_settings WHERE name = 'pg_stat_statements.max') AS loads_statements,
    (SELECT setting FROM pg_settings WHERE name = 'shared_preload_libraries') AS preloaded;

-- name: extensions
-- Which of these extensions the server has, and which of them this database has.
SELECT name, installed_version
FROM pg_available_extensions
WHERE name = ANY ($1::text[]);

-- name: explaining
-- What the current role is, as which statements are explained. Of a superuser it is not asked what it may read.
SELECT
    quote_ident(current_user) AS role,
    current_database()::text AS database,
    (SELECT rolsuper FROM pg_roles WHERE rolname = current_user) AS is_superuser,
    pg_has_role(current_user, 'pg_read_all_data', 'USAGE') AS reads_all,
    (
        SELECT reset_val::boolean FROM pg_settings WHERE name = 'default_transaction_read_only'
    ) OR pg_is_in_recovery() AS is_read_only;
