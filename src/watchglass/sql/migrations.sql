-- name: applied
-- The version of the schema, and of the oldest writer it takes.
SELECT coalesce(max(version), 0) AS version, coalesce(max(min_writer), 0) AS min_writer FROM watchglass.migrations;

-- name: standing
-- What there is of the schema, and what the role may do about it.
SELECT
    current_user::text AS role,
    to_regnamespace('watchglass') IS NOT NULL AS has_schema,
    EXISTS (
        SELECT FROM pg_class WHERE relname = 'migrations' AND relnamespace = to_regnamespace('watchglass')
    ) AS has_tables,
    has_database_privilege(current_database(), 'CREATE') AS may_create_schema,
    coalesce(has_schema_privilege(current_user, to_regnamespace('watchglass'), 'CREATE'), false) AS may_create_tables,
    coalesce(has_schema_privilege(current_user, to_regnamespace('watchglass'), 'USAGE'), false) AS may_use,
    (SELECT pg_get_userbyid(nspowner)::text FROM pg_namespace WHERE nspname = 'watchglass') AS owner,
    format('CREATE SCHEMA watchglass AUTHORIZATION %I;', current_user) AS create_for_role;

-- name: migrating
-- Wait for any other process that migrates; held until the end of the transaction, so that it works behind pgbouncer.
SELECT pg_advisory_xact_lock(hashtext('watchglass'), hashtext('migrations'));

-- name: create_schema
-- The one object outside the schema.
CREATE SCHEMA watchglass;

-- name: grant
-- Let an application's role write and maintain what the current role owns.
SELECT watchglass.grant_to($1::name);

-- name: grant_again
-- Give the roles that use the schema what a migration has added.
SELECT watchglass.grant_to(pg_get_userbyid(grantee))
FROM pg_namespace
CROSS JOIN LATERAL aclexplode(nspacl)
WHERE nspname = 'watchglass' AND privilege_type = 'USAGE' AND grantee NOT IN (0, nspowner);
