-- name: begin
-- Bound the current transaction; local, so that it holds behind pgbouncer. Durations are PostgreSQL's ('5s').
-- The host may have bounded the transactions of its role by PostgreSQL 17's transaction_timeout; ours bound themselves.
SELECT
    set_config('statement_timeout', $1::text, true),
    set_config('lock_timeout', $2::text, true),
    set_config('idle_in_transaction_session_timeout', '30s', true),
    set_config('work_mem', '32MB', true),
    set_config('jit', 'off', true),
    set_config('max_parallel_workers_per_gather', '0', true),
    CASE WHEN current_setting('transaction_timeout', true) IS NOT NULL THEN
        set_config('transaction_timeout', '0', true)
    END;
