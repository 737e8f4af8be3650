# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""The midwire header as 512 bits in hardware: byte 0 of the wire in bits 7:0.

Fields are found by their names in :data:`midwire.hw.formats.wire.FIELDS`; nothing else here knows
where one is.
"""

from __future__ import annotations

from amaranth.hdl import Cat, Value, ValueLike
from amaranth.lib.crc import Processor as CrcProcessor
from amaranth.lib.crc import catalog

from ..formats.wire import FIELDS, HEADER_BYTES

HEADER_BITS = 8 * HEADER_BYTES
_PLACES = {field.name: (field.offset, field.bits) for field in FIELDS}


def _bits(name: str) -> list[int]:
    """Bits of a field in the 512, least significant first."""
    offset, width = _PLACES[name]
    wire = range(offset + width - 1, offset - 1, -1)
    return [8 * (bit // 8) + 7 - bit % 8 for bit in wire]


def get(header: Value, name: str) -> Value:
    """A field as a number."""
    return Cat(header[bit] for bit in _bits(name))


def put(header: Value, **changes: ValueLike) -> Value:
    """The header with fields replaced by numbers; a number is cut to its field's width."""
    bits: list[Value] = [header[bit] for bit in range(HEADER_BITS)]
    for name, value in changes.items():
        number = Value.cast(value)
        for index, bit in enumerate(_bits(name)):
            bits[bit] = number[index] if index < len(number) else Value.cast(0)[0]
    return Cat(*bits)


def crc() -> CrcProcessor:
    """A CRC-32C over 8 bytes each cycle."""
    return catalog.CRC32_ISCSI(data_width=64).create()
