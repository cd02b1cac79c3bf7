-- name: make_secret
-- Keep a secret unless there is one of that name.
INSERT INTO watchglass.secrets (name, value) VALUES ($1, $2) ON CONFLICT DO NOTHING;

-- name: secret
-- The secret of that name.
SELECT value FROM watchglass.secrets WHERE name = $1;

-- name: add_login_token
-- Let whoever shows the token of this hash in, once, for so many seconds.
INSERT INTO watchglass.login_tokens (hash, username, role, expires_at)
VALUES ($1, $2, $3, clock_timestamp() + make_interval(secs => $4));

-- name: use_login_token
-- Take the token; no row when it is unknown, used or expired. Of two who try at once, one succeeds.
UPDATE watchglass.login_tokens SET used_at = clock_timestamp()
WHERE hash = $1 AND used_at IS NULL AND expires_at > clock_timestamp()
RETURNING username, role;

-- name: forget_login_tokens
-- Forget tokens that nobody can use any more.
DELETE FROM watchglass.login_tokens WHERE expires_at < now() - interval '1 day';

-- name: claim_first_login
-- A row for one process a minute, as long as nobody has logged in.
INSERT INTO watchglass.leases AS held (name, holder, epoch, expires_at)
SELECT 'first login', $1, 1, clock_timestamp() + interval '1 minute'
WHERE NOT EXISTS (SELECT FROM watchglass.audit WHERE action = 'login')
ON CONFLICT (name) DO UPDATE
SET holder = excluded.holder, epoch = held.epoch + 1, expires_at = excluded.expires_at
WHERE held.expires_at <= clock_timestamp()
RETURNING epoch;

-- name: add_audit
-- Note who did what.
INSERT INTO watchglass.audit (actor, action, target, detail) VALUES ($1, $2, $3, $4);

-- name: audit
-- The newest entries first.
SELECT extract(epoch FROM time)::float8 AS time, actor, action, target, detail
FROM watchglass.audit
ORDER BY id DESC
LIMIT $1;

-- name: ended_sessions
-- The sessions that were ended by logging out within so many seconds.
SELECT DISTINCT detail ->> 'session' AS session
FROM watchglass.audit
WHERE action = 'logout' AND detail ? 'session' AND time > clock_timestamp() - make_interval(secs => $1);
