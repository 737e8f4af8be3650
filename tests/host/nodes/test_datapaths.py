# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""The numpy reference and the Verilated pipeline, on the same recorded frames."""

from __future__ import annotations

import ipaddress
import random
from collections import Counter
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scapy.layers.inet import IP, UDP
from scapy.layers.l2 import Dot1Q, Ether

from midwire.compiler.pipeline import Options, compile_model
from midwire.host import demo
from midwire.host.client import under_way
from midwire.host.client.edge_client import EdgeClient
from midwire.host.client.requests import Request
from midwire.host.control.steering_table import NextHop, SteeringEntry
from midwire.host.nodes.nic_process import UdpWire, start_nic
from midwire.host.wire.tensors import fingerprint_of
from midwire.hw.formats import csr, fragments
from midwire.hw.formats.actions import ANY_REGION, ENTRIES, Action
from midwire.hw.formats.bundle import Bundle
from midwire.hw.formats.tensor import AnyArray
from midwire.hw.formats.wire import DeclineReason, Header, MessageType, encode
from midwire.hw.kernels.reference import Reference

from ...hw.nic.stacks import NEXT_IP6, OWN_IP6, mutated, stacks, strange
from ..conftest import Cloud, changed, straight
from .loop import HERE, SMALL_MTU
from .recordings import CLIENT, HOP, NIC, ethernet, frame, replay, timeless

ELSEWHERE = ("10.0.0.9", 5210)


def strangers(header: Header, tensor: bytes) -> list[bytes]:
    """Frames of every fate but declined and collected."""
    sound = encode(replace(header, last=True, total_bytes=len(tensor))) + tensor
    broken = bytearray(sound)
    broken[20] ^= 1
    whole = frame(sound, CLIENT, NIC)
    datagrams = [
        b"MW",
        b"XX" + sound[2:],
        sound[:2] + b"\x07" + sound[3:],
        bytes(broken),
        changed(sound, message_type=MessageType.REPLY),
        sound[:-8],
        sound + bytes(8),
        changed(sound, fragment_index=3),
        changed(sound, hop_limit=0),
    ]
    return [
        *(frame(data, CLIENT, NIC) for data in datagrams),
        frame(sound, CLIENT, ELSEWHERE),
        frame(sound, CLIENT, (NIC[0], 5211)),
        frame(sound, CLIENT, NIC, frag=3),
        bytes(ethernet() / Dot1Q(vlan=5) / whole[14:]),
        bytes(ethernet(type=0x88B5) / (b"x" * 46)),
        whole[:-1] + bytes([whole[-1] ^ 1]),  # UDP checksum
        whole[:24] + b"\x12\x34" + whole[26:],  # IPv4 checksum
        whole[:60],
    ]


def declined(header: Header, tensor: bytes) -> list[bytes]:
    """Frames that nobody executes, each for a reason of its own, or that nobody is asked for."""
    sound = encode(replace(header, last=True, total_bytes=len(tensor))) + tensor
    changes: list[dict[str, Any]] = [
        {"tenant": 9},
        {"model_hash": bytes(8)},
        {"cursor": 1},
        {"slice_count": 2},
        {"epoch": 3},
        {"tensor_index": 1, "source_count": 2},
        {"may_execute": False},
        {"deadline_us": 0},
        {"cursor": 1, "result": True, "cycles": 5},
        {"tenant": 9, "result": True, "declined": True, "reason": DeclineReason.BUSY},
        {"epoch": 3, "result": True},
    ]
    found = [changed(sound, **change) for change in changes]
    found.append(changed(sound, tensor + bytes(16), encrypted=True))
    found.append(changed(sound, tensor[:-1], total_bytes=len(tensor) - 1))
    return [frame(data, CLIENT, NIC, tos=8, ttl=33) for data in found]


def test_both_datapaths_give_the_same_frames_and_counters(
    digits: Bundle, tensor: bytes, tmp_path: Path
) -> None:
    header = Header(model_hash=digits.model_hash, request_id=7, deadline_us=10**6, resend=True)
    other = replace(header, request_id=8)
    one = [frame(d, CLIENT, NIC) for d in fragments.datagrams(header, tensor, SMALL_MTU)]
    two = [frame(d, CLIENT, NIC, ttl=7) for d in fragments.datagrams(other, tensor)]
    frames = [*strangers(header, tensor), *declined(header, tensor), *one, *two]
    rtl, counted_rtl = replay(digits, "rtl", frames, tmp_path)
    reference, counted = replay(digits, "reference", frames, tmp_path)
    assert timeless(rtl) == timeless(reference)
    assert counted == counted_rtl
    assert counted["results"] == 2 and counted["frames_in"] == len(frames)
    assert {name for name, count in counted.items() if not count} == {
        "unread", "overrun", "asked", "evicted", "evicted_fragments", "dropped_bad_frame",
        "dropped_duplicate", "declined_busy", "declined_incomplete", "answered", *csr.HITS,
    }  # fmt: skip


def test_a_stream_of_512_bits_makes_the_same_frames(tensor: bytes, tmp_path: Path) -> None:
    """Of a bundle for a shell; the wire brings no more a cycle than is looked at."""
    with demo.shipped_example() as example:
        first, last = example.cut
        options = Options(
            from_=first, to=last, calibrate=example.calibration, target="corundum-100g"
        )
        bundle = compile_model(example.model, tmp_path / "bundle", options).bundle
    header = Header(model_hash=bundle.model_hash, request_id=7, deadline_us=10**6)
    frames = strangers(header, tensor) + 100 * declined(header, tensor)
    frames += [frame(data, CLIENT, NIC) for data in fragments.datagrams(header, tensor)]
    rtl, counted_rtl = replay(bundle, "rtl", frames, tmp_path)
    reference, counted = replay(bundle, "reference", frames, tmp_path)
    assert timeless(rtl) == timeless(reference)
    assert counted == counted_rtl
    assert (counted["results"], counted["overrun"]) == (1, 0)


def behind_all_headers(header: Header, tensor: bytes, seed: int) -> list[bytes]:
    """Frames that nobody executes: ours and others' behind headers of every kind, and damaged."""
    source = random.Random(seed)
    datagram = encode(replace(header, last=True, total_bytes=len(tensor), tenant=9)) + tensor
    frames = [*strange(datagram).values()]
    for stack in stacks():
        good = stack.frame(datagram)
        frames += [good, stack.frame(datagram, dport=1), stack.frame(datagram[:-1])]
        frames += [stack.frame(datagram[:40]), good[: source.randrange(len(good))]]
        at = source.randrange(stack.udp_at, len(good))
        frames.append(good[:at] + bytes([good[at] ^ 1]) + good[at + 1 :])
        frames += [mutated(good, source) for _ in range(10)]
    source.shuffle(frames)
    return frames


def test_both_datapaths_read_the_same_headers(
    digits: Bundle, tensor: bytes, tmp_path: Path
) -> None:
    seed = random.SystemRandom().randrange(1 << 32)
    print("seed", seed)
    header = Header(model_hash=digits.model_hash, request_id=7, deadline_us=10**6)
    # Where there is one slot only: time for a request to leave it, while results wait for a gap.
    gap = [frame(bytes(1000), CLIENT, ELSEWHERE)] * 60
    frames = []
    chosen = random.Random(seed).sample([*stacks()], 4)
    for number, stack in enumerate(chosen):
        mine = replace(header, request_id=number)
        frames += [stack.frame(data) for data in fragments.datagrams(mine, tensor)] + gap
    frames += behind_all_headers(header, tensor, seed)
    own, following = (int(ipaddress.IPv6Address(ip)) for ip in (OWN_IP6, NEXT_IP6))
    addresses = {"own_ip6": own, "next_ip6": following}
    rtl, counted_rtl = replay(digits, "rtl", frames, tmp_path, **addresses)
    reference, counted = replay(digits, "reference", frames, tmp_path, **addresses)
    assert counted == counted_rtl
    assert timeless(rtl) == timeless(reference)
    assert counted["results"] == 4
    for name in ("passed", "passed_malformed", "passed_bad_crc", "dropped_bad_checksum"):
        assert counted[name], name


def any_entry(header: Header, source: random.Random) -> SteeringEntry:
    """An entry for frames of :func:`declined` or for those that are executed."""
    tenant, model_hash, cursor = source.choice(
        [(0, header.model_hash, 0)] * 2
        + [(9, header.model_hash, 0), (0, bytes(8), 0), (0, header.model_hash, 1)]
    )
    number = source.randrange(1, 100)
    hop = NextHop(
        0x02000A000500 + number,
        6000 + number,
        source.choice((None, ipaddress.IPv4Address("10.0.5.0") + number)),
        ipaddress.IPv6Address("2001:db8:5::") + number,
    )
    return SteeringEntry(
        tenant,
        model_hash,
        cursor,
        source.choice(list(Action)[1:]),
        hop,
        regions=source.choice((ANY_REGION, ANY_REGION, 0xFFFE, 0x0002)),
        must_encrypt=source.random() < 0.2,
        lifetime_us=source.choice((0, 0xFFFF_FFFF)),
    )


@pytest.mark.parametrize("attempt", range(4))
def test_both_datapaths_steer_alike(
    digits: Bundle, tensor: bytes, tmp_path: Path, attempt: int
) -> None:
    """Any table (T1 to T4, T8), frames of every fate, IPv4 and IPv6."""
    seed = random.SystemRandom().randrange(1 << 32)
    print("seed", seed)
    source = random.Random(seed)
    header = Header(model_hash=digits.model_hash, request_id=7, deadline_us=10**6, resend=True)
    table = {index: any_entry(header, source) for index in source.sample(range(ENTRIES), 5)}
    mine = replace(header, request_id=1, region=1)
    frames = [frame(d, CLIENT, NIC) for d in fragments.datagrams(mine, tensor, SMALL_MTU)]
    frames += declined(header, tensor) + strangers(header, tensor)[:10]
    for number, stack in enumerate(source.sample([*stacks()], 4)):
        its = replace(header, request_id=100 + number, region=source.randrange(3))
        frames += [stack.frame(data) for data in fragments.datagrams(its, tensor, SMALL_MTU)]
        other = replace(its, tenant=9, last=True, total_bytes=len(tensor))
        frames.append(stack.frame(encode(other) + tensor))
    own, following = (int(ipaddress.IPv6Address(ip)) for ip in (OWN_IP6, NEXT_IP6))
    addresses = {"own_ip6": own, "next_ip6": following}
    rtl, counted_rtl = replay(digits, "rtl", frames, tmp_path, table, **addresses)
    reference, counted = replay(digits, "reference", frames, tmp_path, table, **addresses)
    assert counted == counted_rtl
    assert timeless(rtl) == timeless(reference)
    del attempt


def test_checksums_of_the_reference_are_right(
    digits: Bundle, tensor: bytes, tmp_path: Path
) -> None:
    header = Header(model_hash=digits.model_hash, request_id=7, deadline_us=10**6)
    one = [frame(d, CLIENT, NIC) for d in fragments.datagrams(header, tensor, SMALL_MTU)]
    sent, _ = replay(digits, "reference", [*declined(header, tensor), *one], tmp_path)
    assert len(sent) == 14
    for data in sent:
        read, again = Ether(data), Ether(data)
        del again[IP].chksum, again[UDP].chksum
        again = Ether(bytes(again))
        assert (read[IP].chksum, read[UDP].chksum) == (again[IP].chksum, again[UDP].chksum)
        assert (read[IP].dst, read[UDP].dport, read[IP].src) == (*HOP, CLIENT[0])


def test_the_reference_executes_as_numpy_does(digits: Bundle, samples: AnyArray) -> None:
    with (
        Cloud(digits) as far,
        start_nic(
            digits, UdpWire(HERE, [far.port.address]), far.port.address, datapath="reference"
        ) as nic,
        EdgeClient(digits, straight(nic.address), window=16, mtu=SMALL_MTU) as client,
    ):
        wires = [client.part.run([x])[0].ravel() for x in samples[:64]]
        [right] = Reference.of_bundle(digits).run_wire([np.stack(wires)])
        for outcome in client.stream(Request([x], tag=i) for i, x in enumerate(samples[:64])):
            assert outcome.error is None
            assert (outcome.executed_by, outcome.declined, outcome.cycles) == ("nic", "", 0)
            expected = fingerprint_of(digits.manifest.outputs, [right[outcome.request.tag]])
            assert outcome.slice_sha256 == expected
        counted, again = nic.statistics()["pipeline"], client.counters.get("resent", 0)
    assert 64 <= counted["requests"] == counted["results"] <= 64 + again
    assert counted["evicted"] == 0


def test_many_clients_at_once_are_executed(
    digits: Bundle, samples: AnyArray, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Eight with eight requests each: there is a slot for everybody.

    Only what is lost is sent again here. A client that gets no core for a while would repeat what
    it has answers to, and repeats take slots of their own.
    """
    for name in ("FLOOR_SECONDS", "PATIENCE_SECONDS", "ANSWER_PATIENCE_SECONDS"):
        monkeypatch.setattr(under_way, name, 60.0)
    with Cloud(digits) as far:
        executed, counted, again = _eight_times_eight(digits, samples, far)
    assert executed == ["nic"] * 320
    assert counted["declined_busy"] == counted["evicted"] == again["resent"] == 0
    assert counted["requests"] == counted["results"] == 320


def _eight_times_eight(
    digits: Bundle, samples: AnyArray, far: Cloud
) -> tuple[list[str], Mapping[str, int], Mapping[str, int]]:
    """Who executed each of 320 requests; what the NIC counted, and the clients."""
    again: Counter[str] = Counter()
    hop = far.port.address
    with (
        ThreadPoolExecutor(8) as threads,
        start_nic(digits, UdpWire(HERE, [hop]), hop, datapath="reference") as nic,
    ):

        def all_of_one(_: int) -> list[str]:
            paths = straight(nic.address)
            with EdgeClient(digits, paths, window=8, mtu=SMALL_MTU, deadline=60.0) as client:
                outcomes = client.stream(Request([x]) for x in samples[:40])
                names = [outcome.executed_by for outcome in outcomes]
                again.update(client.counters)
                return names

        executed = [name for names in threads.map(all_of_one, range(8)) for name in names]
        return executed, nic.bus.counters(), again
