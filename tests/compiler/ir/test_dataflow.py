# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""Rules D1 to D3: the text form, and all violations at once."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from amaranth.lib import wiring

from midwire.compiler.ir.dataflow import (
    Channel,
    Dataflow,
    Folding,
    Port,
    Stage,
    print_dataflow,
    verify,
)

PORT = Port(8, True, 2, 9)


def nothing() -> wiring.Component:
    raise AssertionError("no hardware in this test")


def no_time(*_: Any) -> None:
    raise AssertionError("no time in this test")


def stage(name: str, inputs: int, outputs: int, **more: Any) -> Stage:
    return Stage(name, (PORT,) * inputs, (PORT,) * outputs, nothing, no_time, **more)


FLOW = Dataflow(
    "tiny",
    (
        stage("split", 1, 2),
        stage("work", 1, 1, folding=Folding(2, 2), cycles=9),
        stage("join", 2, 1),
    ),
    (
        Channel(("", 0), ("split", 0), PORT),
        Channel(("split", 0), ("work", 0), PORT),
        Channel(("split", 1), ("join", 1), PORT, 5),
        Channel(("work", 0), ("join", 0), PORT, None),
        Channel(("join", 0), ("", 0), PORT),
    ),
    (),
    (),
)

TEXT = """\
dataflow tiny
  stage split cycles=0
  stage work pe=2 simd=2 cycles=9
  stage join cycles=0
  .0 -> split.0 x2 depth=0
  split.0 -> work.0 x2 depth=0
  split.1 -> join.1 x2 depth=5
  work.0 -> join.0 x2 depth=None
  join.0 -> .0 x2 depth=0
"""


def test_text_form() -> None:
    assert print_dataflow(FLOW) == TEXT


def test_a_legal_dataflow_has_no_violations() -> None:
    assert verify(FLOW) == []
    assert FLOW.stage("work").cycles == 9


def test_all_violations_are_reported_together() -> None:
    other = replace(PORT, lanes=1, beats=18)
    broken = replace(
        FLOW,
        channels=(
            Channel(("", 0), ("split", 0), other),
            Channel(("split", 0), ("work", 0), PORT, -1),
            Channel(("split", 0), ("work", 0), PORT),
            Channel(("join", 0), ("split", 3), PORT),
            Channel(("nobody", 0), ("", 0), PORT),
        ),
    )
    assert verify(broken) == [
        "D2: port 0 of 'split' differs from its channel",
        "D3: depth -1 after 'split'",
        "D2: more than one channel drives port 0 of 'work'",
        "D2: more than one channel reads port 0 of 'split'",
        "D1: 'join' stands after 'split'",
        "D2: port 3 of 'split' differs from its channel",
        "D2: a channel names 'nobody', which is no stage",
        "D2: output 1 of 'split' is not connected",
        "D2: output 0 of 'work' is not connected",
        "D2: input 0 of 'join' is not connected",
        "D2: input 1 of 'join' is not connected",
    ]
