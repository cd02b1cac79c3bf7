"""Whether all that planning a statement may run is PostgreSQL's own: it runs functions that say they are immutable."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from watchglass import sql
from watchglass.analysis.explainable import words

if TYPE_CHECKING:
    from watchglass.store.connection import Connection

IMPLIED: Final = ("=", "<>", "<", ">", "<=", ">=", "~~", "!~~", "~~*", "!~~*", "~", "!~", "~*", "!~*", "||", "+", "-")
"""Operators that syntax stands for: IN, BETWEEN, LIKE, ORDER BY, JOIN USING, AT, and so on."""

HARMLESS: Final = (
    *("array_sample", "array_shuffle", "clock_timestamp", "gen_random_uuid", "pg_is_in_recovery", "random"),
    *("random_normal", "timeofday", "uuidv4", "uuidv7"),
)
"""Volatile functions of PostgreSQL's that change nothing and read nothing."""

DENIED: Final = (
    *("database_to_xml", "database_to_xml_and_xmlschema", "database_to_xmlschema"),
    *("query_to_xml", "query_to_xml_and_xmlschema", "query_to_xmlschema", "cursor_to_xml", "cursor_to_xmlschema"),
    *("schema_to_xml", "schema_to_xml_and_xmlschema", "schema_to_xmlschema"),
    *("table_to_xml", "table_to_xml_and_xmlschema", "table_to_xmlschema", "ts_rewrite", "ts_stat"),
    *("dblink", "dblink_exec", "dblink_connect", "dblink_connect_u", "dblink_open", "dblink_send_query"),
    *("lo_import", "lo_export", "pg_read_file", "pg_read_binary_file", "pg_ls_dir", "pg_stat_file", "set_config"),
    *("array_in", "domain_in", "multirange_in", "pg_input_error_info", "pg_input_is_valid", "range_in", "record_in"),
    *(
        "satisfies_hash_partition",
        "crosstab",
        "connectby",
        "xpath_table",
        "pg_logical_emit_message",
        "pg_terminate_backend",
        "pg_cancel_backend",
    ),
)
"""Functions that run texts or reach out of the transaction, whatever they say of themselves and whoever made them.

So are those that read a value of a type by its number: what checks a domain runs, whose name is not in the text.
"""

TRUSTED_EXTENSIONS: Final = (
    *("btree_gin", "btree_gist", "citext", "cube", "earthdistance", "fuzzystrmatch", "hstore", "intarray", "isn"),
    *("ltree", "pg_trgm", "pgcrypto", "postgis", "seg", "unaccent", "uuid-ossp", "vector"),
)
"""Extensions whose functions compute and do nothing else."""


MOST_REACHED: Final = 10_000


async def refused_names(connection: Connection, text: str) -> str | None:
    """Why the text must not be planned, a sentence; None where all that it may call is trusted.

    Too much is refused rather than too little: a word of the text counts, whatever it stands for.
    """
    queries = sql.load("explain")
    reached = await connection.fetch(queries["explain_reach"], words(text), text, MOST_REACHED)
    if len(reached) == MOST_REACHED:
        return "It reaches more views, policies and constraints than are looked through."
    if any(row["is_foreign"] for row in reached):
        return "It reads a foreign table: planning it asks another server."
    functions = [row["function"] for row in reached if row["function"] is not None]
    texts = "\n".join([text, *(row["definition"] for row in reached if row["definition"])])
    rows = await connection.fetch(
        queries["explain_refused"],
        *(words(texts), texts, list(IMPLIED), functions),
        *(list(HARMLESS), list(DENIED), list(TRUSTED_EXTENSIONS)),
    )
    return _sentence(rows[0]["name"], rows[0]["is_builtin"]) if rows else None


def _sentence(name: str, is_builtin: bool) -> str:
    if is_builtin:
        return f"{name} is a function of PostgreSQL's that does more than compute."
    return f"{name} is a function that is not PostgreSQL's own, and planning may run it."
