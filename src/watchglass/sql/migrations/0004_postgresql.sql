-- What is known of the service's own PostgreSQL: its statements, their plans, and the indexes that were advised.

CREATE TABLE watchglass.statements (
    service_name text NOT NULL,
    fingerprint text NOT NULL,
    queryid bigint,
    database text NOT NULL,
    text text NOT NULL,
    first_seen timestamptz NOT NULL DEFAULT now(),
    last_seen timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (service_name, fingerprint)
) WITH (fillfactor = 70);
CREATE INDEX statements_last_seen ON watchglass.statements (last_seen);

CREATE TABLE watchglass.plans (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    service_name text NOT NULL,
    fingerprint text NOT NULL,
    captured_at timestamptz NOT NULL DEFAULT now(),
    seen_at timestamptz NOT NULL DEFAULT now(),
    captures bigint NOT NULL DEFAULT 1,
    shape text NOT NULL,
    plan jsonb NOT NULL,
    how text NOT NULL CHECK (how IN ('parameters', 'generic', 'analyze')),
    cost double precision NOT NULL,
    seconds double precision,
    trace_id bytea,
    server_version text NOT NULL,
    settings jsonb
);
CREATE INDEX plans_statement ON watchglass.plans (service_name, fingerprint, captured_at);
CREATE INDEX plans_seen_at ON watchglass.plans (seen_at);

CREATE TABLE watchglass.plan_events (
    time timestamptz NOT NULL,
    service_name text NOT NULL,
    fingerprint text NOT NULL,
    from_shape text NOT NULL,
    to_shape text NOT NULL,
    sentence text NOT NULL,
    PRIMARY KEY (service_name, fingerprint, time)
);
CREATE INDEX plan_events_time ON watchglass.plan_events (time);

CREATE TABLE watchglass.advice (
    service_name text NOT NULL,
    id text NOT NULL,
    fingerprint text NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    statement text NOT NULL,
    verified boolean NOT NULL,
    cost_before double precision,
    cost_after double precision,
    size_bytes bigint,
    state text NOT NULL DEFAULT 'open' CHECK (state IN ('open', 'built', 'gone')),
    built_at timestamptz,
    before jsonb,
    after jsonb,
    detail jsonb NOT NULL DEFAULT '{}',
    PRIMARY KEY (service_name, id)
);
CREATE INDEX advice_statement ON watchglass.advice (service_name, fingerprint);

INSERT INTO watchglass.migrations (version, name, min_writer) VALUES (4, 'postgresql', 1);
