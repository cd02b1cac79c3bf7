-- name: take_lease
-- Take the lease or renew it, by the server's clock; no row while somebody else holds it. The epoch tells two holders
-- apart, also one that was frozen and does not know yet that it holds nothing any more. Who asks in vain locks nothing.
INSERT INTO watchglass.leases AS held (name, holder, epoch, expires_at)
SELECT $1, $2, 1, clock_timestamp() + make_interval(secs => $3)
WHERE NOT EXISTS (
    SELECT FROM watchglass.leases WHERE name = $1 AND holder <> $2 AND expires_at >= clock_timestamp()
)
ON CONFLICT (name) DO UPDATE SET
    holder = excluded.holder,
    epoch = held.epoch + (held.holder <> excluded.holder)::integer,
    expires_at = clock_timestamp() + make_interval(secs => $3)
WHERE held.holder = excluded.holder OR held.expires_at < clock_timestamp()
RETURNING epoch;

-- name: hold_lease
-- A row while the lease is the holder's, which it then is until the end of the transaction: the last thing done in it.
SELECT true FROM watchglass.leases
WHERE name = $1 AND holder = $2 AND epoch = $3 AND expires_at > clock_timestamp()
FOR SHARE;

-- name: give_up_lease
-- Let the next one take it at once.
UPDATE watchglass.leases SET expires_at = '-infinity' WHERE name = $1 AND holder = $2 AND epoch = $3;
