# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""Request slots and time: a running NIC asks, waits, gives up and remembers (D2 to D6)."""

from __future__ import annotations

import os
import signal
import time

import pytest

from midwire.host.nodes.nic_process import UdpWire, start_nic
from midwire.host.wire.udp import UdpPort
from midwire.hw.formats import csr, fragments
from midwire.hw.formats.bundle import Bundle
from midwire.hw.formats.wire import DeclineReason, Header, MessageType, decode

from ..conftest import HELLO, changed, cpu_ticks, send
from .loop import HERE, SMALL_MTU, Forger, Live, take


@pytest.fixture
def pieces(header: Header, tensor: bytes) -> list[bytes]:
    """A request's four fragments."""
    return list(fragments.datagrams(header, tensor, SMALL_MTU))


def reasons(datagrams: list[bytes]) -> list[DeclineReason]:
    return [decode(data).reason for data in datagrams]


def test_the_sender_is_asked_and_answers(live: Live, pieces: list[bytes]) -> None:  # D4, W8
    live.nic.bus.write("ask_us", 60_000)  # the first time after a quarter of that
    live.send(pieces[3], pieces[1])
    (asking, source), *_ = take(live.client, 1)
    assert source == live.nic.address
    found, payload = decode(asking), asking[64:]
    assert (found.message_type, found.request_id) == (MessageType.MISSING, 7)
    assert (found.fragment_index, found.fragment_count, found.offset) == (0, 4, 0)
    assert (found.last, payload) == (True, bytes([0b1010_0000, *bytes(7)]))
    live.send(pieces[0], pieces[2])
    [result] = live.comes(1)
    assert decode(result).result
    counted = live.nic.statistics()
    assert counted["pipeline"]["asked"] >= 1
    assert counted["tx_datagrams"] == 1 + counted["pipeline"]["asked"]
    assert counted["tx_own_address"] == counted["tx_unroutable"] == 0


def test_an_ask_finds_its_way_through_another_nic(
    live: Live, digits: Bundle, pieces: list[bytes]
) -> None:  # W8
    """The first one declines; what the second one asks for goes by the first one to the client."""
    wire = UdpWire(HERE, [live.nic.address])
    with start_nic(digits, wire, live.nic.address, datapath="reference", tenant=9) as first:
        for piece in pieces[1:]:
            send(live.client, piece, len(piece), first.address)
        (asking, source), *_ = take(live.client, 1)
        assert source == first.address
        assert decode(asking).message_type == MessageType.MISSING
        assert asking[64:] == bytes([0b1000_0000, *bytes(7)])
        send(live.client, pieces[0], len(pieces[0]), first.address)
        [result] = live.comes(1)
        assert decode(result).result
        counted = first.bus.counters()
        assert (counted["declined_wrong_tenant"], counted["collected"]) == (4, 0)
        assert counted["passed"] >= 1


def test_a_liar_who_knows_the_request_cannot_keep_it_from_its_answer(
    live: Live, pieces: list[bytes], forger: Forger
) -> None:
    """What came first is right; the client's fragments contradict it, and are sent on at last."""
    live.nic.bus.write("timeout_us", 300_000)
    live.send(HELLO)  # the client's flow
    assert len(live.comes(1)) == 1
    lie = changed(pieces[3], pieces[3][64:128], offset=448)
    forger.send(lie, live.client.address, live.nic.address)
    assert live.wait("collected", 1)
    live.send(*pieces[:3])
    assert reasons(live.comes(1)) == [DeclineReason.INCOMPLETE]
    assert live.nic.bus.read("dropped_bad_length") == 3
    live.send(*(changed(piece, resend=True) for piece in pieces))
    sent = live.comes(4)
    assert reasons(sent) == [DeclineReason.INCOMPLETE] * 4
    assert [data[64:] for data in sent] == [data[64:] for data in pieces]


def test_a_disabled_nic_gives_up_at_once(live: Live, pieces: list[bytes]) -> None:  # D4
    live.nic.bus.write("ask_us", 0)
    live.nic.bus.write("timeout_us", 0)
    live.send(*pieces[:3])
    assert live.wait("collected", 3)
    live.nic.bus.write("control", 0)
    sent = live.comes(3)
    assert reasons(sent) == [DeclineReason.INCOMPLETE] * 3
    assert [data[64:] for data in sent] == [data[64:] for data in pieces[:3]]
    assert live.nic.bus.read("evicted") == 1


def test_what_comes_later_shares_the_fate(live: Live, pieces: list[bytes]) -> None:  # D6
    live.nic.bus.write("timeout_us", 300_000)
    live.send(pieces[0])
    assert reasons(live.comes(1)) == [DeclineReason.INCOMPLETE]
    live.send(pieces[1], changed(pieces[2], resend=True))
    assert reasons(live.comes(2, 0.2)) == [DeclineReason.INCOMPLETE] * 2
    time.sleep(0.7)  # it is forgotten after twice the time at most
    live.send(*pieces)
    [result] = live.comes(1)
    assert decode(result).result
    counted = live.nic.bus.counters()
    assert (counted["declined_incomplete"], counted["evicted_fragments"]) == (2, 1)


def test_an_executed_request_is_executed_again_only_if_asked(
    live: Live, pieces: list[bytes]
) -> None:  # D6
    live.send(*pieces)
    [first] = live.comes(1)
    live.send(*pieces)
    assert live.nothing_comes()
    assert live.nic.bus.read("dropped_duplicate") == 4
    live.send(*(changed(piece, resend=True) for piece in pieces))
    [again] = live.comes(1)
    assert decode(again).resend and first[64:] == again[64:]


def test_who_wants_a_slot_need_not_wait_for_the_timeout(
    live: Live, pieces: list[bytes]
) -> None:  # D2, D4
    live.nic.bus.write("timeout_us", 0)
    live.nic.bus.write("ask_us", 0)
    slots = live.nic.bus.read("capability") >> 8 & 0xFF
    for number in range(slots):  # each of a sender, and a fingerprint, of its own
        with UdpPort((f"127.5.0.{number}", 0)) as stray:
            live.send(pieces[0], client=stray)
    assert live.wait("collected", slots)
    live.send(*pieces)
    assert reasons(live.comes(4)) == [DeclineReason.BUSY] * 4
    live.nic.bus.write("ask_us", 10_000)  # from now on, what got nothing for 80 ms gives way
    assert reasons(live.comes(1)) == [DeclineReason.INCOMPLETE]
    assert live.nothing_comes(0.3)  # and only one, as nobody wants more
    assert live.nic.bus.read("evicted") == 1
    live.send(*(changed(piece, request_id=8) for piece in pieces))
    [result] = live.comes(1)
    assert decode(result).result


@pytest.mark.parametrize("deadline", [10**7, 20_000])
def test_time_in_the_nic_is_taken_from_the_deadline(
    live: Live, pieces: list[bytes], deadline: int
) -> None:
    """W5, in real time; where none is left, the result says so."""
    live.nic.bus.write("ask_us", 0)
    first, *rest = (changed(piece, deadline_us=deadline) for piece in pieces)
    live.send(first)
    assert live.wait("collected", 1)
    started = time.monotonic()
    time.sleep(0.05)
    live.send(*rest)
    [result] = live.comes(1)
    waited = 1e6 * (time.monotonic() - started)
    left = decode(result).deadline_us
    if deadline == 20_000:
        assert left == 0
    else:
        assert 50_000 <= deadline - left <= waited + 200_000


def test_a_request_is_given_up_in_real_time(live: Live, pieces: list[bytes]) -> None:
    live.nic.bus.write("ask_us", 0)
    live.nic.bus.write("timeout_us", 300_000)
    started = time.monotonic()
    live.send(pieces[0])
    assert reasons(live.comes(1)) == [DeclineReason.INCOMPLETE]
    assert 0.3 <= time.monotonic() - started < 3
    assert live.wait("status", 0)


def test_a_fragment_keeps_its_time_whatever_else_comes(live: Live, pieces: list[bytes]) -> None:
    """Cycles pass with every frame, and none of them shortens what is left to a request."""
    live.nic.bus.write("ask_us", 0)
    live.nic.bus.write("timeout_us", 500_000)
    live.send(pieces[0])
    assert live.wait("collected", 1)
    started = time.monotonic()
    other = changed(pieces[1], tenant=9)
    while time.monotonic() < started + 30 and not live.nic.bus.read("evicted"):
        live.send(other)
        assert live.comes(1) != []
    assert 0.45 < time.monotonic() - started < 30


def test_a_request_that_is_never_given_up_costs_nothing(live: Live, pieces: list[bytes]) -> None:
    live.nic.bus.write("ask_us", 0)
    live.nic.bus.write("timeout_us", 0)
    live.send(*pieces[:2])
    assert live.wait("collected", 2)
    time.sleep(0.1)
    before = cpu_ticks(live.nic.about["pid"])
    assert live.nothing_comes(1.0)
    assert cpu_ticks(live.nic.about["pid"]) - before <= 2
    assert live.nic.bus.read("status") == csr.STATUS_COLLECTING
    live.send(*pieces[2:])
    [result] = live.comes(1)
    assert decode(result).result


def test_a_request_that_lacks_fragments_is_waited_for_asleep(
    live: Live, pieces: list[bytes]
) -> None:
    """It is asked about meanwhile, and no loop spins."""
    live.nic.bus.write("timeout_us", 10_000_000)
    live.send(pieces[0])
    assert live.wait("collected", 1)
    time.sleep(0.3)
    ticks, before = cpu_ticks(live.nic.about["pid"]), live.nic.statistics()
    assert live.nothing_comes(1.0)
    after = live.nic.statistics()
    assert cpu_ticks(live.nic.about["pid"]) - ticks < 20
    assert after.get("cycles", 0) - before.get("cycles", 0) < 50_000
    assert live.nic.bus.read("status") == csr.STATUS_COLLECTING
    assert after["pipeline"]["evicted"] == 0


def test_a_pause_of_the_process_is_not_taken_for_a_loss(live: Live, pieces: list[bytes]) -> None:
    """What lacks is among the frames that wait, behind more than are taken at once."""
    live.nic.bus.write("ask_us", 50_000)
    live.send(pieces[0])
    assert live.wait("collected", 1)
    os.kill(live.nic.about["pid"], signal.SIGSTOP)
    live.send(*[b"not midwire"] * 600, *pieces[1:])
    time.sleep(0.2)
    os.kill(live.nic.about["pid"], signal.SIGCONT)
    assert decode(live.comes(601)[-1]).result
    assert live.nic.bus.read("asked") == 0


def test_an_idle_datapath_sleeps(live: Live) -> None:
    before = cpu_ticks(live.nic.about["pid"])
    assert live.nothing_comes(1.0)
    assert cpu_ticks(live.nic.about["pid"]) - before <= 2
