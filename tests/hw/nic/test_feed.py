# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""The tensors of a request into the slice's inputs, in Amaranth's simulator."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import pytest
from amaranth.sim import Simulator

from midwire.hw.nic.feed import Feeder
from midwire.hw.nic.room import Room
from midwire.hw.nic.shape import WireTensor

INPUTS = (WireTensor(16, 48), WireTensor(3, 150), WireTensor(1, 5))
ROOM = Room(tuple(tensor.tensor_bytes for tensor in INPUTS))
START = 20  # cycles from `start` on in which something may still be on its way

Order = Callable[[int, list[int], random.Random], list[bool]]
"""Which inputs the slice would take in a cycle, by how many beats each has had."""


def beats(k: int) -> int:
    return INPUTS[k].tensor_bytes // INPUTS[k].beat_bytes


def one_after_the_other(*order: int) -> Order:
    def takes(cycle: int, had: list[int], rng: random.Random) -> list[bool]:
        del cycle, rng
        first = next((k for k in order if had[k] < beats(k)), None)
        return [k == first for k in range(3)]

    return takes


def by_turns(cycle: int, had: list[int], rng: random.Random) -> list[bool]:
    """Beats of the inputs mixed, whose order is that of their numbers over what is left."""
    del cycle, rng
    shares = [had[k] / beats(k) for k in range(3)]
    return [had[k] < beats(k) and shares[k] == min(shares) for k in range(3)]


def at_random(cycle: int, had: list[int], rng: random.Random) -> list[bool]:
    del cycle, had
    return [rng.random() < 0.4 for _ in range(3)]


def always(cycle: int, had: list[int], rng: random.Random) -> list[bool]:
    del cycle, had, rng
    return [True] * 3


ORDERS = {
    "0 1 2": one_after_the_other(0, 1, 2),
    "2 1 0": one_after_the_other(2, 1, 0),
    "1 2 0": one_after_the_other(1, 2, 0),
    "by turns": by_turns,
    "at random": at_random,
    "always": always,
}


class Bench:
    """A feeder, the memory that it reads and zeroes, and a slice."""

    def __init__(self, order: Order, seed: int, store_percent: int) -> None:
        self.rng, self.order, self.store_percent = random.Random(seed), order, store_percent
        self.dut = Feeder(ROOM, INPUTS)
        self.memory = [0] * ROOM.depth
        self.had: list[list[bytes]] = []
        self.begun: int | None = None

    async def request(self, ctx: Any, slot: int) -> int:
        """One through it; in how many cycles the slice has taken all of it."""
        dut, base = self.dut, slot * ROOM.stride
        tensors = [self.rng.randbytes(tensor.tensor_bytes) for tensor in INPUTS]
        for part, tensor in zip(ROOM.parts, tensors, strict=True):
            for at in range(part.words):
                word = tensor[8 * at : 8 * at + 8]
                self.memory[base + part.first_word + at] = int.from_bytes(word, "little")
        self.had, self.begun = [[], [], []], None
        assert ctx.get(dut.empty)
        ctx.set(dut.base, base)
        ctx.set(dut.start, 1)
        await self.cycle(ctx, 0)
        ctx.set(dut.start, 0)
        cycle = 1
        while not (ctx.get(dut.ends) and ctx.get(dut.empty)):
            await self.cycle(ctx, cycle)
            cycle += 1
            assert cycle < 3000, "stuck"
        for k, tensor in enumerate(tensors):
            assert b"".join(self.had[k]) == tensor
        assert not any(self.memory), "what was read is zero"
        return cycle

    async def cycle(self, ctx: Any, cycle: int) -> None:
        dut = self.dut
        takes = self.order(cycle, [len(had) for had in self.had], self.rng)
        ports = [dut.o0, dut.o1, dut.o2]
        for port, ready in zip(ports, takes, strict=True):
            ctx.set(port.ready, ready)
        ctx.set(dut.zero.ready, self.rng.randrange(100) >= self.store_percent)
        moves = [ctx.get(port.valid) and ready for port, ready in zip(ports, takes, strict=True)]
        if any(ctx.get(port.valid) for port in ports) and self.begun is None:
            raise AssertionError("a beat before it begins")
        if ctx.get(dut.begins):
            assert self.begun is None
            self.begun = cycle
        for k, moved in enumerate(moves):
            if moved:
                size = INPUTS[k].beat_bytes
                self.had[k].append(ctx.get(ports[k].payload.data).to_bytes(size, "little"))
                assert ctx.get(ports[k].payload.last) == (len(self.had[k]) == beats(k))
        address = ctx.get(dut.read_address)
        word = self.memory[address] if address < ROOM.depth else 0
        if ctx.get(dut.zero.valid) and ctx.get(dut.zero.ready):
            self.memory[ctx.get(dut.zero.payload)] = 0
        await ctx.tick()
        ctx.set(dut.read_word, word)


@pytest.mark.parametrize("store_percent", [0, 50])
@pytest.mark.parametrize("name", ORDERS)
def test_whatever_the_slice_takes_first(name: str, store_percent: int) -> None:
    """No order is a deadlock; every beat is right, and what was read is zero."""
    seed = random.SystemRandom().randrange(1 << 32)
    print(f"seed {seed}")
    bench = Bench(ORDERS[name], seed, store_percent)
    cycles: list[int] = []

    async def run(ctx: Any) -> None:
        for slot in (0, ROOM.slots - 1, 3):
            cycles.append(await bench.request(ctx, slot))

    simulator = Simulator(bench.dut)
    simulator.add_clock(1e-6)
    simulator.add_testbench(run)
    simulator.run()
    if name == "always" and not store_percent:
        # Words are faster than the beats of the second input, one each cycle.
        assert all(beats(1) <= found <= beats(1) + START for found in cycles), cycles
