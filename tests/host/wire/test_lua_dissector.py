# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""The Wireshark dissector against the codec, in every Lua that a Wireshark may have.

``tests/host/test_dissector.py`` runs the same text in Wireshark itself, where there is one.
"""

from __future__ import annotations

import random
from dataclasses import fields, replace
from typing import Any

import google_crc32c
import pytest

from midwire.host.wire import lua_dissector, missing
from midwire.hw.formats import wire
from midwire.hw.formats.fragments import check_fragment, datagrams
from midwire.hw.formats.wire import DeclineReason, ElementType, Header, MessageType

from .wireshark import Wireshark

BITS = {f.name: f.bits for f in wire.FIELDS}
ENDS = {
    f.name: min(end for g in wire.FIELDS if (end := g.offset + g.bits) > f.offset and end % 8 == 0)
    // 8
    for f in wire.FIELDS
}
"""Bytes up to the end of those that a field lies in."""

SEED = 5210


@pytest.fixture(
    scope="module",
    params=[("lua51", int), ("lua52", int), ("lua53", int), ("lua54", int), ("lua54", float)],
    ids=lambda param: f"{param[0]}-{param[1].__name__}",
)
def wireshark(request: pytest.FixtureRequest) -> Wireshark:
    lua, number = request.param
    return Wireshark(lua, lua_dissector.text(), number)


def randoms(count: int) -> list[random.Random]:
    print(f"seed {SEED}")
    return [random.Random(SEED + index) for index in range(count)]


def random_value(name: str, rng: random.Random) -> Any:
    if name in wire.ENUMS:
        return rng.choice(list(wire.ENUMS[name]))
    if name == "model_hash":
        return rng.randbytes(8)
    if BITS[name] == 1:
        return rng.random() < 0.5
    edges = [0, 1, (1 << BITS[name]) - 1, 1 << BITS[name] - 1]
    return rng.choice([*edges, rng.getrandbits(BITS[name])])


def random_header(rng: random.Random) -> Header:
    return Header(**{f.name: random_value(f.name, rng) for f in fields(Header)})


def sealed(data: bytes) -> bytes:
    """The header with its CRC made good."""
    head = data[:60]
    crc = google_crc32c.value(head + bytes(4)).to_bytes(4, "big")
    return head + crc + data[wire.HEADER_BYTES :]


def problems(header: Header, payload_bytes: int) -> list[str]:
    """What check_fragment finds."""
    try:
        check_fragment(header, payload_bytes)
    except wire.BadLength as error:
        return [f"W2: {problem}" for problem in error.found.split("; ")]
    return []


def of_kind(packet: Any, kind: str) -> list[str]:
    return [text for name, text in packet.remarks if name == kind]


ONE = Header(
    last=True, request_id=7, total_bytes=4, element_type=ElementType.INT8, model_hash=bytes(8)
)


def test_w1_every_field_of_random_headers(wireshark: Wireshark) -> None:
    for rng in randoms(40):
        header = random_header(rng)
        datagram = wire.encode(header) + rng.randbytes(rng.choice([1, 16, 17, 64, 100]))
        shown = wireshark.dissect(datagram).values
        decoded = wire.decode(datagram)
        for f in fields(Header):
            assert shown[f.name] == getattr(decoded, f.name), (f.name, header)
        assert shown["magic"] == wire.MAGIC and shown["version"] == wire.VERSION
        assert shown["crc"] == int.from_bytes(datagram[60:64], "big")
        assert shown["crc.status"] == 1
        assert {f.name for f in wire.FIELDS} <= set(shown)


def test_values_have_their_names(wireshark: Wireshark) -> None:
    for name, kind in wire.ENUMS.items():
        for member in kind:
            change: dict[str, Any] = {name: member}
            packet = wireshark.dissect(wire.encode(replace(ONE, **change)) + bytes(4))
            assert packet.text_of(name).endswith(f": {member.name.lower()}")
            assert not of_kind(packet, "value")


def test_reserved_bits_are_shown_and_do_no_harm(wireshark: Wireshark) -> None:
    reserved = {"reserved_flags": 0x1_2345, "reserved_policy": 0x155, "reserved": 0x89AB_CDEF}
    head = int.from_bytes(wire.encode(ONE), "big")
    for f in wire.FIELDS:
        head |= reserved.get(f.name, 0) << 512 - f.offset - f.bits
    packet = wireshark.dissect(sealed(head.to_bytes(64, "big")) + bytes(4))
    assert {name: packet.values[name] for name in reserved} == reserved
    assert packet.values["total_bytes"] == 4
    assert packet.remarks == []


def test_w1_every_single_bit_error_is_shown(wireshark: Wireshark) -> None:
    good = wire.encode(ONE) + bytes(4)
    for bit in range(8 * wire.HEADER_BYTES):
        damaged = bytearray(good)
        damaged[bit // 8] ^= 0x80 >> bit % 8
        packet = wireshark.dissect(bytes(damaged))
        assert packet.ours == (bit >= 16)  # else the magic is another
        if 16 <= bit < 24:
            [(kind, text)] = packet.remarks
            assert (kind, text) == ("version", packet.info)
            assert packet.info == f"version {damaged[2]}; this dissector knows version 1"
            assert set(packet.values) == {"magic", "version"}
        elif bit >= 24:
            assert packet.values["crc.status"] == 0
            crc = google_crc32c.value(bytes(damaged[:60]) + bytes(4))
            expected = f"The header was damaged: its CRC-32C is {crc:#010x}"
            assert packet.remarks == [("crc", expected)]
            assert packet.text_of("crc").endswith(f"[bad, should be {crc:#010x}]")
            assert packet.info.startswith("[bad CRC] ")


@pytest.mark.parametrize("encrypted", [False, True])
def test_datagrams_that_end_anywhere(wireshark: Wireshark, encrypted: bool) -> None:
    """Sent so, or recorded so."""
    whole = wire.encode(replace(ONE, encrypted=encrypted)) + bytes(range(4 + 16 * encrypted))
    behind = len(whole) - wire.HEADER_BYTES
    for size in range(len(whole)):
        sent = wireshark.dissect(whole[:size])
        recorded = wireshark.dissect(whole[:size], len(whole))
        assert sent.ours == recorded.ours == (size >= 2)
        if 2 <= size < wire.HEADER_BYTES:
            text = f"{size} of a header's 64 bytes"
            assert sent.info == f"[too short] {text}"
            assert sent.remarks == [("short", f"Shorter than a header: {text}")]
            assert recorded.info == f"[cut off] {text}"
            expected = f"The recording ends inside the header: {text}"
            assert recorded.remarks == [("cut", expected)]
            whole_fields = {name for name, end in ENDS.items() if end <= size}
            assert set(sent.values) & set(ENDS) == whole_fields
            assert sent.values == recorded.values
        elif size >= wire.HEADER_BYTES:
            assert sent.info.startswith("[bad length] ")
            assert recorded.remarks == []
            assert not recorded.info.startswith("[")
            here = min(size - wire.HEADER_BYTES, 4)
            assert recorded.values.get("payload", b"") == bytes(range(here))
            assert "tag" not in recorded.values
    assert wireshark.dissect(whole[:30], 50).info == "[too short] 50 of a header's 64 bytes"
    assert wireshark.dissect(whole).values["payload"] == bytes(range(4))
    assert wireshark.dissect(whole).values.get("tag", b"") == bytes(range(4, behind))


def test_w2_fragments_of_a_tensor(wireshark: Wireshark) -> None:
    tensor = random.Random(SEED).randbytes(3000)
    header = replace(ONE, cursor=1, slice_count=3, request_id=0xCAFE_0000_0000_0007)
    packets = [wireshark.dissect(d) for d in datagrams(header, tensor)]
    assert b"".join(bytes(p.values["payload"]) for p in packets) == tensor
    assert [p.info for p in packets] == [
        f"TENSOR {index}/3 cursor 1/3 request 0xcafe000000000007" for index in range(3)
    ]
    assert packets[1].text_of("payload") == "Bytes 1344 to 2688 of 3000 of the tensor"
    assert not any(p.remarks for p in packets)
    assert not any("tag" in p.values for p in packets)


def test_w2_lengths_that_contradict_each_other(wireshark: Wireshark) -> None:
    seen: list[str] = []
    for rng in randoms(300):
        count = rng.choice([0, 1, 2, 3, 65535])
        header = replace(
            ONE,
            last=rng.random() < 0.5,
            encrypted=rng.random() < 0.5,
            fragment_index=rng.choice([0, 1, 2, max(count - 1, 0)]),
            fragment_count=count,
            offset=rng.choice([0, 64, 128, 0xFFFF_FFFF]),
            total_bytes=rng.choice([0, 64, 96, 128, 192, 0xFFFF_FFFF]),
        )
        payload_bytes = rng.choice([0, 1, 64, 96, 128])
        behind = payload_bytes + wire.TAG_BYTES * header.encrypted
        packet = wireshark.dissect(wire.encode(header) + bytes(behind))
        expected = problems(header, payload_bytes)
        assert of_kind(packet, "length") == expected, header
        assert packet.info.startswith("[bad length] ") == bool(expected)
        seen += expected or ["none"]
    for words in (
        "none",
        "empty",
        "W2: fragment 1 of 1",
        "last",
        "at byte",
        "W2: bytes",
        "multiple",
    ):
        assert any(words in problem for problem in seen), f"no case of {words}"


def test_w8_which_fragments_are_asked_for(wireshark: Wireshark) -> None:
    header = replace(ONE, cursor=1, fragment_count=200, total_bytes=200 * 64)
    ask = missing.pack(header, [64, 70, 127])
    packet = wireshark.dissect(ask)
    assert packet.info == "MISSING 64/200 cursor 1/1 request 0x0000000000000007"
    assert packet.text_of("payload") == "Fragments asked for: 64, 70, 127"
    assert packet.remarks == []
    cut = wireshark.dissect(ask[:-1], len(ask))
    assert cut.remarks == [] and cut.values["payload"] == ask[64:-1]
    assert wireshark.dissect(ask[:64], len(ask)).remarks == []


def test_w8_asks_that_contradict_themselves(wireshark: Wireshark) -> None:
    seen: list[str] = []
    for rng in randoms(200):
        header = replace(
            ONE,
            message_type=MessageType.MISSING,
            last=rng.random() < 0.8,
            fragment_index=rng.choice([0, 0, 64, 65]),
            fragment_count=rng.choice([1, 60, 64, 128, 65535]),
            offset=rng.choice([0, 0, 0, 64]),
        )
        bitmap = rng.choice([bytes(8), rng.randbytes(8), b"\x80" + bytes(7), rng.randbytes(7), b""])
        packet = wireshark.dissect(wire.encode(header) + bitmap)
        expected = ""
        try:
            missing.wanted(header, bitmap)
        except missing.BadMissing as error:
            expected = error.found
        found = of_kind(packet, "missing")
        assert "; ".join(text.removeprefix("W8: ") for text in found) == expected, header
        assert packet.info.startswith("[bad length] ") == bool(expected)
        seen.append(expected or "none")
    for words in ("none", "a bitmap of", "not a multiple", "no fragment", "fragment 127 of"):
        assert any(words in problem for problem in seen), f"no case of {words}"


def test_an_encrypted_fragment_without_room_for_its_tag(wireshark: Wireshark) -> None:
    packet = wireshark.dissect(wire.encode(replace(ONE, encrypted=True)) + bytes(15))
    assert packet.remarks == [("length", "15 bytes behind the header, less than a tag of 16")]
    assert not {"payload", "tag"} & set(packet.values)


@pytest.mark.parametrize("name", list(wire.ENUMS))
def test_values_that_this_version_does_not_know(wireshark: Wireshark, name: str) -> None:
    [f] = [f for f in wire.FIELDS if f.name == name]
    data = bytearray(wire.encode(ONE) + bytes(4))
    data[f.offset // 8] = 99
    packet = wireshark.dissect(sealed(bytes(data)))
    assert packet.values[name] == 99
    assert packet.remarks == [("value", f"{name} 99 is not one of this version's")]
    assert packet.info.startswith("[bad field] ")


@pytest.mark.parametrize(
    ("header", "info"),
    [
        (
            replace(
                ONE,
                last=False,
                declined=True,
                reason=DeclineReason.BUSY,
                fragment_index=3,
                fragment_count=25,
                offset=192,
                total_bytes=1600,
                cursor=1,
                slice_count=3,
            ),
            "TENSOR 3/25 cursor 1/3 request 0x0000000000000007 declined busy",
        ),
        (
            replace(
                ONE,
                total_bytes=64,
                result=True,
                resend=True,
                congestion=True,
                telemetry=True,
                cycles=0xFFFF_FFFF,
                tensor_index=1,
                source_count=2,
            ),
            (
                "TENSOR 0/1 of tensor 1/2 cursor 0/1 request 0x0000000000000007 result resend "
                "congestion 4294967295 cycles"
            ),
        ),
        (
            replace(ONE, total_bytes=48, encrypted=True, message_type=MessageType.REPLY),
            "REPLY 0/1 cursor 0/1 request 0x0000000000000007 encrypted",
        ),
        (
            replace(ONE, total_bytes=64, message_type=MessageType.ERROR),
            "ERROR 0/1 cursor 0/1 request 0x0000000000000007",
        ),
    ],
)
def test_the_line_in_the_packet_list(wireshark: Wireshark, header: Header, info: str) -> None:
    packet = wireshark.dissect(wire.encode(header) + bytes(64))
    assert (packet.info, packet.protocol) == (info, "midwire")
    declined = [("declined", "Declined: busy")] if header.declined else []
    assert packet.remarks == declined


def test_on_any_port_a_sound_header_is_recognised(wireshark: Wireshark) -> None:
    assert wireshark.ports == {("udp.port", wire.UDP_PORT): wireshark.proto}
    good = wire.encode(ONE) + bytes(4)
    packet = wireshark.recognise(good)
    assert packet.ours and packet.conversation is wireshark.proto
    assert packet.values == wireshark.dissect(good).values
    assert wireshark.recognise(good[:64], len(good)).ours


def test_on_any_port_nothing_else_is_recognised(wireshark: Wireshark) -> None:
    good = wire.encode(ONE) + bytes(4)
    others = [good[:size] for size in range(wire.HEADER_BYTES)]
    others += [b"", bytes(64), bytes(1500), b"MW" + bytes(62)]
    others += [good[:byte] + bytes([good[byte] ^ 1]) + good[byte + 1 :] for byte in range(64)]
    others.append(sealed(b"MX" + good[2:]))
    others.append(sealed(good[:2] + b"\2" + good[3:]))
    for other in others:
        packet = wireshark.recognise(other)
        assert not packet.ours and packet.conversation is None, other


def test_random_bytes_behind_the_magic(wireshark: Wireshark) -> None:
    for rng in randoms(200):
        data = b"MW\1" + rng.randbytes(rng.randrange(150))
        if len(data) >= wire.HEADER_BYTES and rng.random() < 0.7:
            data = sealed(data)
        assert wireshark.dissect(data, len(data) + rng.choice([0, 0, 1, 100, 9000])).ours


def test_the_text_is_plain_and_runs_everywhere() -> None:
    text = lua_dissector.text()
    assert text.isascii()
    logic = text[text.index("local midwire") :]
    assert "%d" not in logic  # the remark at its top says why
