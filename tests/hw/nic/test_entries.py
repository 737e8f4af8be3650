# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""The steering table: rules T1 to T8 of midwire.hw.nic.entries, and C6 and C7 of the registers."""

from __future__ import annotations

import random
from dataclasses import replace
from typing import Any

import pytest
from scapy.layers.inet import UDP
from scapy.layers.l2 import Ether

from midwire.hw.formats import csr, wire
from midwire.hw.formats.actions import ANY_REGION, ENTRIES, Action
from midwire.hw.formats.wire import DeclineReason

from .conftest import CURSOR, MODEL_HASH, TABLE, TENANT, number
from .golden import Golden
from .reading import Address
from .stacks import NEXT_IP, NEXT_IP6, NEXT_MAC, NEXT_PORT, Stack, ip_of, ipv4, ipv6, tags
from .test_golden import HOPS, LOOKING_CYCLES, Campaign, Live

OKAY, SLVERR = 0, 2
SWEEP_CYCLES = 100  # T6
HASH = int.from_bytes(MODEL_HASH)
OURS = {"tenant": TENANT, "model_hash": HASH, "cursor": CURSOR}


def hop(number_of_it: int) -> dict[str, int]:
    """A next hop of an entry, told apart by its number."""
    return {
        "next_mac": 0x0200_0000_1000 + number_of_it,
        "next_ip": number("10.0.5.0") + number_of_it,
        "next_port": 6000 + number_of_it,
        "next_ip6": number("2001:db8::5:0") + number_of_it,
    }


def entry(action: Action, number_of_hop: int = 1, **changes: int) -> dict[str, int]:
    """An entry for what the NIC executes."""
    free = {"regions": ANY_REGION, "must_encrypt": 0, "lifetime_us": 0}
    return {**OURS, "action": action, **free, **hop(number_of_hop), **changes}


def went_to(frame: bytes) -> tuple[int, int, int]:
    """MAC address, address and port that a frame goes to."""
    packet = Ether(frame)
    return number(packet.dst), number(ip_of(packet).dst), packet[UDP].dport


def place_of(number_of_it: int, ipv6: bool = False) -> tuple[int, int, int]:
    at = hop(number_of_it)
    return at["next_mac"], at["next_ip6" if ipv6 else "next_ip"], at["next_port"]


DEFAULT = (number(NEXT_MAC), number(NEXT_IP), NEXT_PORT)
DEFAULT6 = (number(NEXT_MAC), number(NEXT_IP6), NEXT_PORT)
STACKS = {
    "ipv4": Stack((), ipv4()),
    "options": Stack(tags(1), ipv4(8)),
    "ipv6": Stack((), ipv6()),
    "tagged ipv6": Stack(tags(2), ipv6()),
}
OTHERS = (
    {**OURS, "cursor": CURSOR + 1},
    {**OURS, "tenant": TENANT + 1},
    {**OURS, "model_hash": HASH ^ 1},
)
"""Keys that the NIC does not execute."""


def header_of(frame: bytes) -> wire.Header:
    return wire.decode(bytes(Ether(frame)[UDP].payload))


class SteeredCampaign(Campaign):
    """Frames of several keys, and a table that changes between batches."""

    keys: tuple[dict[str, int], ...] = (OURS, OURS, *OTHERS)
    """Of entries."""
    hops = HOPS | {
        hop(n)["next_mac"].to_bytes(6): Address(
            hop(n)["next_ip"], hop(n)["next_port"], hop(n)["next_ip6"], 1
        )
        for n in range(4)
    }

    def request(self) -> Live:
        """A decision on another request never takes the place of what is remembered of this one:
        which comes last would depend on cycles."""
        rng = self.rng
        key = OURS if rng.random() < 0.8 else rng.choice(OTHERS)
        changes: dict[str, Any] = {**key, "model_hash": key["model_hash"].to_bytes(8)}
        taken = {live.place for live in self.live + self.done}
        taken |= set(self.golden.open_places())
        while True:
            live = Live(rng, self.nic.sizes.in_bytes, region=rng.choice((0, 0, 1, 15)), **changes)
            if live.place not in taken:
                return live

    def pause(self) -> None:
        super().pause()
        for _ in range(self.rng.randrange(4)):
            self.change()

    def change(self) -> None:
        """Any entry, or none."""
        rng = self.rng
        index = rng.randrange(ENTRIES)
        change = {
            **rng.choice(self.keys),
            **hop(rng.randrange(4)),
            "action": rng.choice((*Action, Action.NONE, Action.EXECUTE)),
            "regions": rng.choice((ANY_REGION, ANY_REGION, 0xFFFE, 0x8001)),
            "must_encrypt": int(rng.random() < 0.1),
            "lifetime_us": rng.choice((0, 0, 1, 100, 1 << 20)),
        }
        if rng.random() < 0.2:
            change[rng.choice(("next_ip", "next_ip6"))] = 0
        assert self.nic.commit(index, **change) == OKAY
        self.golden.commit(index, **change)
        shown = change if change["action"] else dict.fromkeys(TABLE, 0)
        assert self.nic.entry(index) == shown

    def both(self, *frames: bytes) -> list[bytes]:
        """Through the NIC and the model, which agree; what left."""
        for frame in frames:
            self.nic.queue(frame)
            self.golden.frame(frame)
        golden = self.golden
        golden.settle()
        groups = [golden.sent_on, *golden.results, *golden.given_up]
        left = [frame for group in groups for frame in group]
        self.compare()
        return left

    def commit(self, index: int, **change: int) -> None:
        assert self.nic.commit(index, **change) == OKAY
        self.golden.commit(index, **change)


@pytest.fixture
def steered(small: Any, tools: Any) -> SteeredCampaign:
    return SteeredCampaign(small, tools.random.getrandbits(32))


@pytest.fixture
def collecting(large: Any, tools: Any) -> SteeredCampaign:
    return SteeredCampaign(large, tools.random.getrandbits(32))


@pytest.mark.parametrize("frames", [1500, pytest.param(100_000, marks=pytest.mark.sweep)])
def test_random_frames_and_changes(frames: int, large: Any, request: pytest.FixtureRequest) -> None:
    seed = random.SystemRandom().randrange(1 << 32)
    print(f"{request.node.name}: seed {seed}")
    SteeredCampaign(large, seed).run(frames)


def test_c6_entries_read_back(small: Any, tools: Any) -> None:
    assert small.entry(3) == dict.fromkeys(TABLE, 0)
    widths = {
        name: sum(csr.WIDTH[part] for part in csr.parts_of(f"table_{name}")) for name in TABLE
    }
    written = [
        {name: tools.random.getrandbits(widths[name]) for name in TABLE}
        | {"action": tools.random.choice(list(Action)[1:])}
        | {"lifetime_us": 0}
        for _ in range(ENTRIES)
    ]
    for index, values in enumerate(written):
        assert small.commit(index, **values) == OKAY
    assert [small.entry(index) for index in range(ENTRIES)] == written
    assert small.commit(5) == OKAY
    assert small.entry(5) == dict.fromkeys(TABLE, 0)
    assert small.entry(4) == written[4] and small.entry(6) == written[6]


def test_c6_what_is_written_waits_for_the_commit(small: Any) -> None:
    assert small.commit(2, **entry(Action.FORWARD)) == OKAY
    small.write(table_index=2, table_action=Action.REDIRECT, table_next_port=9)
    assert small.entry(2) == entry(Action.FORWARD)
    assert small.write_at(csr.ADDRESS["table_commit"], 0) == OKAY
    assert small.entry(2) == entry(Action.REDIRECT, next_port=9)
    assert small.read("table_commit") == 0


@pytest.mark.parametrize("index", [ENTRIES, 0x80, 0xFF])
def test_c6_no_such_entry(small: Any, index: int) -> None:
    for each in range(ENTRIES):
        assert small.commit(each, **entry(Action.FORWARD, each)) == OKAY
    assert small.commit(index, **entry(Action.REDIRECT)) == SLVERR
    assert small.entry(index) == dict.fromkeys(TABLE, 0)
    for each in range(ENTRIES):
        assert small.entry(each)["action"] == Action.FORWARD


@pytest.mark.parametrize("action", [len(Action), 0x80, 0xFF])
def test_c6_no_such_action(small: Any, action: int) -> None:
    assert small.commit(1, **entry(Action.FORWARD)) == OKAY
    assert small.commit(1, **{**entry(Action.FORWARD, 2), "action": action}) == SLVERR
    assert small.entry(1) == entry(Action.FORWARD)


@pytest.mark.parametrize("action", list(Action)[1:])
@pytest.mark.parametrize("stack", STACKS.values(), ids=STACKS.keys())
def test_t2_t3_every_action(
    steered: SteeredCampaign, tools: Any, action: Action, stack: Stack
) -> None:
    steered.commit(ENTRIES - 1, **entry(action, 3))
    request = tools.request(steered.nic.sizes)
    (good,) = replace(request, stack=stack).frames()
    late = replace(request.with_header(request_id=1, deadline_us=0), stack=stack).frames()[0]
    left = steered.both(late, good)
    found = {(h.result, h.declined, h.reason) for h in map(header_of, left)}
    assert found == {
        Action.EXECUTE: {
            (True, False, DeclineReason.NONE), (False, True, DeclineReason.DEADLINE),
        },
        Action.FORWARD: {(False, False, DeclineReason.NONE)},
        Action.REDIRECT: {(False, True, DeclineReason.POLICY)},
    }[action]  # fmt: skip
    ipv6_too = ip_of(Ether(good)).version == 6
    assert {went_to(frame) for frame in left} == {place_of(3, ipv6_too)}


def test_t1_the_lowest_index_and_the_whole_key(steered: SteeredCampaign, tools: Any) -> None:
    """Entries that differ in one part of the key are others': nothing of ours goes there."""
    for index, key in enumerate(OTHERS):
        steered.commit(index, **{**entry(Action.FORWARD, 1), **key})
    (left,) = steered.both(*tools.request(steered.nic.sizes).frames())
    assert went_to(left) == DEFAULT and tools.is_result(left)
    steered.commit(9, **entry(Action.REDIRECT, 2))
    steered.commit(10, **entry(Action.FORWARD, 3))
    (left,) = steered.both(*tools.request(steered.nic.sizes).frames())
    assert went_to(left) == place_of(2)
    steered.commit(9)
    (left,) = steered.both(*tools.request(steered.nic.sizes).frames())
    assert went_to(left) == place_of(3)
    steered.commit(10)
    (left,) = steered.both(*tools.request(steered.nic.sizes).frames())
    assert went_to(left) == DEFAULT and tools.is_result(left)


@pytest.mark.parametrize("action", list(Action)[1:])
def test_t2_an_entry_without_an_address_of_that_version(
    steered: SteeredCampaign, tools: Any, action: Action
) -> None:
    for name, places in (
        ("next_ip", (DEFAULT, place_of(1, ipv6=True))),
        ("next_ip6", (place_of(1), DEFAULT6)),
    ):
        steered.commit(0, **entry(action, 1, **{name: 0}))
        for stack, place in zip((STACKS["ipv4"], STACKS["ipv6"]), places, strict=True):
            request = replace(tools.request(steered.nic.sizes), stack=stack)
            (left,) = steered.both(*request.frames())
            assert went_to(left) == place


@pytest.mark.parametrize("action", [Action.EXECUTE, Action.FORWARD])
def test_t3_regions(steered: SteeredCampaign, tools: Any, action: Action) -> None:
    allowed = tools.random.getrandbits(16)
    steered.commit(7, **entry(action, regions=allowed))
    for region in range(16):
        (left,) = steered.both(*tools.request(steered.nic.sizes, region=region).frames())
        declined = header_of(left).reason is DeclineReason.POLICY
        assert declined == (not allowed >> region & 1)
        assert went_to(left) == place_of(1)


@pytest.mark.parametrize("action", [Action.EXECUTE, Action.FORWARD])
def test_t3_must_encrypt(steered: SteeredCampaign, tools: Any, action: Action) -> None:
    steered.commit(7, **entry(action, must_encrypt=1))
    request = tools.request(steered.nic.sizes)
    clear = request.frames()[0]
    secret = request.with_header(encrypted=True, request_id=1)
    (first,) = steered.both(clear)
    assert header_of(first).reason is DeclineReason.POLICY
    (second,) = steered.both(tools.frame(secret.datagrams()[0] + bytes(16)))
    forwards = action is Action.FORWARD
    expected = DeclineReason.NONE if forwards else DeclineReason.ENCRYPTED
    assert header_of(second).reason is expected
    assert went_to(first) == went_to(second) == place_of(1)


@pytest.mark.parametrize("action", list(Action)[1:])
def test_t3_an_earlier_hops_result_is_forwarded_as_ever(
    steered: SteeredCampaign, tools: Any, action: Action
) -> None:
    other = {**OURS, "cursor": CURSOR + 1}
    steered.commit(0, **{**entry(action, 2, regions=0), **other})
    request = tools.request(steered.nic.sizes, cursor=CURSOR + 1, result=True, cycles=7)
    (left,) = steered.both(*request.frames())
    assert went_to(left) == place_of(2)
    assert (header_of(left).declined, header_of(left).cycles) == (False, 7)


CHANGES: dict[str, dict[int, dict[str, int]]] = {
    "rewritten": {4: entry(Action.REDIRECT, 2)},
    "removed": {4: {}},
    "moved": {4: {}, 0: entry(Action.FORWARD, 2)},
    "of another tenant": {4: {**entry(Action.EXECUTE, 2), "tenant": TENANT + 1}},
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES.keys())
@pytest.mark.parametrize("gives_up", [False, True])
def test_t4_a_request_with_a_slot_keeps_its_next_hop(
    collecting: SteeredCampaign,
    tools: Any,
    change: dict[int, dict[str, int]],
    gives_up: bool,
) -> None:
    """Its result goes there, or what is given up of it, whatever the table says meanwhile."""
    collecting.commit(4, **entry(Action.EXECUTE, 1))
    first, *others = tools.request(collecting.nic.sizes).frames()
    assert collecting.both(first) == []
    for index, changed in change.items():
        collecting.commit(index, **changed)
    if gives_up:
        collecting.golden.disable()
        collecting.nic.write(control=0)
        collecting.nic.cycles(LOOKING_CYCLES)
        left = collecting.both()
        assert header_of(left[0]).reason is DeclineReason.INCOMPLETE
    else:
        left = collecting.both(*others)
        assert header_of(left[0]).result
    assert {went_to(frame) for frame in left} == {place_of(1)}


def test_t4_fragments_wait_for_a_full_table(collecting: SteeredCampaign, tools: Any) -> None:
    """What a fragment is compared with holds until the table is looked through."""
    for index in range(ENTRIES):
        commit = {**entry(Action.EXECUTE, 1), "tenant": TENANT + ENTRIES - 1 - index}
        collecting.commit(index, **commit)
    for _ in range(4):
        frames = tools.request(collecting.nic.sizes).frames()
        left = collecting.both(frames[-1], *frames[:-1])
        assert header_of(left[0]).result
        assert {went_to(frame) for frame in left} == {place_of(1)}


@pytest.mark.parametrize("action", [Action.FORWARD, Action.REDIRECT])
@pytest.mark.parametrize("change", [{}, entry(Action.EXECUTE, 2), entry(Action.REDIRECT, 2)])
def test_t4_what_was_sent_on_goes_on_being_sent_on(
    collecting: SteeredCampaign, tools: Any, action: Action, change: dict[str, int]
) -> None:
    collecting.commit(4, **entry(action, 1))
    first, *others = tools.request(collecting.nic.sizes).frames()
    (before,) = collecting.both(first)
    collecting.commit(4, **change)
    for after in collecting.both(*others):
        assert header_of(after).reason is header_of(before).reason
        assert went_to(after) == (place_of(2) if change else DEFAULT)
    assert collecting.golden.events["requests"] == 0


def test_t4_an_executed_request_is_not_forwarded(steered: SteeredCampaign, tools: Any) -> None:
    frames = tools.request(steered.nic.sizes).frames()
    assert tools.is_result(*steered.both(*frames))
    steered.commit(0, **entry(Action.FORWARD))
    assert steered.both(*frames) == []
    assert steered.nic.counters()["dropped_duplicate"] == 1


@pytest.mark.parametrize("action", [Action.EXECUTE, Action.FORWARD, Action.REDIRECT])
@pytest.mark.parametrize("executed", [False, True])
def test_d6_another_of_a_fingerprint_is_busy(
    collecting: SteeredCampaign, tools: Any, action: Action, executed: bool
) -> None:
    """Whatever the table says, or was decided before on the one that has the slot."""
    sizes = collecting.nic.sizes
    one, other = (tools.request(sizes, request_id=n) for n in (1 << 24 | 5, 5 << 24 | 1))
    if executed:
        assert header_of(collecting.both(*one.frames())[0]).result
        one = one.with_header(resend=True)
    first, *rest = one.frames()
    assert collecting.both(first) == []
    collecting.commit(4, **entry(action, 1))
    for left in collecting.both(*other.frames()):
        assert header_of(left).reason is DeclineReason.BUSY
        assert went_to(left) == place_of(1)
    assert header_of(collecting.both(*rest)[0]).result
    assert collecting.both(*other.frames()) == []
    counts = collecting.nic.check_counters()
    assert counts["declined_busy"] == counts["dropped_duplicate"] == len(other.frames())


@pytest.mark.parametrize(
    ("action", "declined", "reason"),
    [
        (Action.EXECUTE, True, DeclineReason.WRONG_TENSOR),
        (Action.FORWARD, False, DeclineReason.NONE),
        (Action.REDIRECT, True, DeclineReason.POLICY),
    ],
)
def test_t3_what_is_no_tensor_of_the_slice(
    several: Any, tools: Any, action: Action, declined: bool, reason: DeclineReason
) -> None:
    assert several.commit(8, **entry(action, 3)) == OKAY
    (left,) = several.send(*tools.request(several.sizes, source_count=3).frames())
    assert (header_of(left).declined, header_of(left).reason) == (declined, reason)
    assert went_to(left) == place_of(3)
    several.check_counters()


def expected_of(campaign: Campaign, version: dict[str, int], frame: bytes) -> bytes:
    """What leaves of a frame that is not collected, when the table has this entry only."""
    golden = Golden(campaign.golden.registers, [48], [10], list)
    golden.commit(0, **version)
    golden.frame(frame)
    (left,) = golden.sent_on
    return left


def test_t5_each_frame_has_the_entry_before_or_the_one_after(
    steered: SteeredCampaign, tools: Any
) -> None:
    """Changes race with frames of a key that is not executed: action and next hop are one
    entry's, and never an older one's than those of the frame before."""
    nic, key = steered.nic, OTHERS[1]
    actions = (Action.EXECUTE, Action.FORWARD, Action.REDIRECT, Action.NONE)
    versions: list[dict[str, int]] = [{}]
    versions += [{**entry(tools.random.choice(actions), n % 200), **key} for n in range(1, 60)]
    sent: list[bytes] = []
    nic.pauses(0, 0, 1)
    for version in versions:
        assert nic.commit(5, **version) == OKAY
        for _ in range(tools.random.randrange(14)):
            request = replace(
                tools.request(nic.sizes, tenant=key["tenant"]),
                stack=tools.random.choice(list(STACKS.values())),
            )
            sent += request.frames()
            nic.queue(sent[-1])
    out = [frame.data for frame in nic.drain()]
    assert len(out) == len(sent)
    at, seen = 0, set()
    for frame, left in zip(sent, out, strict=True):
        while expected_of(steered, versions[at], frame) != left:
            at += 1
            assert at < len(versions), "of no entry, or an older one"
        seen.add(at)
    assert len(seen) > 10
    nic.check_counters()


def test_t4_t5_changes_never_split_a_request(collecting: SteeredCampaign, tools: Any) -> None:
    """Changes race with fragments: each request is executed, and its result goes to one next hop,
    or all of it is sent on for the same reason."""
    nic = collecting.nic
    nic.pauses(0, 0, 1)
    # What is remembered of one takes no place from another (D6).
    by_place: dict[int, Any] = {}
    while len(by_place) < 120:
        request = tools.request(nic.sizes)
        by_place[request.place] = request
    requests = list(by_place.values())
    fates = set()
    for first in range(0, len(requests), 20):
        frames = [frame for r in requests[first : first + 20] for frame in r.frames()]
        tools.random.shuffle(frames)
        for number_of_it, frame in enumerate(frames):
            nic.queue(frame)
            if number_of_it % 5 == 0:
                action = list(Action)[number_of_it // 5 % len(Action)]
                assert nic.commit(3, **entry(action, number_of_it)) == OKAY
                nic.cycles(tools.random.randrange(1200))
    left: dict[int, list[bytes]] = {}
    for out in nic.drain():
        assert not out.back
        left.setdefault(header_of(out.data).request_id, []).append(out.data)
    for request in requests:
        parts = left.pop(request.header.request_id)
        headers = [header_of(part) for part in parts]
        (fate,) = {(h.result, h.declined, h.reason) for h in headers}
        fates.add(fate)
        assert len(parts) == len(request.frames())
        assert sorted(h.fragment_index for h in headers) == list(range(len(parts)))
        if fate[0]:
            assert len({went_to(part) for part in parts}) == 1
    assert not left
    assert fates - {(False, True, DeclineReason.BUSY)} == {
        (True, False, DeclineReason.NONE),
        (False, False, DeclineReason.NONE),
        (False, True, DeclineReason.POLICY),
    }
    nic.check_counters()


@pytest.mark.parametrize("now", [0, 0xFFFF_FFFF, 0xFFFF_FF00])
def test_t6_expiry(steered: SteeredCampaign, tools: Any, now: int) -> None:
    """Also when time wraps, and long behind it; an entry without a lifetime stays."""
    nic = steered.nic
    steered.golden.registers["time_us"] = now
    nic.write(time_us=now)
    steered.commit(0, **entry(Action.REDIRECT, 1, lifetime_us=1000))
    steered.commit(1, **entry(Action.FORWARD, 2, lifetime_us=0))
    for wait, place in ((999, 1), (1, 2), (1 << 31, 2), ((1 << 31) - 1000, 2), (1500, 2)):
        steered.golden.wait(wait)
        nic.write(time_us=steered.golden.now)
        nic.cycles(SWEEP_CYCLES)
        (left,) = steered.both(*tools.request(nic.sizes).frames())
        assert went_to(left) == place_of(place)
    assert nic.entry(0) == dict.fromkeys(TABLE, 0)
    assert nic.entry(1)["action"] == Action.FORWARD


def test_t6_what_is_too_old_does_not_count(steered: SteeredCampaign, tools: Any) -> None:
    """Not for the first frame either, whether it was removed already or not."""
    nic = steered.nic
    for index in range(ENTRIES):
        lifetime = tools.random.randrange(1, 1 << 32)
        steered.commit(index, **entry(Action.FORWARD, lifetime_us=lifetime))
        for wait, place in ((lifetime - 1, place_of(1)), (1, DEFAULT)):
            steered.golden.wait(wait)
            nic.write(time_us=steered.golden.now)
            (left,) = steered.both(*tools.request(nic.sizes).frames())
            assert went_to(left) == place


def test_t6_expires_in_the_clock_of_the_nic(small: Any, tools: Any) -> None:
    """A microsecond is 1000 cycles."""
    assert small.commit(0, **entry(Action.FORWARD, lifetime_us=5)) == OKAY
    (left,) = small.send(*tools.request(small.sizes).frames())
    assert went_to(left) == place_of(1)
    small.cycles(5000 + SWEEP_CYCLES)
    (left,) = small.send(*tools.request(small.sizes).frames())
    assert went_to(left) == DEFAULT


def test_t7_a_reset_leaves_no_entry(small: Any, tools: Any) -> None:
    for index in range(ENTRIES):
        assert small.commit(index, **entry(Action.FORWARD)) == OKAY
    small.reset()
    assert [small.entry(index) for index in range(ENTRIES)] == [dict.fromkeys(TABLE, 0)] * ENTRIES
    (left,) = small.send(*tools.request(small.sizes).frames())
    assert went_to(left) == DEFAULT


def test_t7_disabled_and_enabled_again(small: Any, tools: Any) -> None:
    assert small.commit(0, **entry(Action.FORWARD)) == OKAY
    small.write(control=0)
    frames = tools.request(small.sizes).frames()
    assert small.send(*frames) == frames
    assert small.commit(1, **entry(Action.REDIRECT)) == OKAY
    small.write(control=1)
    (left,) = small.send(*frames)
    assert went_to(left) == place_of(1)
    assert header_of(left).reason is DeclineReason.NONE


def hits(nic: Any) -> list[int]:
    counters = nic.counters()
    return [counters[name] for name in csr.HITS]


def test_t8_every_frame_with_an_entry_counts(steered: SteeredCampaign, tools: Any) -> None:
    """Whatever becomes of it, under the entry with the lowest index; no other frame does."""
    nic = steered.nic
    steered.commit(2, **entry(Action.EXECUTE))
    steered.commit(7, **entry(Action.FORWARD))
    steered.commit(9, **{**entry(Action.FORWARD), **OTHERS[0]})
    good = tools.request(nic.sizes)
    for request in (
        good,  # collected
        good,  # dropped: a duplicate
        tools.request(nic.sizes, deadline_us=0),  # declined
        tools.request(nic.sizes, cursor=CURSOR + 1),  # forwarded by entry 9
        tools.request(nic.sizes, cursor=CURSOR + 1, result=True),  # forwarded without being asked
        tools.request(nic.sizes, tenant=TENANT + 1),  # no entry
    ):
        steered.both(*request.frames())
    steered.both(b"not midwire".ljust(60))
    assert hits(nic) == [0, 0, 3, 0, 0, 0, 0, 0, 0, 2, 0, 0, 0, 0, 0, 0]


def test_c7_a_commit_begins_anew(steered: SteeredCampaign, tools: Any) -> None:
    nic = steered.nic
    for change, expected in (
        (entry(Action.FORWARD), 3),
        (entry(Action.FORWARD), 3),  # the same again
        ({}, 0),
        (entry(Action.REDIRECT, lifetime_us=1000), 3),
    ):
        steered.commit(15, **change)
        before = hits(nic)
        assert before[15] == 0
        for _ in range(3):
            steered.both(*tools.request(nic.sizes).frames())
        assert hits(nic) == [*before[:15], expected]
    steered.golden.wait(1000)
    nic.write(time_us=steered.golden.now)
    nic.cycles(SWEEP_CYCLES)
    steered.both(*tools.request(nic.sizes).frames())
    assert nic.entry(15) == dict.fromkeys(TABLE, 0)
    assert hits(nic)[15] == 3, "an entry that was too old counts no more, and is still told"


def test_t8_no_frame_counts_for_another_entry(steered: SteeredCampaign, tools: Any) -> None:
    """Entries of one key are put in front of each other while frames move: each has as many hits
    as frames left as it says."""
    nic, key = steered.nic, OTHERS[1]
    versions = [{**entry(Action.FORWARD, ENTRIES - n), **key} for n in range(ENTRIES + 1)]
    sent: list[bytes] = []
    nic.pauses(0, 0, 1)
    for place in reversed(range(ENTRIES)):
        assert nic.commit(place, **versions[place]) == OKAY
        for _ in range(tools.random.randrange(14)):
            request = tools.request(nic.sizes, tenant=key["tenant"])
            sent += request.frames()
            nic.queue(sent[-1])
    at = [went_to(frame.data) for frame in nic.drain()]
    assert len(at) == len(sent)
    assert hits(nic) == [at.count(place_of(ENTRIES - place)) for place in range(ENTRIES)]
    assert sum(hits(nic)) == len(sent)


@pytest.mark.parametrize("stack", STACKS.values(), ids=STACKS.keys())
def test_a_full_table_keeps_the_smallest_frames_at_line_rate(
    small: Any, tools: Any, stack: Stack
) -> None:
    """Whether the last entry is theirs, or none."""
    small.wire()
    for index in range(ENTRIES):
        key = {"tenant": 100 + index}
        assert small.commit(index, **{**entry(Action.REDIRECT), **key}) == OKAY
    for tenant in (100 + ENTRIES - 1, 99):
        request = replace(tools.request(small.sizes, tenant=tenant), tensor=b"x", stack=stack)
        frames = 100 * request.frames()
        for frame in frames:
            small.queue(frame)
        out = small.drain()
        on_link = -(-(len(frames[0]) + 24) // 8)
        assert len(out) == len(frames)
        assert out[-1].first - out[0].first <= len(out) * on_link
    assert small.stalls() == 0
