# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""The midwire header as 512 bits in hardware: byte 0 of the wire in bits 7:0.

Fields are found by their names in :data:`midwire.hw.formats.wire.FIELDS`; nothing else here knows
where one is.
"""

from __future__ import annotations

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value, ValueLike
from amaranth.lib import wiring
from amaranth.lib.crc import Algorithm, catalog
from amaranth.lib.wiring import In, Out

from ..formats.wire import FIELDS, HEADER_BYTES

HEADER_BITS = 8 * HEADER_BYTES
_PLACES = {field.name: (field.offset, field.bits) for field in FIELDS}


def _pieces(name: str) -> list[tuple[int, int]]:
    """Runs of a field's bits in the 512 (first, one past the last), least significant first.

    Runs and not single bits: Amaranth looks at the whole header for every slice of it.
    """
    offset, width = _PLACES[name]
    wire = range(offset + width - 1, offset - 1, -1)
    runs: list[tuple[int, int]] = []
    for bit in (8 * (bit // 8) + 7 - bit % 8 for bit in wire):
        if runs and runs[-1][1] == bit:
            runs[-1] = (runs[-1][0], bit + 1)
        else:
            runs.append((bit, bit + 1))
    return runs


def get(header: Value, name: str) -> Value:
    """A field as a number."""
    return Cat(header[low:high] for low, high in _pieces(name))


def put(header: Value, **changes: ValueLike) -> Value:
    """The header with fields replaced by numbers; a number is cut to its field's width."""
    replaced: dict[int, tuple[int, Value]] = {}
    for name, value in changes.items():
        number, at = Value.cast(value), 0
        # Bits beyond the number are zero.
        number = Cat(number, Const(0, max(1, _PLACES[name][1] - len(number))))
        for low, high in _pieces(name):
            replaced[low] = (high, number[at : at + high - low])
            at += high - low
    parts: list[Value] = []
    kept = 0
    for low, (high, piece) in sorted(replaced.items(), key=lambda item: item[0]):
        parts += [header[kept:low], piece]
        kept = high
    return Cat(*parts, header[kept:])


def time_left(m: Module, header: Value, now: Value, stamp: Value) -> Signal:
    """The header's deadline with the microseconds since ``stamp`` taken off (W5), of a frame that
    has been there for two cycles."""
    deadline = Signal.like(get(header, "deadline_us"), name="deadline")
    spent, left = Signal.like(deadline, name="spent"), Signal.like(deadline, name="time_left")
    m.d.sync += [
        deadline.eq(get(header, "deadline_us")),
        spent.eq(now - stamp),
        left.eq(Mux(deadline > spent, deadline - spent, 0)),
    ]
    return left


def passed_on(header: Value, deadline_us: Value, **changes: ValueLike) -> Value:
    """The header with a hop taken off (W5), what is left of its deadline, and other changes."""
    return put(
        header,
        hop_limit=get(header, "hop_limit") - 1,
        deadline_us=deadline_us,
        **changes,
    )


class HeaderCrc(wiring.Component):
    """CRC-32C over 8 bytes each cycle.

    What :class:`amaranth.lib.crc.Processor` computes, from its parameters. That one states every
    two-input exclusive or as a cell of its own: 3000 of them, a third of elaborating the shell.
    Here a bit is one reduction.

    Members
    -------
    start : In(1)
        Begin anew, in a cycle without data.
    valid : In(1)
    data : In(64)
    crc : Out(32)
        Of all valid data up to the cycle before.
    """

    def __init__(self) -> None:
        super().__init__({"start": In(1), "valid": In(1), "data": In(64), "crc": Out(32)})

    def elaborate(self, platform):  # type: ignore[no-untyped-def]
        m = Module()
        width = _CRC.crc_width
        # The register as it leaves, reflected: linear in itself and in the data.
        by_state = [_next_state(1 << j, 0) for j in range(width)]
        by_data = [_next_state(0, 1 << j) for j in range(len(self.data))]
        first = (1 << width) - 1
        state = Signal(width, init=first)
        m.d.comb += self.crc.eq(~state)
        after = [
            Cat(
                *(state[j] for j, column in enumerate(by_state) if column >> bit & 1),
                *(self.data[j] for j, column in enumerate(by_data) if column >> bit & 1),
            ).xor()
            for bit in range(width)
        ]
        with m.If(self.start):
            m.d.sync += state.eq(first)
        with m.Elif(self.valid):
            m.d.sync += state.eq(Cat(*after))
        return m


_CRC = catalog.CRC32_ISCSI


def _next_state(state: int, data: int) -> int:
    """The reflected register after 8 bytes, by Amaranth's definition of the code."""
    reflected = int(f"{state:0{_CRC.crc_width}b}"[::-1], 2)
    plain = Algorithm(
        crc_width=_CRC.crc_width,
        polynomial=_CRC.polynomial,
        initial_crc=reflected,
        reflect_input=_CRC.reflect_input,
        reflect_output=_CRC.reflect_output,
        xor_output=0,
    )
    return int(plain(data_width=64).compute([data]))
