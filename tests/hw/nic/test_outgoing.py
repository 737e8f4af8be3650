# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""What an executor sends, from three sources, in Amaranth's simulator."""

from __future__ import annotations

import random
from collections import deque
from typing import Any, NamedTuple

import google_crc32c
import pytest
from amaranth.sim import Simulator

from midwire.hw.formats import wire
from midwire.hw.formats.wire import Header
from midwire.hw.nic.outgoing import (
    GOES_ON,
    GOES_ON_PLACE,
    IN_SLICE,
    QUESTION,
    QUESTION_PLACE,
    RESULT,
    SLICE_PLACES,
    SOURCES,
    Outgoing,
)
from midwire.hw.nic.shape import WireTensor

from .made import lanes

RESULT_BYTES = 4000
DEADLINE = 1 << 31


class Sent(NamedTuple):
    """A fragment of a source, of the request ``port``."""

    source: int
    port: int
    words: int
    number: int
    last: bool


def requests(rng: random.Random) -> list[list[list[Sent]]]:
    """Of each source, its requests' fragments."""
    found = []
    for source in range(SOURCES):
        its = []
        for request in range(12):
            count = 1 if source == QUESTION else rng.randrange(1, 4)
            port = 1000 * source + request
            its.append(
                [
                    Sent(source, port, rng.randrange(1, 6), 100 * request + k, k == count - 1)
                    for k in range(count)
                ]
            )
        found.append(its)
    return found


@pytest.mark.parametrize("pause", [0.0, 0.6])
def test_each_fragment_has_the_headers_of_its_request(tools: Any, pause: float) -> None:
    rng = tools.random
    dut = Outgoing((WireTensor(8, RESULT_BYTES),))
    wanted = requests(rng)
    waiting: list[deque[Sent]] = [deque() for _ in range(SOURCES)]  # whose request is kept
    words: list[deque[int]] = [deque() for _ in range(SOURCES)]
    unopened = [deque(its) for its in wanted]
    taken: list[Sent] = []
    came: list[int] = []
    every = [sent for its in wanted for request in its for sent in request]
    due = [word for sent in every for word in words_of(sent)]

    async def bench(ctx: Any) -> None:
        next_place = in_slice = 0
        opened: tuple[int, list[Sent], int] | None = None  # and the cycles until it is there
        while len(came) < len(due):
            ctx.set(dut.keeps, 0)
            if opened and not opened[2]:
                source, fragments, _ = opened
                waiting[source].extend(fragments)
                opened = None
            elif opened:
                opened = (*opened[:2], opened[2] - 1)
            else:
                # One that goes on, and a question, when there is none; four are in the slice.
                may = [
                    source
                    for source in range(SOURCES)
                    if unopened[source]
                    and (
                        in_slice < IN_SLICE
                        if source == RESULT
                        else not waiting[source] and not words[source]
                    )
                ]
                if may and rng.random() >= pause:
                    source = rng.choice(may)
                    fragments = unopened[source].popleft()
                    opened = (source, fragments, 2)
                    place = {GOES_ON: GOES_ON_PLACE, QUESTION: QUESTION_PLACE}.get(source)
                    if source == RESULT:
                        place, in_slice = next_place, in_slice + 1
                        next_place = (next_place + 1) % SLICE_PLACES
                    ctx.set(dut.keeps, 1)
                    ctx.set(dut.place, place)
                    ctx.set(dut.kept.origin.src_port, fragments[0].port)
                    ctx.set(dut.kept.hop.port, fragments[0].port)
                    header = Header(request_id=fragments[0].port, deadline_us=DEADLINE, hop_limit=9)
                    ctx.set(dut.kept.origin.header, lanes(wire.encode(header)))
            for source in range(SOURCES):
                stream = dut.fragments[source]
                ctx.set(stream.valid, int(bool(waiting[source])))
                if waiting[source]:
                    sent = waiting[source][0]
                    ctx.set(stream.payload.bytes, 8 * sent.words)
                    ctx.set(stream.payload.index, sent.number)
                    ctx.set(stream.payload.last, sent.last)
                    ctx.set(stream.payload.ends, sent.last)
                ctx.set(dut.words_of[source].valid, int(bool(words[source])))
                ctx.set(dut.words_of[source].payload, words[source][0] if words[source] else 0)
            ctx.set(dut.job.ready, int(rng.random() >= pause))
            ctx.set(dut.words.ready, int(rng.random() >= pause))
            if ctx.get(dut.job.valid) and ctx.get(dut.job.ready):
                job, sent = dut.job.payload, taken[-1]
                assert ctx.get(job.origin.src_port) == ctx.get(job.hop.port) == sent.port
                header = read_header(ctx.get(job.origin.header))
                assert (header.request_id, header.fragment_index) == (sent.port, sent.number)
                assert header.result == (sent.source == RESULT)
                assert header.declined == (sent.source == GOES_ON)
                assert ctx.get(job.back) == (sent.source == QUESTION)
                assert ctx.get(dut.sent) == (sent.source == RESULT and sent.last)
                in_slice -= ctx.get(dut.sent)
            for source in range(SOURCES):
                if ctx.get(dut.fragments[source].valid) and ctx.get(dut.fragments[source].ready):
                    sent = waiting[source].popleft()
                    taken.append(sent)
                    words[source].extend(words_of(sent))
                if ctx.get(dut.words_of[source].valid) and ctx.get(dut.words_of[source].ready):
                    came.append(words[source].popleft())
            await ctx.tick()

    simulator = Simulator(dut)
    simulator.add_clock(1e-6)
    simulator.add_testbench(bench)
    simulator.run()
    assert came == [word for sent in taken for word in words_of(sent)]
    assert sorted(taken) == sorted(every)


def read_header(value: int) -> Header:
    """Of a job: its CRC is not made yet."""
    head = value.to_bytes(wire.HEADER_BYTES, "little")[:-4]
    return wire.decode(head + google_crc32c.value(head + bytes(4)).to_bytes(4, "big"))


def words_of(sent: Sent) -> list[int]:
    return [sent.port << 32 | sent.number << 8 | at for at in range(sent.words)]
