# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""Results that the reference datapath keeps, in C++ alone: rules K2 to K5 of reference_kept.h."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

import pytest

from midwire.host.nodes.nic_program import FOLDER, GENERATED
from midwire.host.wire.missing import GROUP
from midwire.host.wire.sent import ASKED_TIMES
from midwire.sim.program import build_program


class Kept(Protocol):
    """Lines for the program, in either IP version, and its answers."""

    def __call__(
        self, lines: Sequence[str], sizes: Sequence[int] = ..., timeout: int = ...
    ) -> list[str]: ...


MOST_RESULTS, MOST_BYTES = 1024, 16 << 20


@pytest.fixture(scope="module")
def program() -> Path:
    headers = {path.name: path.read_text() for path in FOLDER.glob("*.h")}
    source = Path(__file__).with_name("kept_alone.cpp")
    return build_program("kept_alone", [source], {**headers, **GENERATED})


@pytest.fixture(params=[4, 6])
def kept(program: Path, request: pytest.FixtureRequest) -> Kept:
    def answers(
        lines: Sequence[str], sizes: Sequence[int] = (256,), timeout: int = 1000
    ) -> list[str]:
        words = [str(program), str(request.param), str(timeout), *map(str, sizes)]
        done = subprocess.run(
            words, input="\n".join(lines), capture_output=True, text=True, check=True
        )
        return done.stdout.splitlines()

    return answers


def bits(*indices: int) -> str:
    return f"{sum(1 << 63 - index for index in indices):016x}"


def test_what_is_asked_for_leaves(kept: Kept) -> None:  # K2
    found = kept(
        [
            "keep 5 7 10",
            f"ask 5 7 0 4 250 {bits(1, 3)}",
            f"ask 5 7 1 2 70 {bits(1)}",
            f"ask 5 7 1 1 70 {bits(0)}",  # of a tensor of which nothing has come
            f"ask 5 8 0 4 250 {bits(1)}",  # another request
            f"ask 6 7 0 4 250 {bits(1)}",  # of another sender
            f"ask 5 7 2 1 1 {bits(0)}",  # there is no such tensor
            f"ask 5 7 0 3 250 {bits(1)}",  # nor so many fragments
            f"ask 5 7 0 4 250 {bits(1, 4)}",
            f"ask 5 7 0 4 250 {bits()}",
            f"ask 5 7 0 1 250 {bits(1)}",
        ],
        (250, 70),
    )
    assert found == ["1 320 0", "0:1:64 0:3:58 ", "1:1:6 ", "1:0:64 ", *[""] * 7]


def test_who_knows_nothing_of_it_gets_the_first_fragment(kept: Kept) -> None:  # K3
    found = kept(["keep 5 7 10", f"ask 5 7 0 1 0 {bits(0)}", f"ask 5 7 0 4 256 {bits(0)}"])
    assert found[1:] == ["0:0:64R ", "0:0:64 "]


def test_no_more_leaves_than_is_bounded(kept: Kept) -> None:  # K2
    allowed = ASKED_TIMES * 4 + GROUP
    found = kept(["keep 5 7 10", *[f"ask 5 7 0 4 256 {bits(0, 2, 3)}"] * allowed])
    fragments = [fragment for line in found[1:] for fragment in line.split()]
    assert len(fragments) == allowed // 3 * 3
    assert found[-1] == ""
    again = kept(
        [
            "keep 5 7 10",
            *[f"ask 5 7 0 4 256 {bits(0)}"] * 99,
            "keep 5 7 11",
            f"ask 5 7 0 4 256 {bits(0)}",
        ]
    )
    assert again[-3:] == ["", "1 256 0", "0:0:64 "]  # it was executed anew


def test_what_is_too_old_is_zeroed(kept: Kept) -> None:  # K4, K5
    lines = [
        "keep 5 7 10",
        "keep 5 8 500",
        "expire 1009",
        "expire 1010",
        f"ask 5 7 0 4 256 {bits(0)}",
    ]
    found = kept([*lines, f"ask 5 8 0 4 256 {bits(0)}", "expire 1500"])
    assert found == ["1 256 0", "2 512 0", "2 512 0", "1 256 0", "", "0:0:64 ", "0 0 0"]


def test_without_a_timeout_only_room_ends_it(kept: Kept) -> None:  # K4
    lines = ["keep 5 7 10", f"expire {10**15}", f"ask 5 7 0 4 256 {bits(0)}"]
    assert kept(lines, timeout=0) == ["1 256 0", "1 256 0", "0:0:64 "]


@pytest.mark.parametrize(
    ("size", "most"), [(256, MOST_RESULTS), (1 << 20, MOST_BYTES >> 20), (MOST_BYTES + 1, 0)]
)
def test_no_flood_of_one_source_costs_others_theirs(kept: Kept, size: int, most: int) -> None:  # K4
    flood = [f"keep 6 {number} 10" for number in range(most + 8)]
    asks = [
        f"ask {source} {request} 0 1 0 {bits(0)}" for source, request in ((5, 7), (6, 0), (6, 99))
    ]
    found = kept(["keep 5 7 10", *flood, *asks, "expire 1010"], (size,))
    counts = [line.split() for line in (*found[: len(flood) + 1], found[-1])]
    assert max(int(results) for results, *_ in counts) == most
    assert max(int(held) for _, held, _ in counts) == most * size
    assert {zeroed for *_, zeroed in counts} == {"0"}
    mine, oldest, _ = (bool(line) for line in found[-4:-1])
    assert (mine, oldest) == (most > 0, False)
