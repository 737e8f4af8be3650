# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""What flows between the components of the NIC shell.

Rules, cited by tests as B1 to B3:

B1. Frames come as beats of 8 bytes, the first byte on the wire in the lowest lane; ``keep`` is all
    ones but on the last beat, where it is contiguous from bit 0; ``bad`` counts on the last beat
    only.
B2. Inside, tensor bytes come as *words* of 8 bytes, byte 0 of the tensor in the lowest lane of the
    first word. How many bytes there are is always known beside the stream; bytes behind them are
    zero.
B3. 16-bit sums (RFC 1071) are taken over little-endian lanes and are written as they are: the sum
    does not depend on byte order.
"""

from __future__ import annotations

from typing import Any

from amaranth.hdl import Cat, Const, Signal, Value, ValueLike
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from ..formats.csr import ADDRESS_BITS, REGISTERS, FrameOutcome
from ..formats.slots import FINGERPRINT_BITS

BEAT_BYTES = 8
WORD_BITS = 64
MAX_FRAME_BYTES = 9472
"""Longer frames pass through unlooked at, before their end is known."""

LENGTH_BITS = 14  # of a frame that is looked at

AHEAD = 2
"""Frames that are decided on, and have not left."""

BEAT = data.StructLayout({"data": WORD_BITS, "keep": BEAT_BYTES, "last": 1, "bad": 1})
"""One beat of a frame (B1)."""

SENT = data.StructLayout({"beat": BEAT, "back": 1})
"""One beat of a frame that leaves: to the next hop, or ``back`` to where frames come from."""

CONFIG = data.StructLayout({r.name: r.width for r in REGISTERS if r.access == "config"})
"""All configuration registers."""

OUTCOME = range(len(FrameOutcome))

ORIGIN = data.StructLayout(
    {
        "src_mac": 48,
        "src_ip": 32,
        "dst_ip": 32,
        "src_port": 16,
        "tos": 8,
        "ttl": 8,
        "stamp": 32,
        "header": 512,
    }
)
"""What is kept of a frame: addresses, ``src_port`` and the midwire ``header`` as lanes, ``stamp``
the time of arrival in microseconds."""

CONTEXT = data.StructLayout({"origin": ORIGIN, "start": 32})
"""A tensor in the slice: where it came from, and the cycle in which its first beat was offered."""

VERDICT_PASS, VERDICT_DROP, VERDICT_OURS, VERDICT_SEND = range(4)
"""Of the parser the first three; of the decider ``VERDICT_OURS`` to collect, ``VERDICT_SEND`` to
decline or to forward."""

FRAME = data.StructLayout(
    {"verdict": 2, "outcome": OUTCOME, "bytes": LENGTH_BITS, "sum": 16, "origin": ORIGIN}
)
"""What the parser says of a frame: ``bytes`` and ``sum`` are those of the tensor fragment."""

JOB = data.StructLayout({"back": 1, "bytes": LENGTH_BITS, "sum": 16, "origin": ORIGIN})
"""A frame to be made: its payload's bytes and sum, and what goes in front. It goes to the next hop,
or ``back`` to where the frame of ``origin`` came from."""


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


def key_of(origin: data.View[Any], request_id: Value) -> Value:
    """What a request is named by: its sender, then its id."""
    return Cat(sender_of(origin), request_id)


def fingerprint_of(key: Value) -> Value:
    """:func:`midwire.hw.formats.slots.request_fingerprint` of a key.

    An address of more than 32 bits is taken as its 32-bit words, XORed.
    """
    port, address, request_id = key[:16], key[16:-64], key[-64:]
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


def sum_lanes(value: Value) -> Value:
    """Sum of the 16-bit lanes of a value, unfolded (B3)."""
    total: Any = Const(0, 16)
    for at in range(0, len(value), 16):
        total = total + value[at : at + 16]
    return total


def fold(value: Value) -> Value:
    """One step of end-around carry: the high half added to the low 16 bits."""
    return value[:16] + value[16:]


def masked(value: Value, count: ValueLike) -> Value:
    """A word with all bytes from ``count`` on set to zero; ``count`` of 8 or more keeps all."""
    count = Value.cast(count)
    return Cat(
        value[8 * lane : 8 * lane + 8] & (count > lane).replicate(8) for lane in range(BEAT_BYTES)
    )


def folded(m: Any, value: Value, name: str) -> Signal:
    """A sum of up to 32 bits, folded to 16."""
    first = Signal(17, name=f"{name}_once")
    second = Signal(17, name=f"{name}_twice")
    result = Signal(16, name=name)
    m.d.comb += [first.eq(fold(value)), second.eq(fold(first)), result.eq(fold(second))]
    return result
