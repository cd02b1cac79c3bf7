-- name: forget_statements
-- Forget statements that were not seen for so many days, and of each service all but the newest.
DELETE FROM watchglass.statements
WHERE last_seen < now() - make_interval(days => $1) OR (service_name, fingerprint) IN (
    SELECT service_name, fingerprint
    FROM (
        SELECT service_name, fingerprint,
            row_number() OVER (PARTITION BY service_name ORDER BY last_seen DESC, fingerprint) AS place
        FROM watchglass.statements
    ) AS placed
    WHERE place > $2
);

-- name: forget_plans
-- Forget plans that were not seen for so many days, all but the newest of a statement, and of each service all but the
-- newest.
DELETE FROM watchglass.plans
WHERE seen_at < now() - make_interval(days => $1) OR id IN (
    SELECT id
    FROM (
        SELECT id,
            row_number() OVER (PARTITION BY service_name, fingerprint ORDER BY seen_at DESC, id DESC) AS place,
            row_number() OVER (PARTITION BY service_name ORDER BY seen_at DESC, id DESC) AS place_of_all
        FROM watchglass.plans
    ) AS placed
    WHERE place > $2 OR place_of_all > $3
);

-- name: forget_plan_events
-- Forget since when a statement had another plan, after so many days, and of each service all but the newest.
DELETE FROM watchglass.plan_events
WHERE time < now() - make_interval(days => $1) OR (service_name, fingerprint, time) IN (
    SELECT service_name, fingerprint, time
    FROM (
        SELECT service_name, fingerprint, time,
            row_number() OVER (PARTITION BY service_name ORDER BY time DESC, fingerprint) AS place
        FROM watchglass.plan_events
    ) AS placed
    WHERE place > $2
);

-- name: forget_advice
-- Forget advice that nothing has been found about for so many days, and of each service all but the newest.
DELETE FROM watchglass.advice
WHERE updated_at < now() - make_interval(days => $1) OR (service_name, id) IN (
    SELECT service_name, id
    FROM (
        SELECT service_name, id,
            row_number() OVER (PARTITION BY service_name ORDER BY updated_at DESC, id) AS place
        FROM watchglass.advice
    ) AS placed
    WHERE place > $2
);
