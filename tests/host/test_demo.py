# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""The main job: its scoring, and the whole of it, twice at once, from an empty cache."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from midwire.host import demo
from midwire.host.demo import Expectation, Score, bundle_key, shipped_example, succeeded, summarise
from midwire.host.errors import NodeLostError
from midwire.host.nodes.supervisor import Supervisor
from midwire.hw.console import Console
from midwire.hw.formats.bundle import Bundle

EXPECTED = Expectation(
    labels=np.array([3, 4]),
    float_top1=np.array([3, 5]),
    slice_sha256=["aa", "bb"],
    input_bytes=256,
    cut_bytes=16,
)


def reply(sample: int, **changes: Any) -> dict[str, Any]:
    good = {
        "event": "reply",
        "sample": sample,
        "may_execute": True,
        "executed_by": "nic",
        "declined": "",
        "cycles": 1000,
        "slice_sha256": EXPECTED.slice_sha256[sample],
        "wire_bytes": 4,
        "top1": int(EXPECTED.labels[sample]),
    }
    return {**good, **changes}


DECLINED = reply(1, may_execute=False, executed_by="cloud", declined="policy", cycles=0)


def summary_of(bundle: Bundle, *events: dict[str, Any]) -> dict[str, Any]:
    score = Score(EXPECTED)
    for event in events:
        score.take(event)
    score.seconds = 0.5
    return summarise(bundle, score, {"cycles": 5000})


def test_a_good_run_succeeds(bundle: Bundle) -> None:
    summary = summary_of(bundle, reply(0), reply(1), DECLINED)
    assert succeeded(summary)
    assert summary["accuracy"] == {"split": 1.0, "float": 0.5}
    assert summary["rtl_mismatches"] == 0
    assert summary["inferences_per_second"] == 4.0
    assert summary["cycles_per_inference"] == 1000
    assert summary["target"]["microseconds_per_inference"] == 4.0
    assert summary["target"]["inferences_per_second"] == 62_500_000.0  # one every 4 cycles
    assert summary["bytes_per_inference"] == {
        "input": 256, "cut_as_in_the_model": 16, "wire": 4, "saved_at_the_cut": 12,
    }  # fmt: skip
    assert summary["declined"] == {
        "sample": 1, "executed_by": "cloud", "reason": "policy", "same_bits": True,
    }  # fmt: skip


def test_the_summary_says_first_whether_it_is_good_and_fits_a_terminal(bundle: Bundle) -> None:
    good = demo._text(summary_of(bundle, reply(0), reply(1), DECLINED)).splitlines()
    assert good[0] == "2 digits through edge, NIC and cloud: exact, end to end"
    assert max(map(len, good)) < 80
    nothing = demo._text(summary_of(bundle)).splitlines()
    assert nothing[0] == "2 digits through edge, NIC and cloud: NOT as it should be"
    assert "  declined on purpose  not answered" in nothing


@pytest.mark.parametrize(
    "events",
    [
        [reply(0), reply(1, slice_sha256="cc"), DECLINED],
        [reply(0), reply(1, executed_by="cloud"), DECLINED],
        [reply(0), {"event": "failure", "sample": 1, "may_execute": True}, DECLINED],
        [reply(0), reply(1)],
        [reply(0), reply(1), {**DECLINED, "executed_by": "nic"}],
        [reply(0), reply(1), {**DECLINED, "slice_sha256": "cc"}],
        [reply(0), reply(1, slice_sha256="cc"), {**DECLINED, "slice_sha256": "cc"}],
        [reply(0), DECLINED],
    ],
)
def test_anything_less_fails(events: list[dict[str, Any]], bundle: Bundle) -> None:
    assert not succeeded(summary_of(bundle, *events))


def test_the_bundle_is_named_by_all_that_goes_into_it(tmp_path: Path) -> None:
    with shipped_example() as example:
        key = bundle_key(example)
        assert bundle_key(example) == key
        assert bundle_key(replace(example, cut=("a", "b"))) != key
        other = tmp_path / example.model.name
        other.write_bytes(example.model.read_bytes() + b"\0")
        assert bundle_key(replace(example, model=other)) != key


def test_without_the_example_it_says_what_to_do(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from midwire.host import cli

    monkeypatch.setattr(demo, "EXAMPLE", "midwire.hw.nowhere")
    assert cli.main(["demo"]) == 1
    assert capsys.readouterr().err == (
        "error: midwire demo: the digits example is not installed; expected the package "
        "midwire.hw.nowhere; found no such package. Install midwire again.\n"
    )


def test_two_demos_from_an_empty_cache(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "midwire.host.cli", "demo", "--count", "30", "--json"]
    environment = {**os.environ, "XDG_CACHE_HOME": str(tmp_path)}
    started = [
        subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment
        )
        for _ in range(2)
    ]
    for process in started:
        out, err = process.communicate(timeout=600)
        assert process.returncode == 0, err
        summary = json.loads(out)
        assert summary["rtl_mismatches"] == 0
        assert summary["replies"] == summary["executed_by_nic"] == summary["samples"] == 30
        assert summary["cycles_per_inference"] == summary["latency_cycles_predicted"]
        assert summary["declined"]["same_bits"] is True
        assert (summary["declined"]["executed_by"], summary["declined"]["reason"]) == (
            "cloud",
            "policy",
        )
        assert summary["accuracy"]["split"] >= summary["accuracy"]["float"] - 0.04
    assert not list(tmp_path.rglob("tmp-*"))


def test_a_line_that_is_no_event_is_not_scored(bundle: Bundle) -> None:
    class Running(Supervisor):
        """An edge that fails before its first answer."""

        def edge(self, options: Sequence[str]) -> Iterator[tuple[str, dict[str, Any]]]:
            yield "edge", {"event": "ready"}
            yield "edge", {"error": {"type": "DataError", "message": "no"}}
            raise NodeLostError("gone")

    score, console = Score(EXPECTED), Console()
    with pytest.raises(NodeLostError):
        demo._stream(Running([], console), [], score, console)
    assert (score.done, score.failed) == (0, 0)
