# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""Pads that are modules of their own."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from midwire.hw import elaborate
from midwire.hw.elaborate import netlists_of, verilog_of
from midwire.hw.finish.direct import Direct
from midwire.hw.jobs import run_jobs
from midwire.hw.kernels.base import Implementation, Kernel
from midwire.hw.kernels.conv import ConvKernel
from midwire.hw.kernels.geometry import Geometry
from midwire.hw.kernels.pads import PadModule, without_pad
from midwire.hw.kernels.program import canonical
from midwire.hw.netlist.counter import Netlists, counted
from midwire.hw.netlist.fabrics import FABRICS
from midwire.hw.numeric import IntType

AROUND = Geometry((3, 4), (2, 2), pads=(1, 0, 0, 1))
INSIDE = Geometry((3, 4), (2, 2))
BYTE, NIBBLE = IntType(8, True), IntType(5, False)


def built(kernel: Kernel) -> Implementation:
    ((((low, high),), *_),) = kernel.ranges
    ways = kernel.implementations([Direct(2, low, high)], [IntType(20, True)])
    return min((each for each in ways if each.strategy == "folded"), key=repr)


def conv(pad: int, geometry: Geometry = AROUND, x: IntType = BYTE) -> Implementation:
    weight = np.ones((2, 2, 2, 2), np.int64)
    return built(ConvKernel(geometry, 2, x, weight, False, pad))


@pytest.mark.parametrize(
    "own", [conv(-66), conv(127), conv(0), conv(-1), conv(19, x=NIBBLE), conv(5, INSIDE)]
)
def test_a_pad_apart_takes_what_it_takes_within(
    own: Implementation, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Yosys sees through modules, so that what is counted must not depend on them."""

    def found() -> list[dict[str, int]]:
        (modules,) = netlists_of([own])
        parts = [("own", name, netlist) for name, netlist in modules.items()]
        return [counted(Netlists(parts, [], {}, fabric)) for fabric in FABRICS]

    apart = found()
    monkeypatch.setattr(elaborate, "without_pad", lambda description: (description, None))
    assert found() == apart


def test_descriptions_that_differ_in_pads_alone_are_elaborated_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All but the pad."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    (plain,) = verilog_of([conv(0)])
    asked: list[str] = []

    def note(jobs: Any, **options: Any) -> None:
        for job in jobs:
            asked.extend(json.loads(Path(job.command[-2]).read_text()))
        run_jobs(jobs, **options)

    monkeypatch.setattr(elaborate, "run_jobs", note)
    (text,) = verilog_of([conv(-66)])
    assert asked == [canonical(PadModule(8, -66))]
    changed = zip(plain.split("\n"), text.split("\n"), strict=True)
    assert [pair for pair in changed if pair[0] != pair[1]] == [
        ("  assign value = 8'h00;", "  assign value = 8'hbe;")
    ]


def test_what_reads_no_pad_has_none() -> None:
    assert without_pad("anything") == ("anything", None)
    own, pad = without_pad(conv(5, INSIDE))
    assert pad is None
    assert own == without_pad(conv(6, INSIDE))[0]
