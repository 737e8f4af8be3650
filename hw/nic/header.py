# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""The midwire header as 512 bits in hardware: byte 0 of the wire in bits 7:0.

Fields are found by their names in :data:`midwire.hw.formats.wire.FIELDS`; nothing else here knows
where one is.
"""

from __future__ import annotations

from amaranth.hdl import Cat, Const, Value, ValueLike
from amaranth.lib.crc import Processor as CrcProcessor
from amaranth.lib.crc import catalog

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


def crc() -> CrcProcessor:
    """A CRC-32C over 8 bytes each cycle."""
    return catalog.CRC32_ISCSI(data_width=64).create()
