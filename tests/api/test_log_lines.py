"""A log line is the same in every answer, whichever way it is put into words, and whatever it holds."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest

from watchglass.api.log_lines import LogLine, log_line, log_line_json

ROW: dict[str, Any] = {
    "instance_id": 12,
    "sequence": 345,
    "position": 6,
    "time": datetime(2026, 11, 25, 14, 2, 3, 123, UTC),
    "severity": 13,
    "level": "WARNING",
    "logger": "shop.cart",
    "message": "late",
    "fields": '{"user": 7, "nested": {"a": [1, 2.5, null, "x"]}}',
    "trace_id": b"\xab" * 16,
    "span_id": b"\xcd" * 8,
    "exception": None,
    "service_name": "shop",
    "service_instance_id": "1f-2e",
    "host_name": "host-a",
    "trace_kept": True,
}


def test_a_line_says_what_its_row_has() -> None:
    line = log_line(ROW)
    assert (line.id, line.time) == ("12-345-6", "2026-11-25T14:02:03.000123Z")
    assert (line.trace_id, line.span_id, line.trace_kept) == ("ab" * 16, "cd" * 8, True)
    assert line.fields == {"user": 7, "nested": {"a": [1, 2.5, None, "x"]}}
    assert LogLine.model_validate_json(line.model_dump_json()) == line


@pytest.mark.parametrize(
    "row",
    [
        {},
        {"message": '\x1b[31m\x01\x1f\x7f \u2028 \u0085 "quoted" \\ </script> 😀\r\n\t'},
        {"exception": "Traceback\n  File", "trace_kept": False},
        {"trace_id": None, "span_id": None, "exception": ""},
        {"service_name": None, "service_instance_id": None, "host_name": None},
        {"fields": "{}"},
        {"fields": '"a text"'},
        {"fields": "[1, 2]"},
        {"level": '"', "logger": "a\nb", "host_name": "h\\"},
    ],
)
def test_both_ways_say_the_same_on_one_line(row: dict[str, Any]) -> None:
    text = log_line_json({**ROW, **row})
    assert json.loads(text) == json.loads(log_line({**ROW, **row}).model_dump_json())
    assert list(json.loads(text)) == list(LogLine.model_fields)
    assert "\n" not in text
    assert "\r" not in text
