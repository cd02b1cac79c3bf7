"""What never leaves the process: secrets by name and by shape, literals of SQL, keys of Redis.

Pure functions, safe for any input, cheap enough for the request path. Personal data that people must still be able to
tell apart (e-mail and IP addresses) becomes a keyed hash: equal addresses give equal marks, and without the key no mark
leads back to an address. Where no key is given it is that of the process (`mark_with`); without any, the mark is the
same for all.
"""

from __future__ import annotations

from watchglass.redaction.fields import fields, headers, query_string
from watchglass.redaction.keys import looks_like_id, redis_key_shape
from watchglass.redaction.names import REDACTED, is_secret_name
from watchglass.redaction.personal import mark_with
from watchglass.redaction.spans import attributes, command_shape
from watchglass.redaction.sql import sql_shape
from watchglass.redaction.text import text

__all__ = [
    "REDACTED",
    "attributes",
    "command_shape",
    "fields",
    "headers",
    "is_secret_name",
    "looks_like_id",
    "mark_with",
    "query_string",
    "redis_key_shape",
    "sql_shape",
    "text",
]
