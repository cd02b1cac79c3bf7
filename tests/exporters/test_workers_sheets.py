"""A sheet reads as what was written, or is known to be damaged."""

from __future__ import annotations

import json
import random
from hashlib import blake2b
from math import inf, isnan, nan

import pytest

from watchglass import meters
from watchglass.exporters.workers.sheets import FORMAT, Sheet, SheetDamaged, decode, encode
from watchglass.exporters.workers.totals import Totals, exposed
from watchglass.instrumentation.recorder import Recorder
from watchglass.meters import Meter

EVIL = 'a"b\\c\nd\x00e\ud800é\u2028'


def everything() -> Totals:
    """Every meter there is, one that is not in the table, and many series of one."""
    recorder = Recorder()
    for meter in (*meters.ALL, Meter("shop.sold", "counter", "{book}", EVIL, ("shelf",))):
        for value in ("x", EVIL):
            values = tuple(value for _ in meter.attributes)
            if meter.kind == "histogram":
                for seconds in (0.0, 0.001, 0.1, 7.0, 1e6):
                    recorder.histogram(meter, values).record(seconds)
            elif meter.kind == "gauge":
                recorder.gauge(meter, values).set(0.1)
            else:
                recorder.counter(meter, values).add(1 / 3)
    for number in range(250):
        recorder.counter(meters.WATCHGLASS_ERRORS, (str(number),)).add()
    return exposed(recorder.collect())


def one() -> Sheet:
    return Sheet(
        id="12345678",
        life="9c0e",
        pid=7,
        written=1.25,
        listening=("127.0.0.1:80", "/run/é.sock"),
        supervisor="3 1.00",
        totals=everything(),
        folded={"aa": 2.5},
    )


def test_a_sheet_reads_as_it_was_written() -> None:
    assert decode(encode(one())) == one()


@pytest.mark.parametrize("value", [nan, inf, -inf, 5e-324, 1e308, 0.1])
def test_any_float_is_kept_to_the_last_digit(value: float) -> None:
    recorder = Recorder()
    recorder.gauge(meters.SYSTEM_CPU_UTILIZATION).set(value)
    found = decode(encode(Sheet(id="a", life="b", totals=exposed(recorder.collect()))))
    assert found
    [total] = found.totals.values()
    assert total.sum == value or (isnan(total.sum) and isnan(value))


def test_lines_are_short_enough_to_be_written_without_a_pause() -> None:
    assert max(len(line) for line in encode(one()).splitlines()) < 40_000


def test_a_byte_that_changed_is_noticed() -> None:
    data = encode(one())
    source = random.Random(3)
    for place in [0, 1, len(data) - 1, len(data) - 2, *(source.randrange(len(data)) for _ in range(500))]:
        changed = bytearray(data)
        changed[place] ^= 1 << source.randrange(8)
        with pytest.raises(SheetDamaged):
            decode(bytes(changed))


def test_a_sheet_that_was_cut_off_is_noticed() -> None:
    data = encode(one())
    for length in [*range(200), *range(len(data) - 200, len(data) - 1)]:
        with pytest.raises(SheetDamaged):
            decode(data[:length])


def signed(*lines: object) -> bytes:
    body = "".join(json.dumps(line) + "\n" for line in lines).encode()
    return body + blake2b(body, digest_size=16, person=b"watchglass sheet").hexdigest().encode() + b"\n"


def test_a_sheet_of_another_version_is_left_alone() -> None:
    assert decode(signed({"format": FORMAT + 1, "whatever": []}, "more")) is None


@pytest.mark.parametrize(
    "lines",
    [
        (),
        ([],),
        ({},),
        ({"format": FORMAT},),
        ({"format": FORMAT, "id": "a", "life": "b", "listening": [], "more": 1},),
        ({"format": FORMAT, "id": "a", "life": "b", "listening": 5},),
        ({"format": FORMAT, "id": "a", "life": "b", "listening": []}, 7),
        ({"format": FORMAT, "id": "a", "life": "b", "listening": []}, [["name"], []]),
        ({"format": FORMAT, "id": "a", "life": "b", "listening": []}, [["n", "gauge", "1", "d", "sum"], [[1]]]),
    ],
)
def test_what_makes_no_sense_is_damaged_whatever_its_digest(lines: tuple[object, ...]) -> None:
    with pytest.raises(SheetDamaged):
        decode(signed(*lines))
