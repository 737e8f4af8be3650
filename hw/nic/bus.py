# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""What flows between the components of the NIC shell.

Rules, cited by tests as B1 to B4:

B1. Frames come as beats of 8 bytes, or more around the pipeline (:mod:`.wide.around`), the first
    byte on the wire in the lowest lane; ``keep`` is all ones but on the last beat, where it is
    contiguous from bit 0; ``bad`` counts on the last beat only.
B2. Inside, tensor bytes come as *words* of 8 bytes, byte 0 of the tensor in the lowest lane of the
    first word. How many bytes there are is always known beside the stream; bytes behind them are
    zero.
B3. 16-bit sums (RFC 1071) are taken over little-endian lanes and are written as they are: the sum
    does not depend on byte order.
B4. Ethernet's header has 14 bytes, and every header behind it whole 4: each begins at byte
    ``4 * place + 2``. A *place* is that number, and the only thing that differs from frame to
    frame: no 16-bit field reaches over a beat, and sums of lanes begin wherever they have to.
"""

from __future__ import annotations

from typing import Any

from amaranth.hdl import Cat, Const, Mux, Signal, Value, ValueLike
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from ..formats.csr import ADDRESS_BITS, REGISTERS, FrameOutcome
from ..formats.slots import FINGERPRINT_BITS

BEAT_BYTES = 8
"""Of the pipeline's beats."""

NETWORK_BEAT_BYTES = (8, 16, 32, 64)
"""Of the network's beats, one of these."""

WORD_BITS = 64
MAX_FRAME_BYTES = 9472
"""Longer frames pass through unlooked at, before their end is known."""

BETWEEN_FRAMES_BYTES = 24
"""That a frame takes on a link of Ethernet beside its own: preamble, check sequence and gap."""

LENGTH_BITS = 14  # of a frame that is looked at
LANE_BITS = (BEAT_BYTES - 1).bit_length()
PLACE_BITS = 6  # of every place at which a payload may begin

LANES = range(2, BEAT_BYTES, 4)
"""At which headers and payloads begin (B4)."""

ETHERNET_PLACE = 3
"""Of what follows an Ethernet header without tags."""

AHEAD = 2
"""Frames that are decided on, and have not left."""


def beat_layout(beat_bytes: int) -> data.StructLayout:
    """One beat of a frame, of so many bytes (B1)."""
    return data.StructLayout({"data": 8 * beat_bytes, "keep": beat_bytes, "last": 1, "bad": 1})


def sent_layout(beat_bytes: int) -> data.StructLayout:
    """One beat of a frame that leaves: to the next hop, or ``back`` to where frames come from. It
    was ``made`` here, or it came in as it is and passes."""
    return data.StructLayout({"beat": beat_layout(beat_bytes), "back": 1, "made": 1})


BEAT = beat_layout(BEAT_BYTES)
"""One beat of a frame (B1)."""

SENT = sent_layout(BEAT_BYTES)

CONFIG = data.StructLayout({r.name: r.width for r in REGISTERS if r.access == "config"})
"""All configuration registers of the NIC."""

MODEL = data.StructLayout({r.name: r.width for r in REGISTERS if r.access == "model"})
"""What registers say of one core's slice (C8 of formats/csr.py)."""

ENTRY = data.StructLayout({r.name: r.width for r in REGISTERS if r.access == "entry"})
"""What registers say of an entry of the steering table."""

HOP = data.StructLayout({"mac": 48, "ip": 128, "port": 16})
"""A next hop, as lanes; an IPv4 address has the low 32 bits."""

OUTCOME = range(len(FrameOutcome))

WHERE = data.StructLayout({"tags": 2, "ipv6": 1, "l4": PLACE_BITS})
"""Where a frame's headers are: how many VLAN tags there are, and the place of UDP (B4)."""

ORIGIN = data.StructLayout(
    {
        "src_mac": 48,
        "tag_count": 2,
        "tags": 64,
        "ipv6": 1,
        "src_ip": 128,
        "dst_ip": 128,
        "src_port": 16,
        "tos": 8,
        "ttl": 8,
        "stamp": 32,
        "header": 512,
    }
)
"""What is kept of a frame: addresses, VLAN ``tags`` (type and TCI, the outer one first),
``src_port`` and the midwire ``header`` as lanes, ``stamp`` the time of arrival in microseconds. An
IPv4 address has the low 32 bits; ``tos`` and ``ttl`` are IPv6's traffic class and hop limit, too.
"""

VERDICT_PASS, VERDICT_DROP, VERDICT_OURS, VERDICT_SEND = range(4)
"""Of the parser the first three; of the decider ``VERDICT_OURS`` to collect, ``VERDICT_SEND`` to
decline or to forward."""

FOUND = data.StructLayout(
    {"verdict": 2, "outcome": OUTCOME, "place": PLACE_BITS, "bytes": LENGTH_BITS, "sum": 16}
)
"""What the parser says of a frame: ``place`` (B4), ``bytes`` and ``sum`` are those of the tensor
fragment."""

FRAME = data.StructLayout({**FOUND.members, "origin": ORIGIN})
"""That, and where the frame came from."""

FATE = data.StructLayout({"frame": FRAME, "reason": 8, "hop": HOP})
"""A frame and what is decided on it: the ``reason`` and next ``hop`` if it is sent on."""

JOB = data.StructLayout({"back": 1, "bytes": LENGTH_BITS, "sum": 16, "origin": ORIGIN, "hop": HOP})
"""A frame to be made: its payload's bytes and sum, and what goes in front. It goes to the next hop
``hop``, or ``back`` to where the frame of ``origin`` came from."""


class AxiLite(wiring.Signature):
    """AXI4-Lite with 32-bit data, seen from the manager."""

    def __init__(self, address_bits: int = ADDRESS_BITS) -> None:
        super().__init__(
            {
                "awaddr": Out(address_bits),
                "awvalid": Out(1),
                "awready": In(1),
                "wdata": Out(32),
                "wstrb": Out(4),
                "wvalid": Out(1),
                "wready": In(1),
                "bresp": In(2),
                "bvalid": In(1),
                "bready": Out(1),
                "araddr": Out(address_bits),
                "arvalid": Out(1),
                "arready": In(1),
                "rdata": In(32),
                "rresp": In(2),
                "rvalid": In(1),
                "rready": Out(1),
            }
        )


def sender_of(origin: data.View[Any]) -> Value:
    """Address and port that a frame came from, as one number: the port is its low 16 bits."""
    return Cat(lanes(origin.src_port), lanes(origin.src_ip))


def key_of(origin: data.View[Any], request_id: Value, joined: bool = False) -> Value:
    """What a request is named by: its sender, then its id; of several tensors that are ``joined``,
    its id alone (D7)."""
    return request_id if joined else Cat(sender_of(origin), request_id)


def fingerprint_of(key: Value) -> Value:
    """:func:`midwire.hw.formats.slots.request_fingerprint` of a key.

    An address of more than 32 bits is taken as its 32-bit words, XORed. A key without a sender has
    0 for it.
    """
    sender, request_id = key[:-64], key[-64:]
    port, address = (sender[:16], sender[16:]) if len(sender) else (Const(0, 16), sender)
    return _xor_folded(Cat(port, _xor_folded(address, 32), request_id), FINGERPRINT_BITS)


def _xor_folded(value: Value, bits: int) -> Value:
    """Digits of so many bits, from the lowest on, XORed."""
    found: Any = Const(0, bits)
    for at in range(0, len(value), bits):
        found = found ^ value[at : at + bits]
    return found


def swap16(value: int) -> int:
    """A 16-bit constant as lanes (B3)."""
    return (value & 0xFF) << 8 | value >> 8


def lanes(value: Value) -> Value:
    """A number of whole bytes as lanes in network order, and back."""
    return Cat(value[at : at + 8] for at in reversed(range(0, len(value), 8)))


def ipv6_lanes(config: data.View, whose: str) -> Value:
    """An IPv6 address of registers, as lanes: ``own``, ``next`` or an entry's ``table_next``."""
    return Cat(lanes(config[f"{whose}_ip6_{part}"]) for part in range(4))


def mac_lanes(config: data.View, whose: str) -> Value:
    """A MAC address of registers, as lanes."""
    return Cat(lanes(config[f"{whose}_mac_high"]), lanes(config[f"{whose}_mac_low"]))


def sum_lanes(value: Value) -> Value:
    """Sum of the 16-bit lanes of a value, unfolded (B3). A tree: its depth is what takes time."""
    numbers = [value[at : at + 16] for at in range(0, len(value), 16)]
    while len(numbers) > 1:
        rest = numbers[len(numbers) & ~1 :]
        numbers = [a + b for a, b in zip(numbers[::2], numbers[1::2], strict=False)] + rest
    return numbers[0]


def masked(value: Value, count: ValueLike) -> Value:
    """A word with all bytes from ``count`` on set to zero; ``count`` of 8 or more keeps all."""
    count = Value.cast(count)
    return Cat(
        value[8 * lane : 8 * lane + 8] & (count > lane).replicate(8) for lane in range(BEAT_BYTES)
    )


def byte_of(place: ValueLike) -> Value:
    """The byte of the frame at a place (B4)."""
    return Cat(Const(2, 2), place)


def beat_of(byte: Value) -> Value:
    """The beat that has a byte of the frame."""
    return byte[LANE_BITS:]


def word_from(before: Value, after: Value, byte: Value) -> Value:
    """The word that begins in beat ``before`` at the lane of a place's byte, and ends in ``after``.

    Also a carry of less than a beat and what comes behind it, if the carry ends with ``before``.
    """
    both = Cat(before, after)
    found = both[8 * LANES[0] :][:WORD_BITS]
    for lane in LANES[1:]:
        found = Mux(byte[:LANE_BITS] == lane, both[8 * lane :][:WORD_BITS], found)
    return found


def folded(m: Any, value: Value, name: str) -> Signal:
    """A sum of up to 32 bits, folded to 16.

    Once, it is at most twice 0xFFFF, so its carry leaves room for itself. The sum with that carry
    is made beside the one without, not behind it.
    """
    low, high = value[:16], value[16:]
    once = Signal(17, name=f"{name}_once")
    more = Signal(18, name=f"{name}_more")  # with a carry that comes in from bit 0
    result = Signal(16, name=name)
    m.d.comb += [
        once.eq(low + high),
        more.eq(Cat(Const(1, 1), low) + Cat(Const(1, 1), high)),
        result.eq(Mux(once[16], more[1:17], once)),
    ]
    return result


def folds_to_ones(total: Value) -> Value:
    """Whether a sum of lanes, some of which are not 0, is 0xFFFF when it is folded.

    Its carries have few bits: with them, the low half is 0xFFFF at once, or it never is.
    """
    low, carries = total[:16], total[16:]
    return low == ~Cat(carries, Const(0, 16 - len(carries)))
