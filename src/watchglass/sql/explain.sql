-- name: explain_bounds
-- Bound the transaction in which a statement is explained: durations are PostgreSQL's ('3s'). Until its plan is asked
-- for, names are PostgreSQL's own, for which they are qualified here; and catalogues are read without JIT, which takes a
-- second where there are thousands of tables. What else plans depend on stays as the role has it.
SELECT
    pg_catalog.current_setting('search_path') AS search_path,
    pg_catalog.current_setting('jit') AS jit,
    pg_catalog.set_config('jit', 'off', true),
    (SELECT source FROM pg_catalog.pg_settings WHERE name OPERATOR(pg_catalog.=) 'search_path') AS path_source,
    pg_catalog.set_config('search_path', 'pg_catalog', true),
    pg_catalog.set_config('statement_timeout', $1::pg_catalog.text, true),
    pg_catalog.set_config('lock_timeout', $2::pg_catalog.text, true),
    pg_catalog.set_config('idle_in_transaction_session_timeout', '10s', true),
    CASE WHEN pg_catalog.current_setting('transaction_timeout', true) IS NOT NULL THEN
        pg_catalog.set_config('transaction_timeout', '0', true)
    END,
    pg_catalog.current_setting('server_version') AS server_version,
    (
        SELECT rolsuper FROM pg_catalog.pg_roles WHERE rolname OPERATOR(pg_catalog.=) CURRENT_USER
    ) AS is_superuser;

-- name: explain_path
-- What a role ($1) has as its search_path in this database, by its own settings or the database's, else, or where its
-- session has another ($3), $2; "$user" is its own schema. https://www.postgresql.org/docs/current/catalog-pg-db-role-setting.html
SELECT CASE WHEN EXISTS (SELECT FROM pg_namespace WHERE nspname = $1::name)
    THEN regexp_replace(
        path, '(^|,)\s*"?\$user"?\s*(?=,|$)', '\1' || replace(quote_ident($1::text), '\', '\\'), 'g'
    )
    ELSE path END AS path
FROM coalesce(
    (
        SELECT substr(setting, length('search_path=') + 1)
        FROM pg_db_role_setting CROSS JOIN unnest(setconfig) AS setting
        WHERE starts_with(setting, 'search_path=') AND NOT $3::boolean
            AND setrole IN (0, (SELECT oid FROM pg_roles WHERE rolname = $1::name))
            AND setdatabase IN (0, (SELECT oid FROM pg_database WHERE datname = current_database()))
        ORDER BY setrole <> 0 DESC, setdatabase <> 0 DESC
        LIMIT 1
    ),
    $2::text
) AS path;

-- name: explain_settings
-- What else a role ($1) has set for itself that plans, or the meaning of constants, depend on, and that anybody may set.
-- https://www.postgresql.org/docs/current/runtime-config-query.html
SELECT DISTINCT ON (name) name, value
FROM (
    SELECT split_part(setting, '=', 1) AS name, substr(setting, position('=' IN setting) + 1) AS value, setdatabase
    FROM pg_db_role_setting CROSS JOIN unnest(setconfig) AS setting
    WHERE setrole = (SELECT oid FROM pg_roles WHERE rolname = $1::name)
        AND setdatabase IN (0, (SELECT oid FROM pg_database WHERE datname = current_database()))
) AS own
WHERE EXISTS (SELECT FROM pg_settings AS here WHERE here.name = own.name AND here.context = 'user') AND (
    name ~ '^(enable_|geqo|jit)|_(cost|collapse_limit)$' OR name IN (
        'DateStyle', 'IntervalStyle', 'TimeZone', 'constraint_exclusion', 'cursor_tuple_fraction',
        'effective_cache_size', 'effective_io_concurrency', 'hash_mem_multiplier', 'max_parallel_workers_per_gather',
        'min_parallel_index_scan_size', 'min_parallel_table_scan_size', 'parallel_leader_participation',
        'plan_cache_mode', 'recursive_worktable_factor', 'work_mem'
    )
)
ORDER BY name, setdatabase DESC;

-- name: explain_as_applied
-- Have the settings of these names ($1) and values ($2) until the end of the transaction.
SELECT pg_catalog.set_config(name, value, true)
FROM ROWS FROM (
    pg_catalog.unnest($1::pg_catalog.text[]), pg_catalog.unnest($2::pg_catalog.text[])
) AS settings (name, value);

-- name: explain_generic
-- Plan what is executed by name without a look at its parameters, until the end of the transaction.
SELECT pg_catalog.set_config('plan_cache_mode', 'force_generic_plan', true);

-- name: explain_unlock
-- Let go of session locks, which outlive a transaction.
SELECT pg_catalog.pg_advisory_unlock_all();

-- name: explain_reach
-- What planning a text may reach through the relations and types whose names are among the words ($1) or, where they
-- need quotes, in the text ($2): views, partitions, policies, indexes, constraints, statistics, domains, ranges, and how
-- their types are compared. At most $3.
-- `dependency` is a function or an operator that is not PostgreSQL's own, or a foreign table; `definition` the text of
-- what PostgreSQL's own functions may be in, of which it records nothing. The first oid of a user's object is 16384.
WITH RECURSIVE reached (class, object) AS (
        SELECT 'pg_class'::regclass::oid, oid
        FROM pg_class
        WHERE oid >= 16384 AND (
            relname = ANY ($1::text[])
            OR relname ~ '[^a-z0-9_$]' AND position(replace(relname, '"', '""') IN $2::text) > 0
        )
    UNION
        SELECT 'pg_type'::regclass, oid
        FROM pg_type
        WHERE oid >= 16384 AND typrelid = 0 AND (
            typname = ANY ($1::text[])
            OR typname ~ '[^a-z0-9_$]' AND position(replace(typname, '"', '""') IN $2::text) > 0
        )
    UNION
        SELECT found.class, found.object
        FROM reached
        CROSS JOIN LATERAL (
            SELECT refclassid AS class, refobjid AS object
            FROM pg_depend
            WHERE classid = reached.class AND objid = reached.object AND refobjid >= 16384
                AND refclassid IN ('pg_class'::regclass, 'pg_type'::regclass, 'pg_proc'::regclass,
                    'pg_operator'::regclass, 'pg_opclass'::regclass)
                AND reached.class NOT IN ('pg_proc'::regclass, 'pg_operator'::regclass)
            UNION ALL
            SELECT 'pg_type'::regclass, reltype
            FROM pg_class
            WHERE oid = reached.object AND reltype >= 16384 AND reached.class = 'pg_class'::regclass
            UNION ALL
            SELECT 'pg_class'::regclass, typrelid
            FROM pg_type
            WHERE oid = reached.object AND typrelid >= 16384 AND reached.class = 'pg_type'::regclass
            UNION ALL
            SELECT 'pg_opclass'::regclass, oid
            FROM pg_opclass
            WHERE opcintype = reached.object AND reached.class = 'pg_type'::regclass
            UNION ALL
            SELECT 'pg_proc'::regclass, amproc
            FROM pg_opclass
            JOIN pg_amproc ON amprocfamily = opcfamily
            WHERE pg_opclass.oid = reached.object AND amproc >= 16384 AND reached.class = 'pg_opclass'::regclass
            UNION ALL
            SELECT 'pg_operator'::regclass, amopopr
            FROM pg_opclass
            JOIN pg_amop ON amopfamily = opcfamily
            WHERE pg_opclass.oid = reached.object AND amopopr >= 16384 AND reached.class = 'pg_opclass'::regclass
            UNION ALL
            SELECT 'pg_rewrite'::regclass, oid
            FROM pg_rewrite
            WHERE ev_class = reached.object AND reached.class = 'pg_class'::regclass
            UNION ALL
            SELECT 'pg_policy'::regclass, oid
            FROM pg_policy
            WHERE polrelid = reached.object AND reached.class = 'pg_class'::regclass
            UNION ALL
            SELECT 'pg_class'::regclass, indexrelid
            FROM pg_index
            WHERE indrelid = reached.object AND reached.class = 'pg_class'::regclass
            UNION ALL
            SELECT 'pg_class'::regclass, inhrelid
            FROM pg_inherits
            WHERE inhparent = reached.object AND reached.class = 'pg_class'::regclass
            UNION ALL
            SELECT 'pg_statistic_ext'::regclass, oid
            FROM pg_statistic_ext
            WHERE stxrelid = reached.object AND reached.class = 'pg_class'::regclass
            UNION ALL
            SELECT 'pg_constraint'::regclass, oid
            FROM pg_constraint
            WHERE conrelid = reached.object AND contype = 'c' AND reached.class = 'pg_class'::regclass
            UNION ALL
            SELECT 'pg_constraint'::regclass, oid
            FROM pg_constraint
            WHERE contypid = reached.object AND reached.class = 'pg_type'::regclass
        ) AS found
    )
SELECT
    CASE
        WHEN class = 'pg_proc'::regclass THEN object
        WHEN class = 'pg_operator'::regclass THEN (SELECT oprcode::oid FROM pg_operator WHERE oid = object)
    END AS function,
    EXISTS (SELECT FROM pg_class WHERE class = 'pg_class'::regclass AND oid = object AND relkind = 'f') AS is_foreign,
    CASE
        WHEN class = 'pg_rewrite'::regclass THEN pg_get_ruledef(object)
        WHEN class = 'pg_policy'::regclass THEN (
            SELECT pg_get_expr(polqual, polrelid) FROM pg_policy WHERE oid = object
        )
        WHEN class = 'pg_constraint'::regclass THEN pg_get_constraintdef(object)
    END AS definition
FROM reached
WHERE class IN ('pg_proc'::regclass, 'pg_operator'::regclass, 'pg_rewrite'::regclass, 'pg_policy'::regclass,
        'pg_constraint'::regclass)
    OR EXISTS (SELECT FROM pg_class WHERE class = 'pg_class'::regclass AND oid = object AND relkind = 'f')
LIMIT $3;

-- name: explain_refused
-- Functions that a text may call and must not: those whose names are among the words ($1) or, where they need quotes,
-- in the text ($2); those of operators in the text, or that its syntax implies ($3); those of casts, and by which values of
-- PostgreSQL's own types are compared; and those reached otherwise ($4). Trusted are PostgreSQL's own, if they are not
-- volatile or are harmless ($5), and not denied ($6); what it made for a range itself; and those that a superuser wrote
-- for one of these extensions ($7), in C or so that no search_path makes them call another. The rest is what users made,
-- and may do anything.
WITH called AS (
        SELECT oid
        FROM pg_proc
        WHERE proname = ANY ($1::text[])
    UNION
        SELECT oid
        FROM pg_proc
        WHERE oid >= 16384 AND proname ~ '[^a-z0-9_$]' AND position(replace(proname, '"', '""') IN $2::text) > 0
    UNION
        SELECT oprcode
        FROM pg_operator
        WHERE oid >= 16384 AND (position(oprname IN $2::text) > 0 OR oprname = ANY ($3::text[]))
    UNION
        SELECT castfunc
        FROM pg_cast
        WHERE oid >= 16384 AND castfunc <> 0
    UNION
        SELECT amproc
        FROM pg_amproc
        WHERE amproc >= 16384 AND (
            amprocfamily < 16384
            OR amprocfamily IN (
                SELECT opcfamily
                FROM pg_opclass JOIN pg_am ON pg_am.oid = opcmethod
                WHERE opcdefault AND opcintype < 16384 AND amname IN ('btree', 'hash')
            )
        )
    UNION
        SELECT unnest($4::oid[])
)
SELECT proname::text AS name, pg_proc.oid < 16384 AS is_builtin
FROM called
JOIN pg_proc USING (oid)
WHERE prokind <> 'p'
    AND prorettype NOT IN ('trigger'::regtype, 'event_trigger'::regtype)
    AND NOT 'internal'::regtype = ANY (proargtypes)
    AND NOT (
        prolang = (SELECT oid FROM pg_language WHERE lanname = 'internal')
        AND prosrc ~ '^(multi)?range_constructor[0-9]$'
    )
    AND CASE
        WHEN proname = ANY ($6::text[]) THEN true
        WHEN pg_proc.oid < 16384 THEN provolatile = 'v' AND proname <> ALL ($5::text[])
        ELSE provolatile = 'v' OR NOT EXISTS (
            SELECT
            FROM pg_depend
            JOIN pg_extension ON pg_extension.oid = refobjid
            WHERE classid = 'pg_proc'::regclass AND objid = pg_proc.oid AND refclassid = 'pg_extension'::regclass
                AND deptype = 'e' AND extname = ANY ($7::text[])
                AND (
                    prolang IN (SELECT oid FROM pg_language WHERE lanname IN ('c', 'internal'))
                    OR (SELECT rolsuper FROM pg_roles WHERE pg_roles.oid = proowner) AND (
                        extname = 'citext' OR prosqlbody IS NOT NULL
                        OR EXISTS (SELECT FROM unnest(proconfig) AS set_ WHERE starts_with(set_, 'search_path='))
                    )
                )
        )
    END
ORDER BY is_builtin DESC, name
LIMIT 1;

-- name: explain_role
-- What makes a role ($1, verifier of its password $2) that may read and do nothing else, in this order, for this server. `is_needed`
-- is false for what needs a superuser and only bounds it further.
SELECT statement, is_needed
FROM (
    VALUES
        (1, true, format(
            'CREATE ROLE %I LOGIN PASSWORD %L NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION CONNECTION LIMIT 3',
            $1::text, $2::text
        )),
        (2, true, format('ALTER ROLE %I SET default_transaction_read_only = on', $1)),
        (3, true, format('ALTER ROLE %I SET statement_timeout = ''3s''', $1)),
        (4, true, format('ALTER ROLE %I SET lock_timeout = ''200ms''', $1)),
        (5, true, format('ALTER ROLE %I SET idle_in_transaction_session_timeout = ''10s''', $1)),
        (6, true, format('GRANT CONNECT ON DATABASE %I TO %I', current_database(), $1)),
        (7, true, (
            SELECT format('GRANT pg_read_all_data TO %I', $1) FROM pg_roles WHERE rolname = 'pg_read_all_data'
        )),
        (8, false, format('ALTER ROLE %I SET temp_file_limit = ''256MB''', $1))
) AS made (place, is_needed, statement)
WHERE statement IS NOT NULL
ORDER BY place;

-- name: explain_made_by
-- The role that makes another.
SELECT current_user::text;
