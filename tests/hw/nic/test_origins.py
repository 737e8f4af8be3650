# amaranth: UnusedElaboratable=no
# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""What frames came with, against what their words say, in Amaranth's simulator."""

from __future__ import annotations

import random
from collections import deque
from typing import Any

import pytest
from amaranth.sim import Simulator

from midwire.hw.nic.bus import ORIGIN
from midwire.hw.nic.origins import (
    ARRIVAL,
    IP,
    IP_WORDS,
    L4_WORDS,
    MAC,
    TAGS,
    WAITING_FRAMES,
    Origins,
)

FRAMES = 150


class Words:
    """A frame's words, at random, and what should come of them."""

    def __init__(self, rng: random.Random) -> None:
        self.ipv6, self.tags = rng.randrange(2), rng.randrange(3)
        stamp, mac = rng.getrandbits(32), rng.getrandbits(48)
        tags, ip = rng.getrandbits(64), [rng.getrandbits(64) for _ in range(IP_WORDS)]
        self.l4 = [rng.getrandbits(64) for _ in range(L4_WORDS)]
        self.l3 = [(ARRIVAL, stamp | self.tags << 32 | self.ipv6 << 34), (MAC, mac)]
        if self.tags:
            self.l3.append((TAGS, tags))
        self.l3 += [(IP + k, word) for k, word in enumerate(ip)]
        self.expected: dict[str, int] = {
            "src_mac": mac,
            "tag_count": self.tags,
            "ipv6": self.ipv6,
            "stamp": stamp,
            "src_port": self.l4[0] & 0xFFFF,
            "header": sum(word << 64 * k for k, word in enumerate(self.l4[1:])),
        }
        if self.tags:
            self.expected["tags"] = tags
        low = (1 << 32) - 1
        if self.ipv6:
            self.expected |= {
                "src_ip": ip[1] | ip[2] << 64,
                "dst_ip": ip[3] | ip[4] << 64,
                "tos": (ip[0] & 15) << 4 | ip[0] >> 12 & 15,
                "ttl": ip[0] >> 56,
            }
        else:
            self.expected |= {
                "src_ip": ip[1] >> 32,
                "dst_ip": ip[2] & low,
                "tos": ip[0] >> 8 & 0xFF,
                "ttl": ip[1] & 0xFF,
            }
        self.cut = rng.random() < 0.1
        """It ends within the words of its header: what comes of it is nobody's matter."""
        if self.cut:
            self.l4 = self.l4[: rng.randrange(1, L4_WORDS)]
        self.more = rng.choice((0, 0, 1, 2, 3, 20))
        """Cycles from the last word to the end."""


@pytest.mark.parametrize("often", [1.0, 0.6])
@pytest.mark.parametrize("taken", [1, 15, 80])
def test_as_their_words_say(often: float, taken: int) -> None:
    """Frames in order, each ``taken`` cycles at the head, words as often as they may be or not."""
    seed = random.SystemRandom().randrange(1 << 32)
    print("seed", seed)
    rng = random.Random(seed)
    origins = Origins()
    frames = [Words(rng) for _ in range(FRAMES)]
    waiting: deque[tuple[Words, int]] = deque()
    cycle = 0
    delays: list[int] = []
    most = 0

    async def send(ctx: Any) -> None:
        nonlocal cycle, most

        async def tick() -> None:
            nonlocal cycle
            await ctx.tick()
            cycle += 1

        async def word(name: str, value: Any) -> None:
            while not ctx.get(origins.room) or rng.random() >= often:
                await tick()
            ctx.set(getattr(origins, name), value)
            ctx.set(getattr(origins, f"{name}_valid"), 1)
            await tick()
            ctx.set(getattr(origins, f"{name}_valid"), 0)

        for frame in frames:
            for number, value in frame.l3:
                await word("l3", {"number": number, "word": value})
            for value in frame.l4:
                await word("l4", value)
            for _ in range(frame.more):
                await tick()
            ctx.set(origins.ended, 1)
            waiting.append((frame, cycle))
            most = max(most, len(waiting))
            await tick()
            ctx.set(origins.ended, 0)
            assert ctx.get(origins.busy)

    async def take(ctx: Any) -> None:
        for at in range(FRAMES):
            since = cycle
            while not ctx.get(origins.o.valid):
                await ctx.tick()
            frame, ended = waiting.popleft()
            if since < ended - 20:  # nothing was in front of it
                delays.append(cycle - ended if frame.more >= 5 and not frame.cut else 0)
            if not frame.cut:
                for name, value in frame.expected.items():
                    assert ctx.get(origins.o.payload[name]) == value, (at, name)
            for _ in range(taken):
                await ctx.tick()
            ctx.set(origins.o.ready, 1)
            await ctx.tick()
            ctx.set(origins.o.ready, 0)
        assert not waiting

    simulator = Simulator(origins)
    simulator.add_clock(1e-6)
    simulator.add_testbench(send)
    simulator.add_testbench(take)
    simulator.run()
    assert max(delays, default=1) <= 1
    assert most <= WAITING_FRAMES - 1
    if taken == 80:
        assert most == WAITING_FRAMES - 1, "so many come that all places are taken"


def test_layout_is_all_that_is_kept() -> None:
    frame = Words(random.Random(1))
    assert set(frame.expected) | {"tags"} == set(ORIGIN.members)
