# amaranth: UnusedElaboratable=no
# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""Several slices side by side in one pipeline: D8, D9 and C8."""

from __future__ import annotations

import contextlib
import random
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from midwire.hw.formats import csr, wire
from midwire.hw.formats.slots import MAX_ASKS, slots_of
from midwire.hw.formats.wire import DeclineReason
from midwire.hw.nic.shape import SliceShape, WireTensor
from midwire.hw.nic.top import NicShell

from .conftest import (
    CURSOR,
    EPOCH,
    LARGE,
    MODEL_HASH,
    SEVERAL,
    SLICES,
    SMALL,
    TENANT,
    Nic,
    Sizes,
    Tools,
)
from .golden import fields_of
from .golden_cores import GoldenCore, GoldenCores
from .line_rate import IMIX
from .test_entries import SteeredCampaign, header_of
from .test_golden import ASK_US, LOOKING_CYCLES, STACKS, Live, bytes_of
from .test_several_tensors import JoinedLive, joined

OTHER_HASH = bytes.fromhex("fedcba9876543210")
CORES = (LARGE, SEVERAL, SMALL, SMALL)
"""Two models, one of them with two of its slices, the second of these twice."""


def model(model_hash: bytes, cursor: int, element_type: wire.ElementType) -> dict[str, int]:
    return {
        "model_hash": int.from_bytes(model_hash),
        "tenant": TENANT,
        "cursor": cursor,
        "slice_count": SLICES,
        "epoch": EPOCH,
        "element_type": int(element_type),
    }


MODELS = (
    model(MODEL_HASH, CURSOR, wire.ElementType.INT8),
    model(OTHER_HASH, CURSOR, wire.ElementType.UINT8),
    model(MODEL_HASH, CURSOR + 1, wire.ElementType.INT8),
    model(MODEL_HASH, CURSOR + 1, wire.ElementType.INT8),
)
"""What registers say of each core."""

SENDERS = tuple({stack.client for stack in STACKS})
"""Of frames whose headers are chosen among many."""


@pytest.fixture
def cores(programs: Callable[..., Path]) -> Iterator[Nic]:
    with contextlib.closing(Nic(programs(*CORES), LARGE, MODELS)) as nic:
        yield nic


def execute(sizes: Sizes) -> Callable[[list[bytes]], list[bytes]]:
    """As the stand-in slice does."""

    def single(tensors: list[bytes]) -> list[bytes]:
        (tensor,) = tensors
        size = len(tensor)
        return [bytes((tensor[k % size] + 1 + k // size) & 255 for k in range(sizes.out_bytes))]

    return (lambda tensors: joined(sizes, tensors)) if sizes.more_inputs else single


class CoresCampaign(SteeredCampaign):
    """Frames for each core, and a steering table over them."""

    golden: GoldenCores
    keys = tuple({name: m[name] for name in ("tenant", "model_hash", "cursor")} for m in MODELS)

    def model(self, registers: dict[str, int]) -> Any:
        return GoldenCores(
            {name: value for name, value in registers.items() if name not in MODELS[0]},
            [
                GoldenCore(each, *bytes_of(sizes), execute(sizes))
                for each, sizes in zip(MODELS, CORES, strict=True)
            ],
        )

    def request(self) -> Live:
        """Perhaps with the id of one that another core has."""
        rng = self.rng
        changes: dict[str, Any] = {"region": rng.choice((0, 0, 1, 15))}
        if self.live and rng.random() < 0.2:
            changes["request_id"] = rng.choice(self.live).header.request_id
        taken = {live.place for live in self.live + self.done}
        taken |= set(self.golden.open_places())
        while True:
            live = self.live_of(rng.randrange(len(CORES)), **changes)
            if taken.isdisjoint(self.places(live)):
                return live
            changes.pop("request_id", None)

    def places(self, live: Live) -> set[tuple[int, int]]:
        """Of a request, and of what is made of it behind other headers (``headed``): with an id
        that two requests have, senders as like as these may share a fingerprint (D6)."""
        places, client = {live.place}, live.client
        for sender in SENDERS:
            live.client = sender
            places.add(live.place)
        live.client = client
        return places

    def live_of(self, core: int, **changes: Any) -> Live:
        """A request for a core, or for one with the same key."""
        key = self.keys[core]
        changes |= {**key, "model_hash": key["model_hash"].to_bytes(8)}
        live = (
            JoinedLive(self.rng, **changes)
            if CORES[core].more_inputs
            else Live(self.rng, CORES[core].in_bytes, **changes)
        )
        live.core = self.golden.core_for(fields_of(next(iter(live.datagrams()))))
        return live

    def left_after(self, microseconds: int) -> list[bytes]:
        """What leaves while time passes."""
        self.golden.wait(microseconds)
        self.nic.write(time_us=self.golden.now)
        self.nic.cycles(LOOKING_CYCLES)
        return self.both()


@pytest.fixture
def campaign(cores: Nic, tools: Tools) -> CoresCampaign:
    return CoresCampaign(cores, tools.random.getrandbits(32))


@pytest.mark.parametrize("frames", [1500, pytest.param(100_000, marks=pytest.mark.sweep)])
def test_random_frames(frames: int, cores: Nic, request: pytest.FixtureRequest) -> None:
    seed = random.SystemRandom().randrange(1 << 32)
    print(f"{request.node.name}: seed {seed}")
    CoresCampaign(cores, seed).run(frames)


def test_c8_each_core_says_what_it_has(cores: Nic) -> None:
    assert cores.read("cores") == len(CORES)
    for index, (sizes, its) in enumerate(zip(CORES, MODELS, strict=True)):
        cores.write(core_index=index)
        inputs, outputs = bytes_of(sizes)
        slots = slots_of(sum(inputs), len(CORES))
        tensors = len(inputs) << 16 | len(outputs) << 24
        assert cores.read("capability") == 8 | slots << 8 | tensors
        if len(inputs) == 1:
            assert (cores.read("input_bytes"), cores.read("output_bytes")) == (*inputs, *outputs)
        for name, value in its.items():
            parts = [cores.read(part) for part in csr.parts_of(name)]
            assert value == sum(part << 32 * k for k, part in enumerate(reversed(parts)))
    cores.write(core_index=len(CORES))
    assert cores.read("capability") == cores.read("tenant") == 0
    assert cores.write_at(csr.ADDRESS["tenant"], 1) == 2
    cores.write(core_index=1, epoch=9)
    for index in range(len(CORES)):
        cores.write(core_index=index)
        assert cores.read("epoch") == (9 if index == 1 else EPOCH)


def test_d8_the_closest_core_says_why(campaign: CoresCampaign) -> None:
    """Whatever the first core would say."""
    cases: tuple[tuple[int, dict[str, Any], DeclineReason], ...] = (
        (1, {"tenant": TENANT + 1}, DeclineReason.WRONG_TENANT),
        (1, {"model_hash": bytes(8)}, DeclineReason.WRONG_MODEL),
        (1, {"cursor": CURSOR + 1}, DeclineReason.WRONG_CURSOR),
        (2, {"slice_count": SLICES + 1}, DeclineReason.WRONG_CURSOR),
        (1, {"epoch": EPOCH + 1}, DeclineReason.WRONG_EPOCH),
        (2, {"epoch": EPOCH + 1}, DeclineReason.WRONG_EPOCH),
        (1, {"source_count": 1}, DeclineReason.WRONG_TENSOR),
        (2, {"may_execute": False}, DeclineReason.POLICY),
        (2, {"deadline_us": 0}, DeclineReason.DEADLINE),
    )
    for core, changes, reason in cases:
        live = campaign.live_of(core)
        first = next(iter(live.datagrams()))
        header = replace(wire.decode(first), **changes)
        (left,) = campaign.both(live.frame(wire.encode(header) + first[wire.HEADER_BYTES :]))
        assert header_of(left).reason == reason
    counts = campaign.nic.check_counters()
    assert counts["collected"] == 0


def test_d0_results_that_no_core_takes_are_forwarded(campaign: CoresCampaign) -> None:
    """One for any of the cores is a request; others go on as they are."""
    live = campaign.live_of(2, result=True)
    left = campaign.both(*live.frames)
    assert {header_of(data).cursor for data in left} == {CURSOR + 2}
    other = campaign.live_of(0, result=True)
    first = next(iter(other.datagrams()))
    header = replace(wire.decode(first), cursor=CURSOR + 2)
    (left,) = [campaign.both(other.frame(wire.encode(header) + first[wire.HEADER_BYTES :]))]
    assert [header_of(data).declined for data in left] == [False]
    assert campaign.nic.counters()["forwarded"] == 1


def test_d8_one_id_is_a_request_of_each_core(campaign: CoresCampaign) -> None:
    """From one sender, fragments mixed; each is executed, and remembered by its own core."""
    rng = campaign.rng
    request_id = rng.getrandbits(64)
    lives = [campaign.live_of(core, request_id=request_id) for core in (0, 1, 2)]
    for live in lives[1:]:
        live.client = lives[0].client
    frames = [data for live in lives for data in live.frames]
    rng.shuffle(frames)
    left = campaign.both(*frames)
    found = {(header_of(data).model_hash, header_of(data).cursor) for data in left}
    assert found == {(MODEL_HASH, CURSOR + 1), (OTHER_HASH, CURSOR + 1), (MODEL_HASH, CURSOR + 2)}
    assert campaign.both(*frames) == []
    counts = campaign.nic.check_counters()
    assert (counts["results"], counts["dropped_duplicate"]) == (3, len(frames))


def test_d8_full_slots_of_a_core_are_nothing_to_another(campaign: CoresCampaign) -> None:
    nic, slots = campaign.nic, slots_of(SMALL.in_bytes, len(CORES))
    assert slots == 64
    opened = [campaign.live_of(0) for _ in range(70)]
    left = campaign.both(*(live.frames[0] for live in opened))
    assert {header_of(data).reason for data in left} == {DeclineReason.BUSY}
    for core in (1, 2):
        assert campaign.both(*campaign.live_of(core).frames) != []
    assert nic.check_counters()["results"] == 2


def test_d4_each_core_asks_and_gives_up_its_own(campaign: CoresCampaign) -> None:
    """All at once; counted all, and nothing of a core that lacks nothing."""
    nic, golden = campaign.nic, campaign.golden
    golden.registers["timeout_us"] = 1 << 19
    nic.write(timeout_us=1 << 19)
    lacking = [campaign.live_of(core) for core in (0, 0, 1, 1) for _ in range(3)]
    for live in lacking:
        while len(live.frames) < 2:
            live.frames = campaign.live_of(0).frames
    assert campaign.both(*(live.frames[-1] for live in lacking)) == []
    campaign.left_after(ASK_US << MAX_ASKS)
    assert nic.counters()["asked"] > 0
    left = campaign.left_after(1 << 19)
    assert {header_of(data).reason for data in left} == {DeclineReason.INCOMPLETE}
    assert nic.check_counters()["evicted"] == len(lacking)
    assert nic.filled() == set()
    assert nic.read("status") == 0


def test_nothing_is_known_after_a_reset(campaign: CoresCampaign) -> None:
    """In no core, with frames under way to each."""
    nic = campaign.nic
    lives = [campaign.live_of(core) for core in range(len(CORES)) for _ in range(3)]
    for live in lives:
        for data in live.frames[:-1]:
            nic.queue(data)
    nic.cycles(campaign.rng.randrange(2000))
    nic.reset()
    nic.write(clock_mhz=0, time_us=campaign.golden.now, timeout_us=0)
    nic.drain()
    out = nic.send(*(data for live in lives for data in live.frames))
    results = {header_of(data).request_id for data in out if header_of(data).result}
    assert results == {live.header.request_id for live in lives}
    assert nic.read("status") == 0


@pytest.mark.parametrize("pauses", [(0, 0), (40, 60)])
def test_d9_equal_cores_share_requests(cores: Nic, tools: Tools, pauses: tuple[int, int]) -> None:
    """Ids that follow each other go by turns."""
    campaign = CoresCampaign(cores, tools.random.getrandbits(32))
    cores.pauses(*pauses, tools.random.getrandbits(31))
    first = tools.random.getrandbits(56) << 8
    lives = [campaign.live_of(2, request_id=first + k) for k in range(32)]
    assert [live.core for live in lives[:4]] in ([2, 3, 2, 3], [3, 2, 3, 2])
    left = campaign.both(*(data for live in lives for data in live.frames))
    assert len(left) == len(lives)


def test_d9_two_of_a_slice_take_less_time_than_one(cores: Nic, tools: Tools) -> None:
    """Than as many requests whose ids lead all of them to one."""
    campaign = CoresCampaign(cores, tools.random.getrandbits(32))
    cores.pauses(0, 0, 1)
    first, took = tools.random.getrandbits(50) << 14, []
    for step in (1, 2):
        lives = [campaign.live_of(2, request_id=first + step * k) for k in range(48)]
        assert len({live.core for live in lives}) == 2 // step
        first += 1 << 10
        for live in lives:
            for data in live.frames:
                cores.queue(data)
        out = cores.drain()
        assert sum(header_of(frame.data).result for frame in out) == 48
        took.append(out[-1].cycle - cores.entered()[0])
    print("cycles of 48 requests by two cores, and by one:", *took)
    assert took[0] < took[1]


def test_d8_a_busy_core_keeps_no_other_waiting(cores: Nic, tools: Tools) -> None:
    """A short request among many long ones leaves long before them."""
    campaign = CoresCampaign(cores, tools.random.getrandbits(32))
    cores.pauses(0, 0, 1)
    long = [campaign.live_of(0) for _ in range(12)]
    short = campaign.live_of(2)
    for live in (*long, short):
        for data in live.frames:
            cores.queue(data)
    out = cores.drain()
    ids = [header_of(frame.data).request_id for frame in out]
    assert len(ids) == 12 * 2 + 1
    assert ids.index(short.header.request_id) < 12


def test_line_rate_while_all_cores_work(cores: Nic, tools: Tools) -> None:
    """Links full: nothing of others' frames is lost, kept waiting or altered."""
    campaign = CoresCampaign(cores, tools.random.getrandbits(32))
    cores.pauses(0, 0, 1)
    cores.wire()
    others, wanted = [], set()
    for index, length in enumerate(tools.random.choices(IMIX, k=1500)):
        others.append(tools.random.randbytes(length))
        cores.queue(others[-1])
        if index % 3 == 0:
            live = campaign.live_of(index // 3 % len(CORES))
            wanted.add(live.header.request_id)
            for data in live.frames:
                cores.queue(data)
    out = cores.drain(20_000_000)
    assert cores.stalls() == 0
    known = set(others)
    assert [frame.data for frame in out if frame.data in known] == others
    headers = [header_of(frame.data) for frame in out if frame.data not in known]
    assert {header.request_id for header in headers} == wanted
    executed = {(h.model_hash, h.cursor) for h in headers if h.result}
    assert len(executed) == len({(m["model_hash"], m["cursor"]) for m in MODELS})
    cores.check_counters()


def test_a_frame_for_any_core_leaves_as_early(cores: Nic, small: Nic, tools: Tools) -> None:
    """A cycle later than around one slice, at most."""
    campaign = CoresCampaign(cores, tools.random.getrandbits(32))
    small.write(cursor=CURSOR + 1)
    for nic in (cores, small):
        nic.pauses(0, 0, 1)
        nic.write(clock_mhz=1000)
        nic.drain()
    for _ in range(4):
        (frame,) = campaign.live_of(2).frames
        assert cycles_of(cores, frame) <= cycles_of(small, frame) + 1


def cycles_of(nic: Nic, frame: bytes) -> int:
    """From the last beat of a request of one fragment to the first one of its result."""
    nic.entered()
    nic.queue(frame)
    (out,) = nic.drain()
    (entered,) = nic.entered()
    return out.first - (entered + -(-len(frame) // 8) - 1)


@pytest.mark.parametrize("count", [0, csr.MAX_CORES + 1])
def test_numbers_of_slices_that_there_are_no_registers_for(count: int) -> None:
    shape = SliceShape((WireTensor(1, 1),), (WireTensor(1, 1),))
    with pytest.raises(ValueError, match=rf"1 to {csr.MAX_CORES} slices, not {count}"):
        NicShell([shape] * count)
