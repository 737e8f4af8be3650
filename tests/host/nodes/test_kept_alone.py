# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""Results that are kept, in C++ alone: rules K2 to K6 of host/cpp/kept.h."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from midwire.host.wire.missing import GROUP
from midwire.host.wire.sent import ASKED_TIMES
from midwire.hw.formats.fragments import FRAGMENT_STEP, MAX_FRAGMENTS
from midwire.hw.formats.wire import HEADER_BYTES

from .loop import program_of


@dataclass(frozen=True)
class Kept:
    """The program, of either IP version: lines for it, and its answers."""

    program: Path
    version: int

    def __call__(
        self, lines: Sequence[str], sizes: Sequence[int] = (256,), timeout: int = 1000
    ) -> list[str]:
        words = [str(self.program), str(self.version), str(timeout), *map(str, sizes)]
        done = subprocess.run(
            words, input="\n".join(lines), capture_output=True, text=True, check=True
        )
        return done.stdout.splitlines()

    def held(self, *sizes: int) -> int:
        """Bytes that are kept of tensors: their frames, each with room for the largest."""
        headers = 14 + {4: 20, 6: 40}[self.version] + 8 + HEADER_BYTES
        steps = [FRAGMENT_STEP * -(-size // (MAX_FRAGMENTS * FRAGMENT_STEP)) for size in sizes]
        return sum(
            -(-size // step) * (MARK + headers + min(size, step))
            for size, step in zip(sizes, steps, strict=True)
        )


MARK = 16
"""Bytes in front of a frame that is kept."""

MOST_RESULTS, MOST_BYTES, REMEMBERED = 1024, 16 << 20, 4096


@pytest.fixture(scope="module")
def program() -> Path:
    return program_of("kept_alone.cpp")


@pytest.fixture(params=[4, 6])
def kept(program: Path, request: pytest.FixtureRequest) -> Kept:
    return Kept(program, request.param)


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
    kept_bytes = kept.held(250, 70)
    assert found == [f"1 {kept_bytes} 0", "0:1:64 0:3:58 ", "1:1:6 ", "1:0:64 ", *["!"] * 7]


def test_what_has_not_left_yet_is_on_its_way(kept: Kept) -> None:  # K2
    found = kept(
        [
            "part 5 7 10 1 0 1",
            "part 5 7 10 0 0 2",
            f"ask 5 7 0 4 250 {bits(0, 2, 3)}",
            f"ask 5 7 0 4 250 {bits(2)}",
            f"ask 5 7 1 1 0 {bits(0)}",
            "part 5 7 11 0 3 1",  # out of turn: no datapath does that
            "part 5 7 12 0 2 2",
            f"ask 5 7 0 4 250 {bits(0, 3)}",
            f"ask 5 7 1 2 70 {bits(1)}",
            "part 5 7 13 1 1 1",
            f"ask 5 7 1 2 70 {bits(1)}",
        ],
        (250, 70),
    )
    assert found[2:5] == ["0:0:64 ", "", "1:0:64R "]
    assert found[7:9] == ["0:0:64 0:3:58 ", ""]
    assert found[-1] == "1:1:6 "


def test_who_knows_nothing_of_it_gets_the_first_fragment(kept: Kept) -> None:  # K3
    found = kept(["keep 5 7 10", f"ask 5 7 0 1 0 {bits(0)}", f"ask 5 7 0 4 256 {bits(0)}"])
    assert found[1:] == ["0:0:64R ", "0:0:64 "]


def test_no_more_leaves_than_is_bounded(kept: Kept) -> None:  # K2
    allowed = ASKED_TIMES * 4 + GROUP
    found = kept(["keep 5 7 10", *[f"ask 5 7 0 4 256 {bits(0, 2, 3)}"] * allowed])
    fragments = [fragment for line in found[1:] for fragment in line.split() if fragment != "!"]
    assert len(fragments) == allowed // 3 * 3
    assert found[-1] == "!"
    again = kept(
        [
            "keep 5 7 10",
            *[f"ask 5 7 0 4 256 {bits(0)}"] * 99,
            "keep 5 7 11",
            f"ask 5 7 0 4 256 {bits(0)}",
        ]
    )
    assert again[-3:] == ["!", f"1 {kept.held(256)} 0", "0:0:64 "]  # it was executed anew


def test_what_is_too_old_is_zeroed(kept: Kept) -> None:  # K4, K5
    lines = [
        "keep 5 7 10",
        "keep 5 8 500",
        "expire 1009",
        "expire 1010",
        f"ask 5 7 0 4 256 {bits(0)}",
    ]
    found = kept([*lines, f"ask 5 8 0 4 256 {bits(0)}", "expire 1500"])
    one, two = (f"{n} {n * kept.held(256)} 0" for n in (1, 2))
    assert found == [one, two, two, one, "!", "0:0:64 ", "0 0 0"]


def test_a_result_is_as_old_as_its_latest_fragment(kept: Kept) -> None:  # K4
    lines = ["part 5 7 10 0 0 1", "keep 5 8 20", "part 5 7 30 0 1 3", "expire 1025", "expire 1030"]
    found = kept([*lines[:4], f"ask 5 7 0 4 256 {bits(3)}", lines[4]])
    assert found[3:] == [f"1 {kept.held(256)} 0", "0:3:64 ", "0 0 0"]


def test_without_a_timeout_only_room_ends_it(kept: Kept) -> None:  # K4
    lines = ["keep 5 7 10", f"expire {10**15}", f"ask 5 7 0 4 256 {bits(0)}"]
    one = f"1 {kept.held(256)} 0"
    assert kept(lines, timeout=0) == [one, one, "0:0:64 "]


@pytest.mark.parametrize("size", [256, 1 << 20, MOST_BYTES])
def test_no_flood_of_one_source_costs_others_theirs(kept: Kept, size: int) -> None:  # K4
    most = min(MOST_RESULTS, MOST_BYTES // kept.held(size))
    flood = [f"keep 6 {number} 10" for number in range(most + 8)]
    asked = ((5, 7), (6, 0), (6, most + 7))
    asks = [f"ask {source} {request} 0 1 0 {bits(0)}" for source, request in asked]
    found = kept(["keep 5 7 10", *flood, *asks, "expire 1010"], (size,))
    counts = [line.split() for line in (*found[: len(flood) + 1], found[-1])]
    assert max(int(results) for results, *_ in counts) == most
    assert max(int(held) for _, held, _ in counts) == most * kept.held(size)
    assert {zeroed for *_, zeroed in counts} == {"0"}
    mine, oldest, latest = (line != "!" for line in found[-4:-1])
    assert (mine, oldest, latest) == (most > 0, False, most > 0)


def test_a_result_that_came_in_is_none_of_ours(kept: Kept) -> None:  # K6
    """Nor is anything else under its name, before or behind it; others are."""
    keep, ask = "keep 5 7 10", f"ask 5 7 0 4 256 {bits(0)}"
    none, one = "0 0 0", f"1 {kept.held(256)} 0"
    assert kept(["came 5 7", keep, ask]) == [none, none, "!"]
    assert kept([keep, "came 5 7", ask]) == [one, one, "0:0:64 "]
    assert kept([keep, "came 5 7", "part 5 7 11 0 0 1", ask]) == [one, one, none, "!"]
    assert kept(["part 5 7 10 0 0 2", "came 5 7", "part 5 7 10 0 2 1", ask])[1:] == [one, none, "!"]
    assert kept(["came 6 7", "came 5 8", keep, ask])[2:] == [one, "0:0:64 "]


def test_a_name_is_remembered_for_as_long_as_a_frame_may_be_on_its_way(kept: Kept) -> None:  # K6
    others = [f"came 5 {number}" for number in range(100, 100 + REMEMBERED)]
    assert kept(["came 5 7", *others[:-1], "keep 5 7 10"])[-1] == "0 0 0"
    assert kept(["came 5 7", *others, "keep 5 7 10"])[-1] == f"1 {kept.held(256)} 0"
    renewed = ["came 5 7", *others[:-1], "came 5 7", *others[:-1], "keep 5 7 10"]
    assert kept(renewed)[-1] == "0 0 0"
