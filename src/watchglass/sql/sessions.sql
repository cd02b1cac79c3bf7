-- name: begin
-- Bound the current transaction; local, so that it holds behind pgbouncer. Durations are PostgreSQL's ('5s').
-- The third is for a client that was cut off or frozen, and frees what it has locked: between two statements, from
-- PostgreSQL 17 on also in the middle of one. Whatever the host has its role bounded by does not count.
SELECT
    set_config('statement_timeout', $1::text, true),
    set_config('lock_timeout', $2::text, true),
    set_config('idle_in_transaction_session_timeout', $3::text, true),
    set_config('work_mem', '32MB', true),
    set_config('jit', 'off', true),
    set_config('max_parallel_workers_per_gather', '0', true),
    -- The clock of a host's own limit runs since BEGIN: it is stopped, and then set anew.
    CASE WHEN current_setting('transaction_timeout', true) IS NOT NULL THEN
        set_config('transaction_timeout', '0', true)
    END,
    CASE WHEN current_setting('transaction_timeout', true) IS NOT NULL THEN
        set_config('transaction_timeout', $3::text, true)
    END;
