"""Tables of a shop, large enough that a missing index is felt, with statistics."""

from __future__ import annotations

SHOP = """
CREATE TABLE customers (id integer PRIMARY KEY, email text NOT NULL, name text NOT NULL, country text, joined date);
CREATE INDEX customers_email ON customers (email);
INSERT INTO customers
SELECT i, 'user' || i || '@example.com', md5(i::text) || ' ' || md5((i * 7)::text), 'C' || i % 5,
    '2020-01-01'::date + i % 2000
FROM generate_series(1, 20000) AS i;

CREATE TABLE orders (
    id integer PRIMARY KEY, customer_id integer NOT NULL, status text NOT NULL, reference text NOT NULL,
    total numeric NOT NULL, created_at timestamptz NOT NULL, "Delivery Code" text
);
INSERT INTO orders
SELECT i, (i * 7919) % 2000 + 1, CASE WHEN i % 10 < 6 THEN 'paid' WHEN i % 10 < 9 THEN 'open' ELSE 'sent' END,
    'R' || (i * 31) % 100003, i % 500,
    '2024-01-01'::timestamptz + ((i::bigint * 104729) % 31536000) * interval '1 second',
    'K' || i
FROM generate_series(1, 100000) AS i;

DO $$ BEGIN -- words are not ordered by bytes: any language of the machine will do
    EXECUTE (
        SELECT format('ALTER TABLE orders ALTER "Delivery Code" TYPE text COLLATE %I', collname) FROM pg_collation
        WHERE collprovider = 'c' AND collname NOT IN ('C', 'POSIX')
            AND collencoding IN (-1, pg_char_to_encoding('UTF8')) LIMIT 1
    );
END $$;

CREATE TABLE items (
    id integer PRIMARY KEY, order_id integer NOT NULL, product text NOT NULL, quantity integer NOT NULL
);
INSERT INTO items SELECT i, (i * 7919) % 100000 + 1, 'P' || i % 1000, i % 9 + 1 FROM generate_series(1, 200000) AS i;

CREATE TABLE events (id integer PRIMARY KEY, payload jsonb NOT NULL, tags text[] NOT NULL, code bigint NOT NULL);
CREATE INDEX events_code ON events (code);
INSERT INTO events
SELECT i, jsonb_build_object('sku', i % 5000, 'kind', i % 7, 'text', md5(i::text)),
    ARRAY['t' || i % 4000, 'u' || (i * 13) % 4001], (i * 17) % 50021
FROM generate_series(1, 50000) AS i;

CREATE SCHEMA "Old Shop";
CREATE TABLE "Old Shop"."order" ("user" integer, kind text, "at" timestamptz);
INSERT INTO "Old Shop"."order"
SELECT i % 5000, 'k' || i % 3, now() - i * interval '1 minute' FROM generate_series(1, 50000) AS i;

CREATE TABLE rates (country text, rate numeric);
INSERT INTO rates SELECT 'C' || i, i FROM generate_series(1, 50) AS i;
ANALYZE;
"""
