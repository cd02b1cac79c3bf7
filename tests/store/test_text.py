"""Whatever a program logs can be stored."""

from __future__ import annotations

import json
from math import inf, nan
from typing import Any

import pytest

from watchglass.store.text import MOST_CHARACTERS, storable, storable_json


class Unspeakable:
    def __str__(self) -> str:
        raise RuntimeError("no")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("plain", "plain"),
        ("", ""),
        ("naïve 🎉", "naïve 🎉"),
        ("a\x00b\x00", "ab"),
        ("\ud800", "\\ud800"),
        ("a\udcffb", "a\\udcffb"),
        ("\x01\x7f\n", "\x01\x7f\n"),
    ],
)
def test_text_loses_only_what_postgresql_cannot_hold(text: str, expected: str) -> None:
    assert storable(text) == expected


def test_a_database_without_unicode_gets_escapes() -> None:
    assert storable("naïve 🎉", "ascii") == "na\\xefve \\U0001f389"


def test_long_text_is_cut() -> None:
    assert storable("x" * (MOST_CHARACTERS + 1)) == "x" * MOST_CHARACTERS + "…"


LOOP: dict[str, Any] = {}
LOOP["self"] = LOOP


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ({"a": 1, "b": 1.5, "c": None, "d": True, "e": "x"}, {"a": 1, "b": 1.5, "c": None, "d": True, "e": "x"}),
        ({"a": nan, "b": inf, "c": -inf}, {"a": "nan", "b": "inf", "c": "-inf"}),
        ({"a\x00": "b\x00", "\ud800": ["\ud800"]}, {"a": "b", "\\ud800": ["\\ud800"]}),
        ({1: 2, None: 3, (1, 2): 4}, {"1": 2, "None": 3, "(1, 2)": 4}),
        ({"a": 2**63, "b": -(2**70), "c": 10**5000}, {"a": hex(2**63), "b": hex(-(2**70)), "c": hex(10**5000)}),
        ({"a": (1, [2]), "b": {3}}, {"a": [1, [2]], "b": [3]}),
        ({"a": b"x", "b": Unspeakable(), "c": ValueError("v")}, {"a": "b'x'", "b": "<Unspeakable>", "c": "v"}),
    ],
)
def test_any_value_becomes_json(value: Any, expected: Any) -> None:
    assert json.loads(storable_json(value)) == expected


def test_what_refers_to_itself_is_cut() -> None:
    depth, value = 0, json.loads(storable_json(LOOP))
    while isinstance(value, dict):
        depth, value = depth + 1, value["self"]
    assert depth == 8


def test_what_is_too_wide_is_cut() -> None:
    assert len(json.loads(storable_json({"a": list(range(5000))}))["a"]) == 1000
