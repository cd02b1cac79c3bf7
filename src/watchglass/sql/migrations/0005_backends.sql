-- Which connections to PostgreSQL the processes of a service hold, and for which request.

CREATE TABLE watchglass.backends (
    instance_id integer NOT NULL,
    pid integer NOT NULL,
    database text NOT NULL,
    connected_at timestamptz NOT NULL,
    trace_id bytea,
    span_id bytea,
    endpoint text,
    request_ended boolean NOT NULL,
    seen_at timestamptz NOT NULL,
    PRIMARY KEY (instance_id, pid, database)
) WITH (fillfactor = 50);

INSERT INTO watchglass.migrations (version, name, min_writer) VALUES (5, 'backends', 1);
