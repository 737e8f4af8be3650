# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""Rules C1, C2 and C4 of midwire.hw.console."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import typer

from midwire.hw.console import Console, plain, report_error, seconds, visible
from midwire.hw.errors import DataError


def test_json_and_text_go_to_stdout_and_progress_to_stderr(
    capsys: pytest.CaptureFixture[str],
) -> None:  # C1, C2
    for as_json, expected in ((True, '{"nodes": 3}\n'), (False, "3 nodes\n")):
        console = Console(as_json)
        console.say("reading", 3, "nodes")
        console.result({"nodes": 3}, "3 nodes")
        assert capsys.readouterr() == (expected, "reading 3 nodes\n")


def test_values_become_plain_json() -> None:
    found = plain(
        {
            "array": np.arange(3, dtype=np.int8),
            "scalar": np.float32(0.5),
            "nan": float("nan"),
            "infinite": np.float64("inf"),
            "path": Path("a") / "b",
            "bytes": b"\x01\xff",
            "tuple": (1, {"deep": np.bool_(True)}),
            1: None,
        }
    )
    assert json.loads(json.dumps(found, allow_nan=False)) == {
        "array": [0, 1, 2],
        "scalar": 0.5,
        "nan": None,
        "infinite": None,
        "path": "a/b",
        "bytes": "01ff",
        "tuple": [1, {"deep": True}],
        "1": None,
    }


def test_an_error_is_one_paragraph_and_an_object(capsys: pytest.CaptureFixture[str]) -> None:  # C4
    error = DataError("wrong shape", where="in0", expected="[4]", found="[5]", remedy="Cut it")
    text = "in0: wrong shape; expected [4]; found [5]. Cut it."
    report_error(error, as_json=False)
    assert capsys.readouterr() == ("", f"error: {text}\n")
    report_error(error, as_json=True)
    out, err = capsys.readouterr()
    assert err == f"error: {text}\n"
    assert json.loads(out) == {
        "error": {
            "type": "DataError",
            "message": text,
            "problem": "wrong shape",
            "where": "in0",
            "expected": "[4]",
            "found": "[5]",
            "remedy": "Cut it",
        }
    }


def test_progress_is_silent_where_there_is_no_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    with Console(False).progress() as progress:
        progress.update(progress.add_task("work", total=2, note=""), advance=1)
    assert capsys.readouterr() == ("", "")


def test_phases_are_silent_too_and_take_any_order_of_reports(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with Console(True).phases() as report:
        for what, done, total in (("one", 0, 0), ("two", 1, 3), ("two", 2, 4), ("one", 1, 1)):
            report(what, done, total)
    assert capsys.readouterr() == ("", "")


def test_seconds_are_a_number_up_to_a_day() -> None:
    parse = seconds(0.5)
    assert [parse("0.5"), parse("1e3"), parse(7.0)] == [0.5, 1000.0, 7.0]
    for text in ("0.4", "-1", "nan", "inf", "1e12", "soon"):
        with pytest.raises(typer.BadParameter) as caught:
            parse(text)
        assert str(caught.value) == f"{text} is not a number of seconds from 0.5 to 86400, a day"


def test_an_output_that_cannot_be_written_is_an_error_with_a_remedy(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with Path("/dev/full").open("w") as full:
        monkeypatch.setattr("sys.stdout", full)
        with pytest.raises(DataError) as caught:
            Console().result({}, "x")
    assert str(caught.value) == (
        "standard output: the output cannot be written; expected one that takes it; found No space "
        "left on device. Make room where it goes, or send it elsewhere."
    )
    monkeypatch.setattr("sys.stdout", None)
    with pytest.raises(DataError, match="found a closed one"):
        Console().result({}, "x")


@pytest.mark.parametrize("text", ["a\0b", "a\x1b[31m", "a\u202eb", "a\ud800b", "a\nb"])
def test_what_does_not_show_is_spelled_out(text: str) -> None:
    assert visible(text) == f"a\\u{ord(text[1]):04x}{text[2:]}"
    assert visible("\u00e9 \u4e2d") == "\u00e9 \u4e2d"
