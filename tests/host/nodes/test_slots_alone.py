# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""Parts of the reference datapath in C++, without a NIC around them."""

from __future__ import annotations

import random
import subprocess
from collections.abc import Callable, Sequence

import pytest

from midwire.host.wire.reassembly import Reassembler
from midwire.hw.formats.slots import FINGERPRINT_BITS, request_fingerprint

from ..wire.test_overtaken import disordered
from ..wire.test_reassembly import asked, cut, give
from .loop import program_of

Ask = Callable[[Sequence[str]], list[str]]


@pytest.fixture(scope="module")
def ask() -> Ask:
    """Lines for the program beside this file, and its answers."""
    program = program_of("slots_alone.cpp")

    def answers(lines: Sequence[str]) -> list[str]:
        done = subprocess.run(
            [str(program)], input="\n".join(lines), capture_output=True, text=True, check=True
        )
        return done.stdout.splitlines()

    return answers


def test_fingerprints_are_those_of_the_formats(ask: Ask) -> None:  # D6
    seed = random.randrange(1 << 32)
    print("seed", seed)
    rng = random.Random(seed)
    bits = (64, 32, 16)
    requests = [(1 << at, 0, 0) for at in range(64)] + [(0, 1 << at, 0) for at in range(32)]
    requests += [(0, 0, 1 << at) for at in range(16)]
    requests += [tuple(rng.getrandbits(n) for n in bits) for _ in range(200)]  # type: ignore[misc]
    found = ask([f"fingerprint {request} {ip} {port}" for request, ip, port in requests])
    assert [int(line) for line in found] == [request_fingerprint(*request) for request in requests]
    assert max(map(int, found)) < 1 << FINGERPRINT_BITS


@pytest.mark.parametrize(
    ("lost", "first", "bitmap"),
    [
        ([0], 0, 1 << 63),
        ([63, 64], 0, 1),
        ([64], 64, 1 << 63),
        ([130, 131, 199], 128, 1 << 61 | 1 << 60),
        ([199], 192, 1 << 56),
        (range(1, 200), 0, (1 << 63) - 1),
        (range(190, 200), 128, 3),
    ],
)
def test_the_first_64_of_which_one_lacks_are_asked_for(
    ask: Ask, lost: Sequence[int], first: int, bitmap: int
) -> None:  # D4, D5
    here = [index for index in range(200) if index not in lost]
    random.shuffle(here)
    [found] = ask([f"lacks {64 * 199 + 9} 64 {' '.join(map(str, here))}"])
    then = 580 if 199 in lost else 520  # sooner where the last fragment is here
    assert found == f"{first} {bitmap:016x} {then} 0"


@pytest.mark.parametrize(
    ("here", "first", "second"),
    [
        # the last one is here: all that lacks, and a quarter of ask_us later once more
        ([*range(20), 22, 24], (400, {20, 21, 23}), (4000, set())),
        # it is not: what lacks in front of the last one that is here, and one behind it
        ([*range(19), 20, 21], (800, {19, 22}), (16000, set())),
    ],
)
def test_a_pause_longer_than_others_asks_at_once(
    ask: Ask,
    here: Sequence[int],
    first: tuple[int, set[int]],
    second: tuple[int, set[int]],
) -> None:  # D4, E3
    [found] = ask([f"pauses 16000 400 {64 * 25} 64 {' '.join(map(str, here))}"])
    words = found.split()
    bits = [{k for k in range(64) if int(word, 16) >> 63 - k & 1} for word in words[1::2]]
    waits = [int(word) for word in words[::2]]
    for (wait, wanted), at, asked_for in zip((first, second), waits, bits, strict=True):
        assert asked_for == wanted
        assert wait <= at <= max(wait, 1000) if wanted else at >= wait


def test_what_is_overtaken_is_what_the_cloud_would_ask_for(ask: Ask) -> None:  # D4, E1
    seed = random.randrange(1 << 32)
    print("seed", seed)
    rng = random.Random(seed)
    orders = [list(disordered(rng, 200, lose=0.1, swap=0.2)) for _ in range(50)]
    orders += [rng.sample(range(200), 150) for _ in range(50)]
    wanted: list[list[int]] = []
    for order in orders:
        target, parts = Reassembler(lambda _: [12_800]), cut([bytes(12_800)])
        wanted.append([])
        for index in order:
            give(target, parts[index])
            wanted[-1] += asked(target.ask(0.0, 0.0)).get(0, [])
    found = ask([f"overtaken 12800 64 {' '.join(map(str, order))}" for order in orders])
    assert [list(map(int, line.split())) for line in found] == wanted
    assert all(wanted)
