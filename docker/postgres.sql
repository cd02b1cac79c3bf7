-- Runs once, when the volume is new: an ordinary role with its database, as a service should have it.
CREATE ROLE app LOGIN PASSWORD 'app';
GRANT pg_monitor TO app;
CREATE DATABASE app OWNER app;
\connect app
CREATE EXTENSION pg_stat_statements;
