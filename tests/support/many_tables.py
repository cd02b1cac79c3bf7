"""A database of very many tables: catalogues as large as those of services that keep one table for each tenant."""

from __future__ import annotations

TABLES = 5_000

MANY_TABLES = f"""
DO $$ BEGIN
    FOR number IN 1..{TABLES} LOOP
        EXECUTE format(
            'CREATE TABLE %I (id int PRIMARY KEY, customer int, status text, note text, made timestamptz)',
            'tenant_' || number
        );
        EXECUTE format('CREATE INDEX ON %I (customer, status)', 'tenant_' || number);
        EXECUTE format(
            'INSERT INTO %I SELECT n, n %% 7, n %% 3, ''note '' || n, now() FROM generate_series(1, 20) AS n',
            'tenant_' || number
        );
        IF number % 100 = 0 THEN
            COMMIT;
        END IF;
    END LOOP;
END $$
"""
"""Each with two indexes and a few rows; `ANALYZE` afterwards gives 25,000 columns their statistics."""
