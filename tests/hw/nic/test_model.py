# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""Rules D2 to D6 as a model, and the NIC beside it: frame by frame, moment by moment."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import pytest
from scapy.layers.inet import UDP
from scapy.layers.l2 import Ether

from midwire.hw.formats import wire
from midwire.hw.formats.csr import FrameOutcome
from midwire.hw.formats.slots import (
    DECISIONS,
    MAX_ASKS,
    PRESSED_ASKS,
    QUICK_ASKS,
    SHARE,
    request_fingerprint,
    slots_of,
)

from .conftest import Nic, Out, Request, Tools, number
from .test_patience import wait
from .test_slots import still

MTUS = (8000, 9000)
CLIENTS = (("10.0.0.5", 40001), ("10.0.0.5", 40002), ("10.0.0.6", 40001))


@dataclass
class Slot:
    request: Request
    latest: int
    here: set[int] = field(default_factory=set)
    asks: int = 0


@dataclass
class Model:
    """A NIC that is idle whenever it is looked at: what is whole is executed at once."""

    slots: int
    timeout_us: int
    ask_us: int
    enabled: bool = True
    pressed: bool = False
    held: dict[Key, Slot] = field(default_factory=dict)
    decisions: dict[int, tuple[int, str, int]] = field(default_factory=dict)

    def fragment(self, request: Request, index: int, now: int) -> str:
        key = key_of(request)
        slot = self.held.get(key)
        if slot is None:
            decision = self.decision(key, now)
            if decision in ("busy", "incomplete"):
                return f"declined_{decision}"
            if decision == "executed" and not request.header.resend:
                return "dropped_duplicate"
            mine = sum(other[1:] == key[1:] for other in self.held)
            free = self.slots - len(self.held)
            if not free or (mine and mine >= SHARE * (free - 1)):
                self.remember(key, "busy", now)
                self.pressed = True
                return "declined_busy"
            slot = self.held[key] = Slot(request, now)
        if request.mtu != slot.request.mtu:
            return "dropped_bad_length"
        if index in slot.here:
            return "dropped_duplicate"
        slot.here.add(index)
        ended = len(request.frames()) - 1 in slot.here
        slot.latest, slot.asks = now, 0 if ended else QUICK_ASKS
        if len(slot.here) == len(request.frames()):
            self.release(key, "executed", now)
        return "collected"

    def missing(self, request: Request) -> range | list[int]:
        slot = self.held.get(key_of(request))
        indices = range(len(request.frames()))
        return [k for k in indices if k not in slot.here] if slot else indices

    def decision(self, key: Key, now: int) -> str:
        fingerprint, decision, at = self.decisions.get(place_of(key), (0, "", 0))
        young = not self.timeout_us or now - at < self.timeout_us
        return decision if young and fingerprint == fingerprint_of(key) else ""

    def remember(self, key: Key, decision: str, now: int) -> None:
        self.decisions[place_of(key)] = (fingerprint_of(key), decision, now)

    def release(self, key: Key, decision: str, now: int) -> None:
        self.remember(key, decision, now)
        self.pressed = False
        del self.held[key]

    def must_go(self, now: int) -> set[Key]:
        if not self.enabled:
            return set(self.held)
        late = self.timeout_us or 1 << 62
        return {key for key, slot in self.held.items() if now - slot.latest >= late}

    def may_go(self, now: int) -> set[Key]:
        """One of these goes, if any, and not those above."""
        if not (self.pressed and self.ask_us):
            return set()
        late = self.ask_us << PRESSED_ASKS
        return {key for key, slot in self.held.items() if now - slot.latest >= late}

    def questions(self, now: int) -> list[tuple[int, frozenset[int]]]:
        """Asked now: the request's id, and what it lacks."""
        asked = []
        for slot in self.held.values():
            while (
                self.ask_us
                and slot.asks < QUICK_ASKS + MAX_ASKS
                and now - slot.latest >= self.ask_us << slot.asks >> QUICK_ASKS
            ):
                slot.asks += 1
                missing = set(range(len(slot.request.frames()))) - slot.here
                asked.append((slot.request.header.request_id, frozenset(missing)))
        return asked


Key = tuple[int, str, int]


def key_of(request: Request) -> Key:
    return (request.header.request_id, *request.client)


def fingerprint_of(key: Key) -> int:
    return request_fingerprint(key[0], number(key[1]), key[2])


def place_of(key: Key) -> int:
    return fingerprint_of(key) % DECISIONS


class Beside:
    """The NIC and the model, which must agree after each step."""

    def __init__(self, nic: Nic, tools: Tools, timeout_us: int, ask_us: int) -> None:
        still(nic, timeout_us=timeout_us, ask_us=ask_us)
        self.nic, self.tools, self.now = nic, tools, 0
        self.model = Model(slots_of(nic.sizes.in_bytes), timeout_us, ask_us)
        self.counts = nic.counters()
        self.seen: set[str] = set()

    def send(self, request: Request, index: int) -> None:
        frame = request.frames()[index]
        before = dict(self.model.held)
        fate = self.model.fragment(request, index, self.now)
        whole = fate == "collected" and key_of(request) not in self.model.held
        self.seen.add(fate + " whole" * whole + " anew" * (key_of(request) not in before))
        self.nic.queue(frame)
        self.nic.cycles(2000)
        out = self.nic.drain()
        results = [got.data for got in out if is_result(got)]
        if whole:
            opened = before.get(key_of(request))
            self.tools.check_result(opened.request if opened else request, results)
        else:
            assert results == []
        rest = [got for got in out if not is_result(got)]
        if fate.startswith("declined"):
            mine = next(g for g in rest if g.data[106:] == frame[106:])
            reason = wire.DeclineReason[fate.removeprefix("declined_").upper()]
            self.tools.check_declined(frame, mine.data, reason)
            rest.remove(mine)
        self.check_time(rest)
        counts = self.nic.check_counters()
        changed = [o for o in FrameOutcome if counts[o.name.lower()] != self.counts[o.name.lower()]]
        assert [o.name.lower() for o in changed] == [fate]
        self.counts = counts

    def later(self, microseconds: int) -> None:
        self.now += microseconds
        self.check_time(wait(self.nic, self.now))

    def enable(self, on: bool) -> None:
        self.model.enabled = on
        self.nic.write(control=int(on))
        self.later(0)

    def check_time(self, out: list[Out]) -> None:
        """What leaves because of time: all of given-up requests, and questions."""
        questions = [got for got in out if got.back]
        gone: dict[int, list[bytes]] = {}
        for got in out:
            if not got.back:
                header, _ = self.tools.unwrap(got.data)
                gone.setdefault(header.request_id, []).append(got.data)
        must, may = self.model.must_go(self.now), self.model.may_go(self.now)
        of = {key[0]: key for key in self.model.held}
        expected = [of[request_id] for request_id in gone]  # the last to leave is remembered last
        assert must <= set(expected) <= must | may
        assert len(set(expected) - must) <= 1
        assert must or not may or len(expected) == 1
        for key in expected:
            slot = self.model.held[key]
            for index, data in zip(sorted(slot.here), gone[key[0]], strict=True):
                sent = slot.request.frames()[index]
                self.tools.check_declined(sent, data, wire.DeclineReason.INCOMPLETE, self.now)
            self.model.release(key, "incomplete", self.now)
            self.seen.add("evicted" if must else "evicted for another")
        assert sorted(map(asked_in, questions)) == sorted(self.model.questions(self.now))
        self.seen |= {"asked"} if questions else set()
        assert bool(self.nic.read("status") & 2) == bool(self.model.held)


def is_result(got: Out) -> bool:
    return not got.back and wire.decode(got.data[42:106]).result


def asked_in(got: Out) -> tuple[int, frozenset[int]]:
    payload = bytes(Ether(got.data)[UDP].payload)
    bitmap = int.from_bytes(payload[wire.HEADER_BYTES :], "big")
    missing = frozenset(bit for bit in range(64) if bitmap >> 63 - bit & 1)
    return wire.decode(payload).request_id, missing


@pytest.mark.parametrize(("timeout_us", "ask_us"), [(900, 100), (500, 0), (0, 50), (3000, 60)])
def test_d2_to_d6(huge: Nic, tools: Tools, timeout_us: int, ask_us: int) -> None:
    both = Beside(huge, tools, timeout_us, ask_us)
    requests: list[Request] = []
    for _ in range(300):
        act = tools.random.random()
        if not requests or act < 0.12:
            made = tools.request(huge.sizes, deadline_us=1 << 30)
            client = tools.random.choice((CLIENTS[0], *CLIENTS))
            requests.append(replace(made, mtu=tools.random.choice(MTUS), client=client))
            requests = requests[-8:]
        if act < 0.85:
            request = tools.random.choice(requests)
            if tools.random.random() < 0.1:
                request = request.with_header(resend=True)
            if tools.random.random() < 0.05:
                request = replace(request, mtu=tools.random.choice(MTUS))
            indices: range | list[int] = range(len(request.frames()))
            if tools.random.random() < 0.6:  # rather what is missing
                indices = both.model.missing(request) or indices
            both.send(request, tools.random.choice(indices))
        elif act < 0.99:
            both.later(tools.random.choice((1, 20, 50, 99, 100, 200, 400)))
        else:
            both.enable(False)
            both.enable(True)
    assert {"collected whole", "dropped_duplicate", "declined_busy anew"} <= both.seen, both.seen
