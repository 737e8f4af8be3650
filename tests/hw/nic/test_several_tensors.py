# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""Requests of several tensors, joined by their id; slices of several inputs and outputs: D7, W6."""

from __future__ import annotations

import itertools
import random
from collections.abc import Iterable
from dataclasses import replace
from typing import Any

import pytest
from scapy.layers.inet import IP, UDP
from scapy.layers.l2 import Ether

from midwire.hw.formats import csr, fragments, wire
from midwire.hw.formats.actions import Action
from midwire.hw.formats.slots import DECISIONS, MAX_ASKS, QUICK_ASKS, request_fingerprint
from midwire.hw.formats.wire import DeclineReason, MessageType
from midwire.hw.nic.shape import SliceShape, WireTensor
from midwire.hw.nic.top import NicShell

from .conftest import Nic, Sizes, Tools, frame
from .golden import fields_of
from .test_entries import SteeredCampaign, entry, place_of, went_to
from .test_golden import ASK_US, CLIENTS, LOOKING_CYCLES, Campaign, Live

ONE, TWO, THREE = CLIENTS[:3]
SIZES = (48, 1500)


class JoinedLive(Live):
    """A request of two tensors, each with a sender of its own."""

    def __init__(self, rng: random.Random, **changes: Any) -> None:
        self.clients = changes.pop("clients", rng.choices(CLIENTS, k=2))
        self.mtus = changes.pop("mtus", rng.choices((300, 700, 1500), k=2))
        self.tensors = [rng.randbytes(size) for size in SIZES]
        super().__init__(rng, 1, source_count=2, **changes)

    def datagrams(self) -> Iterable[bytes]:
        for index, (tensor, mtu) in enumerate(zip(self.tensors, self.mtus, strict=True)):
            yield from fragments.datagrams(replace(self.header, tensor_index=index), tensor, mtu)

    def frame(self, datagram: bytes) -> bytes:
        self.client = self.clients[min(fields_of(datagram)["tensor_index"], 1)]
        return super().frame(datagram)

    def sent_by(self, client: tuple[str, int]) -> list[bytes]:
        """All its frames, as somebody else sends them."""
        return [Live.frame(self._as(client), datagram) for datagram in self.datagrams()]

    def _as(self, client: tuple[str, int]) -> Live:
        self.client = client
        return self

    @property
    def place(self) -> tuple[int, int]:
        return self.core, request_fingerprint(self.header.request_id) % DECISIONS


def joined(sizes: Sizes, tensors: list[bytes]) -> list[bytes]:
    """As the stand-in slice of two tensors does."""
    first, second = tensors
    return [
        bytes(
            (first[k % len(first)] + factor * second[k % len(second)] + k // len(second)) & 255
            for k in range(tensor.tensor_bytes)
        )
        for factor, tensor in enumerate(sizes.shape.outputs, 2)
    ]


class JoinedCampaign(Campaign):
    """Frames of requests of two tensors, some of senders that have no part in them."""

    hops = SteeredCampaign.hops

    def execute(self, tensors: list[bytes]) -> list[bytes]:
        return joined(self.nic.sizes, tensors)

    def request(self) -> Live:
        return JoinedLive(self.rng)

    def fragment(self) -> bytes:
        if self.rng.random() < 0.05 and (strange := self.foreign_fragments()):
            return self.rng.choice(strange)
        return super().fragment()

    def foreign_fragments(self) -> list[bytes]:
        """Of tensors that belong to others, and whose request is not whole before they come."""
        found = []
        for live in self.live:
            assert isinstance(live, JoinedLive)
            slot = self.golden.slots.get((live.header.request_id, b"", 0))
            others = [client for client in CLIENTS if client not in live.clients]
            for sent in live.sent_by(self.rng.choice(others)):
                index = header_of(sent).tensor_index
                if slot and slot.parts[index].begun:
                    found.append(sent)
        return found

    def both(self, *frames: bytes) -> list[bytes]:
        """Through the NIC and the model, which agree; what left, in the model's order."""
        for each in frames:
            self.nic.queue(each)
            self.golden.frame(each)
        return self.left()

    def commit(self, **change: int) -> None:
        assert self.nic.commit(0, **change) == 0
        self.golden.commit(0, **change)

    def wait(self, microseconds: int) -> list[bytes]:
        self.golden.wait(microseconds)
        self.nic.write(time_us=self.golden.now)
        self.nic.cycles(LOOKING_CYCLES)
        return self.left()

    def left(self) -> list[bytes]:
        golden = self.golden
        golden.settle()
        groups = [golden.sent_on, *golden.results, *golden.given_up, golden.asked]
        left = [frame for group in groups for frame in group]
        self.compare()
        return left

    def live_one(self, **changes: Any) -> JoinedLive:
        return JoinedLive(self.rng, **{"clients": [ONE, TWO], "mtus": [1500, 1500], **changes})


def _header_at(sent: bytes) -> int:
    """Where the midwire header of one of these frames begins."""
    at = 14
    while sent[at - 2 : at] in (b"\x81\x00", b"\x88\xa8"):
        at += 4
    return at + (40 if sent[at] >> 4 == 6 else 20) + 8


def header_of(sent: bytes) -> wire.Header:
    return wire.decode(sent[_header_at(sent) :])


@pytest.fixture
def joining(several: Any, tools: Any) -> JoinedCampaign:
    campaign = JoinedCampaign(several, tools.random.getrandbits(32))
    several.write(timeout_us=500)
    campaign.golden.registers["timeout_us"] = 500
    return campaign


@pytest.mark.parametrize("frames", [1500, pytest.param(100_000, marks=pytest.mark.sweep)])
def test_random_frames(frames: int, several: Any, request: pytest.FixtureRequest) -> None:
    seed = random.SystemRandom().randrange(1 << 32)
    print(f"{request.node.name}: seed {seed}")
    JoinedCampaign(several, seed).run(frames)


def test_every_order(joining: JoinedCampaign) -> None:
    """Of two senders; the result leaves in the name of the first tensor's."""
    for order in itertools.permutations(range(3)):
        live = joining.live_one()
        assert len(live.frames) == 3
        *before, last = (live.frames[index] for index in order)
        assert joining.both(*before) == []
        results = joining.both(last)
        assert {(Ether(data)[IP].src, Ether(data)[UDP].sport) for data in results} == {ONE}
        headers = [header_of(data) for data in results]
        assert [h.tensor_index for h in headers] == [0] * 2 + [1] * 15
        assert {(h.source_count, h.result, h.cursor) for h in headers} == {(2, True, 2)}
        assert joining.nic.filled() == set()
    counts = joining.nic.check_counters()
    assert (counts["requests"], counts["results"], counts["result_frames"]) == (6, 6, 6 * 17)


@pytest.mark.parametrize("pauses", [(0, 0), (0, 95), (60, 30)])
def test_inputs_and_outputs_in_any_order(
    several: Nic, tools: Tools, pauses: tuple[int, int]
) -> None:
    """Whichever of its inputs or outputs the slice waits for, in turns or one before the other,
    while requests follow each other; and each output says the cycles of the request."""
    several.pauses(*pauses, tools.random.getrandbits(31))
    lives = [JoinedLive(tools.random) for _ in range(12)]
    out = several.send(*(data for live in lives for data in live.frames))
    campaign = JoinedCampaign(several, 1)
    for live in lives:
        mine = [data for data in out if header_of(data).request_id == live.header.request_id]
        cycles = set()
        for index, tensor in enumerate(campaign.execute(live.tensors)):
            parts = [data for data in mine if header_of(data).tensor_index == index]
            assert b"".join(data[_header_at(data) + 64 :] for data in parts) == tensor
            cycles |= {header_of(data).cycles for data in parts if header_of(data).last}
        (found,) = cycles
        # No fewer than the input and the output that take longest have beats.
        assert found > 500 + 2500
    assert several.filled() == set()
    assert several.read("status") == 0


def test_a_tensor_belongs_to_whoever_sent_of_it_first(joining: JoinedCampaign) -> None:
    live = joining.live_one()
    small, first, second = live.frames
    strange = live.sent_by(THREE)
    assert joining.both(second) == []
    (declined,) = joining.both(strange[1])
    assert header_of(declined).reason == DeclineReason.WRONG_TENSOR
    # Nobody has sent of the first one: it is theirs, from here on.
    assert joining.both(strange[0]) == []
    (declined,) = joining.both(small)
    assert header_of(declined).reason == DeclineReason.WRONG_TENSOR
    results = joining.both(first)
    assert {Ether(data)[UDP].sport for data in results} == {THREE[1]}
    assert joining.both(strange[1]) == []  # of a request that was executed
    assert joining.nic.counters()["declined_wrong_tensor"] == 2


def test_whoever_sends_what_lacks_is_asked(joining: JoinedCampaign) -> None:
    live = joining.live_one(mtus=[1500, 300])
    small, *large = live.frames
    assert len(large) == 8
    assert joining.both(small, large[7], large[2]) == []
    asked = joining.wait(ASK_US // 4)
    (question,) = asked
    header = header_of(question)
    assert (Ether(question)[IP].dst, Ether(question)[UDP].dport) == TWO
    assert (header.message_type, header.tensor_index) == (MessageType.MISSING, 1)
    assert question[_header_at(question) + 64 :] == bytes([0b1101_1110, *bytes(7)])
    joining.both(*large[:2], *large[3:6])
    assert joining.wait(ASK_US // 4) != []
    assert len(joining.both(large[6])) == 17


def test_the_first_that_lacks_something_is_asked_for(joining: JoinedCampaign) -> None:
    joining.nic.write(timeout_us=0)
    joining.golden.registers["timeout_us"] = 0
    live = JoinedLive(joining.rng, clients=[TWO, ONE], mtus=[1500, 700])
    small, first, *others = live.frames
    assert joining.both(first) == []
    questions = joining.wait(1 << 20)  # not before ask_us: not all have ended
    assert len(questions) == MAX_ASKS
    assert {header_of(data).tensor_index for data in questions} == {1}
    assert joining.both(others[-1]) == []
    assert len(joining.wait(1 << 20)) == MAX_ASKS
    assert joining.both(small) == []
    assert len(joining.wait(1 << 20)) == QUICK_ASKS + MAX_ASKS


def test_nobody_is_asked_for_a_tensor_of_which_nothing_came(joining: JoinedCampaign) -> None:
    live = joining.live_one()
    assert joining.both(live.frames[0]) == []
    assert joining.wait(400) == []
    (given_up,) = joining.wait(100)
    assert header_of(given_up).reason == DeclineReason.INCOMPLETE
    assert joining.nic.counters()["asked"] == 0


def test_what_is_given_up_is_sent_on_as_it_came(joining: JoinedCampaign) -> None:
    """Every fragment that is here, each tensor with its own header and in its sender's name; and
    later ones share their fate."""
    live = joining.live_one(mtus=[1500, 300])
    small, *large = live.frames
    kept = [large[5], large[7], small, large[0]]
    assert joining.both(*kept) == []
    left = joining.wait(500)
    given_up, questions = left[:4], left[4:]
    for sent, got in zip((small, large[0], large[5], large[7]), given_up, strict=True):
        before, after = header_of(sent), header_of(got)
        assert after.reason == DeclineReason.INCOMPLETE and after.declined
        places = [(h.tensor_index, h.fragment_index, h.offset, h.last) for h in (before, after)]
        assert places[0] == places[1]
        assert got[_header_at(got) + 64 :] == sent[_header_at(sent) + 64 :]
        assert Ether(got)[IP].src == Ether(sent)[IP].src
    assert questions == []
    (late,) = joining.both(large[1])
    assert header_of(late).reason == DeclineReason.INCOMPLETE
    assert joining.nic.filled() == set()
    counts = joining.nic.check_counters()
    assert (counts["evicted"], counts["evicted_fragments"]) == (1, 4)


def test_a_request_is_named_by_its_id_alone(joining: JoinedCampaign) -> None:
    """All senders are one request's; ids of others are others', executed twice if asked to."""
    live, other = joining.live_one(), joining.live_one(clients=[ONE, ONE])
    assert joining.both(live.frames[0], other.frames[2]) == []
    assert len(joining.both(*live.frames[1:])) == 17
    assert len(joining.both(*other.frames[:2])) == 17
    assert joining.both(*live.sent_by(THREE)) == []
    again = joining.live_one(request_id=live.header.request_id, resend=True, clients=[THREE, ONE])
    assert len(joining.both(*again.frames)) == 17
    assert joining.nic.counters()["dropped_duplicate"] == 3


def test_fragments_that_contradict_those_of_their_tensor(joining: JoinedCampaign) -> None:
    """Each tensor is cut by itself: the same cut may be right for one and wrong for the other."""
    live = joining.live_one(mtus=[1500, 700])
    otherwise = joining.live_one(
        request_id=live.header.request_id, clients=live.clients, mtus=[1500, 1500]
    )
    small, *large = live.frames
    assert joining.both(large[0], otherwise.frames[1], large[0]) == []
    lie = wire.encode(replace(header_of(small), last=False, fragment_count=2, total_bytes=48))
    assert joining.both(live.frame(lie + live.tensors[0][:48])) == []
    assert len(joining.both(*large[1:], small)) == 17
    counts = joining.nic.counters()
    assert (counts["dropped_bad_length"], counts["dropped_duplicate"]) == (2, 1)


def test_one_sender_gets_no_more_than_its_share(joining: JoinedCampaign) -> None:  # D2
    """A slot counts for whoever opened it, and is not busy for others that join."""
    joining.nic.write(timeout_us=0)
    joining.golden.registers["timeout_us"] = 0
    opened = [joining.live_one() for _ in range(52)]
    left = joining.both(*(live.frames[0] for live in opened))
    assert [header_of(data).reason for data in left] == [DeclineReason.BUSY]
    (declined,) = joining.both(opened[-1].frames[1])
    assert header_of(declined).reason == DeclineReason.BUSY
    for live in opened[:51]:
        assert len(joining.both(*live.frames[1:])) == 17


def test_t4_tensors_of_a_request_have_one_fate(joining: JoinedCampaign) -> None:
    """What an entry did with one tensor is done with the others, whoever sends them."""
    live = joining.live_one()
    joining.commit(**entry(Action.FORWARD))
    (forwarded,) = joining.both(live.frames[0])
    joining.commit()
    for left in (forwarded, *joining.both(*live.frames[1:])):
        assert not header_of(left).declined
    assert joining.nic.counters()["forwarded"] == 3


def test_t4_what_comes_of_a_tensor_goes_to_the_hop_that_it_had(joining: JoinedCampaign) -> None:
    """Tensor 0 of one request comes under another entry than tensor 1, and by IPv6."""
    clients = ["2001:db8::1:1", 40_000], ["10.0.1.1", 40_001]
    live, lacks = (joining.live_one(clients=[*map(tuple, clients)]) for _ in range(2))
    joining.commit(**entry(Action.EXECUTE, 1))
    assert joining.both(live.frames[1], lacks.frames[1]) == []
    joining.commit(**entry(Action.EXECUTE, 2))
    assert joining.both(lacks.frames[0]) == []
    results = joining.both(live.frames[2], live.frames[0])
    assert {went_to(data) for data in results} == {place_of(2, ipv6=True)} and len(results) == 17
    given_up = joining.wait(500)[:2]
    assert [went_to(data) for data in given_up] == [place_of(2, ipv6=True), place_of(1)]


def test_d1_what_is_no_tensor_of_the_slice(several: Nic, tools: Tools) -> None:
    """Another number of tensors, or a tensor that there is not; and one of another's bytes."""
    for change, reason in (
        ({}, DeclineReason.WRONG_TENSOR),
        ({"source_count": 3}, DeclineReason.WRONG_TENSOR),
        ({"source_count": 2, "tensor_index": 2}, DeclineReason.WRONG_TENSOR),
        ({"source_count": 2, "tensor_index": 1}, DeclineReason.BAD_LENGTH),
        ({"model_hash": bytes(8)}, DeclineReason.WRONG_MODEL),
        ({"source_count": 2, "may_execute": False}, DeclineReason.POLICY),
    ):
        (sent,) = tools.request(several.sizes, **change).frames()
        tools.check_declined(sent, several.send(sent)[0], reason)
    counts = several.check_counters()
    assert counts["collected"] == 0


def test_everything_else_passes(several: Nic, tools: Tools) -> None:
    other = frame(tools.random.randbytes(300), to="10.9.9.9")
    assert several.send(other) == [other]
    assert several.read("status") == 0


def test_registers_say_what_the_slice_has(several: Nic) -> None:
    """Slots for all bytes of a request, two inputs, two outputs; sizes are the manifest's."""
    assert several.read("capability") == 0x02_02_40_08
    assert (several.read("input_bytes"), several.read("output_bytes")) == (0, 0)
    assert csr.ADDRESS["capability"] == 0xC


@pytest.mark.parametrize("count", [0, 256])
def test_numbers_of_tensors_that_the_header_cannot_count(count: int) -> None:
    tensor = WireTensor(1, 1)
    with pytest.raises(ValueError, match=rf"1 to 255 inputs and outputs, not 1 and {count}"):
        NicShell([SliceShape((tensor,), (tensor,) * count)])


@pytest.mark.parametrize("beat", [0, 3, 5])
def test_tensors_that_are_no_whole_beats(beat: int) -> None:
    good, wrong = WireTensor(4, 4), WireTensor(beat, 4)
    with pytest.raises(ValueError, match=f"output tensor must be whole beats .* of {beat}"):
        NicShell([SliceShape((good,), (good, wrong))])
