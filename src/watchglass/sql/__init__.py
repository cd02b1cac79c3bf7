"""All SQL: the final schema, the migrations that lead to it, and one file of named queries per concept.

A query begins with `-- name: x` and at least one line that describes it. It is sent with the mark `/* watchglass:x */`
behind its first word: a comment in front is not in pg_stat_statements from PostgreSQL 18 on. What the driver words
itself (BEGIN, COMMIT, COPY "watchglass"..., the look-up of types) carries no mark.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cache, lru_cache
from importlib.resources import files

_NAMED = re.compile(r"^-- name: (\w+)\n(?:-- .+\n)+((?:(?!-- name:).*\n)+)", re.MULTILINE)
_MARK = re.compile(r"/\* watchglass:(\w+) \*/")
_HERE = files(__name__)


@cache
def load(concept: str) -> Mapping[str, str]:
    """The statements of one file by their names."""
    found = _NAMED.findall((_HERE / f"{concept}.sql").read_text("utf-8"))
    return {
        name: re.sub(r"\w+", rf"\g<0> /* watchglass:{name} */", body.strip(" ;\n"), count=1) for name, body in found
    }


@lru_cache(maxsize=1000)
def name_of(statement: str) -> str:
    """The name in a statement's mark; "other" without one."""
    found = _MARK.search(statement)
    return found[1] if found else "other"


def schema() -> str:
    """The statements that make the schema as it is after every migration."""
    return (_HERE / "schema.sql").read_text("utf-8")


@cache
def migrations() -> Mapping[int, str]:
    """The text of each migration by its version, in order."""
    names = sorted(file.name for file in (_HERE / "migrations").iterdir() if file.name.endswith(".sql"))
    texts = ((int(name[:4]), (_HERE / "migrations" / name).read_text("utf-8")) for name in names)
    return {version: f"/* watchglass:migration_{version:04} */ {text}" for version, text in texts}
