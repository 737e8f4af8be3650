# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""Weights that are loaded and swapped while frames move: rules X1 to X5 of hw/nic/weights.py."""

from __future__ import annotations

import contextlib
import random
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from scapy.layers.inet import IP, UDP
from scapy.layers.l2 import Ether
from scapy.packet import Raw

from midwire.hw.formats import csr, fragments, wire
from midwire.hw.formats.csr import WEIGHTS_BANK, WEIGHTS_LOADED, WEIGHTS_WAIT
from midwire.hw.formats.wire import DeclineReason
from midwire.hw.nic.shape import SideWords

from .conftest import (
    CURSOR,
    EPOCH,
    JOINED_SWAPPED,
    LONG_SWAPPED,
    MODEL_HASH,
    SIDES,
    SLICES,
    SWAPPED,
    TENANT,
    Nic,
    Request,
    Tools,
    frame,
    unwrap,
)
from .stacks import CLIENT_IP, CLIENT_PORT

OKAY, SLVERR = 0, 2
DATA, COMMIT = csr.ADDRESS["weights_data"], csr.ADDRESS["weights_commit"]


@dataclass(frozen=True)
class Weights:
    """Those of one model, as words of each side port, and how frames name it."""

    model_hash: bytes
    epoch: int
    words: tuple[tuple[bytes, ...], ...]

    @classmethod
    def random(cls, rng: random.Random, model_hash: bytes | None = None, epoch: int = 1) -> Weights:
        words = tuple(
            tuple(rng.randbytes(side.beat_bytes) for _ in range(side.words)) for side in SIDES
        )
        return cls(model_hash or rng.randbytes(8), epoch, words)

    def of(self, request: Request) -> Request:
        return request.with_header(model_hash=self.model_hash, epoch=self.epoch)

    def added(self, size: int) -> list[int]:
        """What stand_in.v adds to the bytes of a result."""
        first, (second,) = self.words
        return [first[k % len(first)][k % 5] + second[0] for k in range(size)]


IMAGE = Weights(MODEL_HASH, EPOCH, tuple((bytes(side.beat_bytes),) * side.words for side in SIDES))
"""What the stand-in begins with."""


def parts(word: bytes) -> list[int]:
    """What is written for a word."""
    whole = word + bytes(-len(word) % 4)
    return [int.from_bytes(whole[k : k + 4], "little") for k in range(0, len(whole), 4)]


def load_port(nic: Nic, port: int, words: tuple[bytes, ...]) -> None:
    nic.write(weights_port=port)
    for word in words:
        for part in parts(word):
            assert nic.write_at(DATA, part) == OKAY


def load(nic: Nic, weights: Weights) -> None:
    for port in random.Random(weights.model_hash).sample(range(len(SIDES)), len(SIDES)):
        load_port(nic, port, weights.words[port])
    nic.write(
        weights_model_hash=int.from_bytes(weights.model_hash, "big"), weights_epoch=weights.epoch
    )


def swap(nic: Nic, weights: Weights) -> None:
    """Load, commit, and wait until it is so."""
    load(nic, weights)
    assert nic.write_at(COMMIT, 1) == OKAY
    for _ in range(10_000):
        if not nic.read("weights_status") & WEIGHTS_WAIT:
            break
        nic.cycles(16)
    assert in_force(nic) == (weights.model_hash, weights.epoch)


def in_force(nic: Nic) -> tuple[bytes, int]:
    high, low = (nic.read(name) for name in csr.parts_of("model_hash"))
    return (high << 32 | low).to_bytes(8, "big"), nic.read("epoch")


def check_result(request: Request, weights: Weights, frames: list[bytes]) -> None:
    """Exactly the result that these weights give, and its header names them."""
    found = [unwrap(data) for data in frames]
    size = request.sizes.out_bytes
    plain, added = request.result(), weights.added(size)
    expected = bytes((plain[k] + added[k]) & 255 for k in range(size))
    assert b"".join(payload for _, payload in found) == expected
    for header, _ in found:
        assert header.result and not header.declined
        assert (header.model_hash, header.epoch) == (weights.model_hash, weights.epoch)
        assert header.request_id == request.header.request_id


def test_x1_x2_registers(loadable: Nic, tools: Tools) -> None:
    nic = loadable
    assert nic.read("weights_ports") == len(SIDES)
    for port, side in enumerate((*SIDES, SideWords(0, 0), SideWords(0, 0))):
        nic.write(weights_port=port)
        assert (nic.read("weights_beat_bytes"), nic.read("weights_words")) == side
    assert nic.write_at(DATA, 1) == SLVERR  # no such port
    assert nic.write_at(COMMIT, 1) == SLVERR
    weights = Weights.random(tools.random)
    load_port(nic, 0, weights.words[0])
    assert nic.write_at(DATA, 1) == SLVERR  # it has all
    assert nic.write_at(COMMIT, 1) == SLVERR  # the other one has none
    load_port(nic, 1, weights.words[1])
    assert nic.read("weights_status") == WEIGHTS_LOADED
    load_port(nic, 0, weights.words[0][:3])
    assert nic.read("weights_status") == 0
    assert nic.write_at(COMMIT, 1) == SLVERR
    assert nic.read_at(DATA) == nic.read_at(COMMIT) == (OKAY, 0)
    swap(nic, weights)
    assert nic.read("weights_status") == WEIGHTS_BANK
    assert nic.write_at(COMMIT, 1) == SLVERR  # nothing was loaded since
    request = weights.of(tools.request(nic.sizes))
    check_result(request, weights, nic.send(*request.frames()))


def test_without_side_ports(small: Nic) -> None:
    assert small.read("weights_ports") == small.read("weights_words") == 0
    small.write(weights_port=0)
    assert small.write_at(DATA, 1) == small.write_at(COMMIT, 1) == SLVERR
    assert small.read("weights_status") == 0


def test_x1_loading_can_begin_anew_at_any_word(loadable: Nic, tools: Tools) -> None:
    """What was broken off leaves no trace, and what is in force stays exact meanwhile."""
    nic, here = loadable, IMAGE
    for turn in range(12):
        other, weights = (Weights.random(tools.random, epoch=turn) for _ in range(2))
        for _ in range(3):
            port = tools.random.randrange(len(SIDES))
            load_port(nic, port, other.words[port][: tools.random.randrange(SIDES[port].words)])
            if port == 0 and tools.random.random() < 0.5:  # in the midst of a word
                assert nic.write_at(DATA, 99) == OKAY
            request = here.of(tools.request(nic.sizes))
            check_result(request, here, nic.send(*request.frames()))
        swap(nic, weights)
        here = weights
        request = here.of(tools.request(nic.sizes))
        check_result(request, here, nic.send(*request.frames()))


def test_x3_frames_are_judged_by_what_is_in_force(loadable: Nic, tools: Tools) -> None:
    nic = loadable
    new = Weights.random(tools.random)
    newer = replace(Weights.random(tools.random), model_hash=new.model_hash, epoch=2)
    load(nic, new)
    for old, following, reason in (
        (IMAGE, new, DeclineReason.WRONG_MODEL),
        (new, newer, DeclineReason.WRONG_EPOCH),
    ):
        for here, there in ((old, following), (following, old)):
            request, other = (w.of(tools.request(nic.sizes)) for w in (here, there))
            check_result(request, here, nic.send(*request.frames()))
            for sent, got in zip(other.frames(), nic.send(*other.frames()), strict=True):
                tools.check_declined(sent, got, reason)
            if here is old:
                swap(nic, following)
    nic.check_counters()


def test_x4_what_has_not_begun_is_given_up_at_once(loadable: Nic, tools: Tools) -> None:
    """Whole or not, all that is here of it, perhaps behind what comes of it after the swap; and the
    slots are free and zero then."""
    nic = loadable
    nic.write(timeout_us=0)
    old = IMAGE
    for turn in range(6):
        same = turn % 2
        new = Weights.random(tools.random, old.model_hash if same else None, 10 + turn)
        reason = DeclineReason.WRONG_EPOCH if same else DeclineReason.WRONG_MODEL
        load(nic, new)
        requests = [old.of(tools.request(nic.sizes)) for _ in range(12)]
        sent = []
        for number, request in enumerate(requests):
            frames = request.frames()
            sent.append(frames if number % 2 else frames[:1])
            for each in sent[-1]:
                nic.queue(each)
        nic.cycles(tools.random.randrange(4000))
        assert nic.write_at(COMMIT, 1) == OKAY
        nic.cycles(tools.random.randrange(400))
        out = by_request([got.data for got in nic.drain()])
        assert in_force(nic) == (new.model_hash, new.epoch)
        declined = 0
        for request, frames in zip(requests, sent, strict=True):
            got = out.pop(request.header.request_id)
            if tools.is_result(got[0]):
                check_result(request, old, got)
                continue
            declined += 1
            assert len(got) == len(frames)
            got.sort(key=lambda data: unwrap(data)[0].fragment_index)
            for before, after in zip(frames, got, strict=True):
                tools.check_declined(before, after, reason)
        assert not out and (declined or len(sent[0]) == len(requests[0].frames()))
        assert nic.filled() == set()
        assert nic.read("status") == 0
        old = new
    nic.check_counters()


def by_request(frames: list[bytes]) -> dict[int, list[bytes]]:
    """Frames that came out, by the request that their header names, in their order."""
    found: dict[int, list[bytes]] = {}
    for data in frames:
        found.setdefault(unwrap(data)[0].request_id, []).append(data)
    return found


@pytest.mark.parametrize("pauses", [0, 40])
def test_swaps_under_load(loadable: Nic, tools: Tools, pauses: int) -> None:
    """Frames of both models without end, others' between them, swap after swap: every frame counts
    once and comes out once, and what is executed is exactly what its header says."""
    nic, rng = loadable, tools.random
    nic.write(timeout_us=0)
    nic.pauses(pauses, pauses, rng.getrandbits(30))
    here, following = IMAGE, Weights.random(rng)
    named = {(w.model_hash, w.epoch): w for w in (here, following)}
    sent: dict[int, tuple[Request, Weights]] = {}
    fragments: Counter[int] = Counter()
    passed: list[bytes] = []
    out: list[bytes] = []
    frames_in = 0
    for turn in range(60):
        beats = 0
        for _ in range(rng.randrange(8, 24)):
            weights = here if rng.random() < 0.7 else following
            request = weights.of(tools.request(nic.sizes))
            sent[request.header.request_id] = request, weights
            for each in request.frames():
                nic.queue(each)
                fragments[request.header.request_id] += 1
                frames_in += 1
                beats += len(each) // 8
                if rng.random() < 0.3:
                    passed.append(foreign(rng))
                    nic.queue(passed[-1])
                    frames_in += 1
        load(nic, following)
        nic.cycles(rng.randrange(2 * beats))
        assert nic.write_at(COMMIT, 1) == OKAY
        for _ in range(100_000):
            if not nic.read("weights_status") & WEIGHTS_WAIT:
                break
            nic.cycles(rng.randrange(64))
        assert in_force(nic) == (following.model_hash, following.epoch)
        again = rng.random() < 0.3  # the same weights once more
        keep = here if again else Weights.random(rng, epoch=turn + 2)
        here, following = following, keep
        named[following.model_hash, following.epoch] = following
        if rng.random() < 0.5:
            out += [got.data for got in nic.drain()]
    out += [got.data for got in nic.drain()]
    ours = [data for data in out if Ether(data).dst != FOREIGN]
    assert [data for data in out if Ether(data).dst == FOREIGN] == passed
    executed = declined = 0
    results = by_request(ours)
    assert set(results) == set(sent)
    for request_id, got in results.items():
        request, weights = sent[request_id]
        header, _ = unwrap(got[0])
        assert named[header.model_hash, header.epoch] is weights
        if header.result:
            executed += 1
            check_result(request, weights, got)
            continue
        declined += 1
        assert Counter(map(payload_of, got)) == Counter(map(payload_of, request.frames()))
        assert all(unwrap(data)[0].declined for data in got)
    counts = nic.check_counters()
    assert counts["frames_in"] == frames_in and counts["passed"] == len(passed)
    assert counts["results"] == executed and executed > 60 and declined > 60
    assert (
        counts["collected"]
        + counts["passed"]
        + sum(counts[name] for name in counts if name.startswith("declined"))
        == frames_in
    )
    assert nic.filled() == set() and nic.read("status") == 0


FOREIGN = "02:00:00:00:99:99"


def foreign(rng: random.Random) -> bytes:
    """A frame that is not for the NIC."""
    body = rng.randbytes(rng.randrange(20, 400))
    return bytes(Ether(dst=FOREIGN) / IP(dst="10.9.9.9") / UDP(sport=5, dport=7) / Raw(body))


def payload_of(data: bytes) -> bytes:
    return bytes(Ether(data)[UDP].payload)[wire.HEADER_BYTES :]


@pytest.mark.parametrize("loadable", [JOINED_SWAPPED], indirect=True)
def test_x4_requests_of_several_tensors(loadable: Nic, tools: Tools) -> None:
    """Tensors from two senders, whole or not: executed by one model, or all sent on, tensor by
    tensor; never a tensor of one model with one of the other."""
    nic, rng = loadable, tools.random
    nic.write(timeout_us=0)
    sizes = (48, 1500)
    old, executed, declined = IMAGE, 0, 0
    for turn in range(12):
        new = Weights.random(rng, epoch=turn)
        load(nic, new)
        sent: dict[int, list[list[bytes]]] = {}
        tensors: dict[int, list[bytes]] = {}
        for _ in range(10):
            header = old.of(tools.request(nic.sizes)).header
            values = [rng.randbytes(size) for size in sizes]
            frames = []
            for index, tensor in enumerate(values):
                mine = replace(header, tensor_index=index, source_count=2)
                sender = (CLIENT_IP, CLIENT_PORT + index)
                frames.append([frame(d, *sender) for d in fragments.datagrams(mine, tensor, 1500)])
            if rng.random() < 0.3:
                frames[1].pop()
            for each in (*frames[1], *frames[0]):
                nic.queue(each)
            sent[header.request_id], tensors[header.request_id] = frames, values
        nic.cycles(rng.randrange(8000))
        assert nic.write_at(COMMIT, 1) == OKAY
        out = by_request([got.data for got in nic.drain()])
        assert set(out) == set(sent)
        for request_id, got in out.items():
            headers = [unwrap(data)[0] for data in got]
            assert {h.model_hash for h in headers} == {old.model_hash}
            if headers[0].result:
                executed += 1
                check_joined(tensors[request_id], old, got)
                continue
            declined += 1
            whole = [data for tensor in sent[request_id] for data in tensor]
            assert {(h.declined, h.reason) for h in headers} == {(True, DeclineReason.WRONG_MODEL)}
            assert Counter(map(payload_of, got)) == Counter(map(payload_of, whole))
        assert nic.filled() == set() and nic.read("status") == 0
        old = new
    assert executed > 12 and declined > 12
    nic.check_counters()


def check_joined(tensors: list[bytes], weights: Weights, frames: list[bytes]) -> None:
    """Both outputs of stand_in_several.v."""
    found = [unwrap(data) for data in frames]
    for output, size in enumerate((1985, 20_000)):
        a, b = tensors
        added = weights.added(size)
        wanted = bytes(
            (a[k % 48] + (2 + output) * b[k % 1500] + k // 1500 + added[k]) & 255
            for k in range(size)
        )
        mine = [payload for header, payload in found if header.tensor_index == output]
        assert b"".join(mine) == wanted


@pytest.mark.parametrize("loadable", [LONG_SWAPPED], indirect=True)
def test_a_new_request_of_the_same_name_does_not_join(loadable: Nic, tools: Tools) -> None:
    """Sender and id are those of a request that is being given up."""
    nic = loadable
    nic.write(timeout_us=0)
    old = IMAGE
    for _ in range(40):
        new = Weights.random(tools.random)
        load(nic, new)
        first = old.of(tools.request(nic.sizes))
        second = replace(new.of(first), tensor=tools.random.randbytes(nic.sizes.in_bytes))
        nic.send(first.frames()[0])
        assert nic.write_at(COMMIT, 1) == OKAY
        nic.cycles(tools.random.randrange(60))
        for each in second.frames():
            nic.queue(each)
        out = [got.data for got in nic.drain()]
        of_old = [data for data in out if unwrap(data)[0].model_hash == old.model_hash]
        (given_up,) = of_old
        assert payload_of(given_up) == payload_of(first.frames()[0])
        of_new = [data for data in out if unwrap(data)[0].model_hash == new.model_hash]
        if tools.is_result(of_new[0]):
            check_result(second, new, of_new)
        else:
            assert [payload_of(data) for data in of_new] == [
                payload_of(data) for data in second.frames()
            ]
        old = new


def test_others_frames_do_not_notice(loadable: Nic, tools: Tools) -> None:
    """At line rate, with a swap and without: nothing is stalled for a cycle."""
    nic = loadable
    nic.wire()
    waited = []
    for swapped in (False, True, True):
        new = Weights.random(tools.random)
        load(nic, new)
        burst = [foreign(tools.random) for _ in range(150)]
        for number, each in enumerate(burst):
            nic.queue(each)
            if number % 10 == 0:
                for mine in IMAGE.of(tools.request(nic.sizes)).frames():
                    nic.queue(mine)
        nic.stalls()
        nic.entered()
        nic.cycles(300)
        if swapped:
            assert nic.write_at(COMMIT, 1) == OKAY
        out = nic.drain()
        assert [got.data for got in out if Ether(got.data).dst == FOREIGN] == burst
        waited.append(nic.stalls())
    assert waited == [0, 0, 0]


def test_x5_a_reset_ends_what_is_loaded_and_changes_no_weights(loadable: Nic, tools: Tools) -> None:
    nic = loadable
    weights, other = (Weights.random(tools.random) for _ in range(2))
    swap(nic, weights)
    load_port(nic, 0, other.words[0][:4])
    nic.reset()
    assert nic.read("weights_status") == WEIGHTS_BANK
    nic.write(model_hash=int.from_bytes(weights.model_hash, "big"), epoch=weights.epoch)
    request = weights.of(tools.request(nic.sizes))
    check_result(request, weights, nic.send(*request.frames()))
    swap(nic, other)
    request = other.of(tools.request(nic.sizes))
    check_result(request, other, nic.send(*request.frames()))


def test_each_core_has_weights_of_its_own(programs: Callable[..., Path], tools: Tools) -> None:
    """Of two slices side by side one swaps, while requests for both come and the other executes."""
    identity = {"tenant": TENANT, "cursor": CURSOR, "slice_count": SLICES, "element_type": 3}
    other = Weights(bytes(reversed(MODEL_HASH)), EPOCH, IMAGE.words)
    models = [
        {**identity, "model_hash": int.from_bytes(each.model_hash), "epoch": each.epoch}
        for each in (IMAGE, other)
    ]
    slices = SWAPPED, LONG_SWAPPED
    with contextlib.closing(Nic(programs(*slices), SWAPPED, models)) as nic:
        assert nic.read("cores") == 2
        force = [IMAGE, other]
        for core in tools.random.choices(range(2), k=6):
            new = Weights.random(tools.random, epoch=tools.random.getrandbits(16))
            nic.write(core_index=core)
            load(nic, new)
            requests = [(force[k], force[k].of(tools.request(slices[k]))) for k in (core, 1 - core)]
            for _, request in requests:
                for each in request.frames():
                    nic.queue(each)
            assert nic.write_at(COMMIT, 1) == OKAY
            nic.write(core_index=1 - core)
            assert in_force(nic) == (force[1 - core].model_hash, force[1 - core].epoch)
            assert not nic.read("weights_status") & WEIGHTS_WAIT
            out = [each.data for each in nic.drain()]
            for weights, request in requests:
                mine = [d for d in out if unwrap(d)[0].request_id == request.header.request_id]
                header = unwrap(mine[0])[0]
                if header.declined:  # it had not begun, or came behind the swap
                    assert weights is force[core]
                    assert header.reason in (DeclineReason.WRONG_MODEL, DeclineReason.WRONG_EPOCH)
                else:
                    check_result(request, weights, mine)
            nic.write(core_index=core)
            assert in_force(nic) == (new.model_hash, new.epoch)
            force[core] = new
            for k in range(2):
                request = force[k].of(tools.request(slices[k]))
                check_result(request, force[k], nic.send(*request.frames()))
        nic.write(core_index=2)
        assert nic.write_at(csr.ADDRESS["weights_port"], 0) == SLVERR
        assert nic.write_at(DATA, 0) == nic.write_at(COMMIT, 1) == SLVERR
        assert nic.read("weights_ports") == nic.read("weights_status") == 0
