# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""Memories of weights and parameters, and their ``$readmemh`` images.

Values never pass through Amaranth: the Verilog names a file, so one build serves any values.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from amaranth.hdl import ClockSignal, Instance, Module
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

_CHUNK_BITS = 1 << 22


class Rom(wiring.Component):
    """A ``mw_rom``: where ``en``, word ``addr`` of cycle ``t`` is on ``data`` from cycle ``t + 1``.

    Parameters
    ----------
    width : bits of a word
    depth : number of words
    file : name of the image file, inside the folder of images

    Members
    -------
    en : In(1), set if not connected
    addr : In(unsigned)
    data : Out(width)
    """

    def __init__(self, width: int, depth: int, file: str) -> None:
        if width < 1 or depth < 1:
            raise ValueError(f"a memory needs width and depth of at least 1, not {width} x {depth}")
        if not file or "/" in file or "\\" in file:
            raise ValueError(f"file must be a plain file name (no folder), not {file!r}")
        self._width = width
        self._depth = depth
        self._file = file
        super().__init__(
            {
                "en": In(1, init=1),
                "addr": In(max(1, (depth - 1).bit_length())),
                "data": Out(width),
            }
        )

    @property
    def width(self) -> int:
        """Bits of a word."""
        return self._width

    @property
    def depth(self) -> int:
        """Number of words."""
        return self._depth

    @property
    def file(self) -> str:
        """Name of the image file."""
        return self._file

    def elaborate(self, platform):  # type: ignore[no-untyped-def]
        m = Module()
        m.submodules.rom = Instance(
            "mw_rom",
            p_WIDTH=self._width,
            p_DEPTH=self._depth,
            p_FILE=self._file,
            i_clk=ClockSignal(),
            i_en=self.en,
            i_addr=self.addr,
            o_data=self.data,
        )
        return m


def pack_image(words: npt.ArrayLike, lane_bits: int) -> str:
    """Text of a ``$readmemh`` file: one word a line, lane 0 in the lowest bits.

    Parameters
    ----------
    words : integers (depth, lanes), or (depth,) for one lane
    lane_bits : bits of a lane, 1 to 63; values are two's complement or unsigned

    Raises
    ------
    ValueError
        If a value does not fit in its lane.
    """
    lanes = np.asarray(words, dtype=np.int64)
    if lanes.ndim == 1:
        lanes = lanes[:, None]
    if lanes.ndim != 2 or not lanes.size:
        raise ValueError(f"words must have shape (depth, lanes), not {lanes.shape}")
    if not 1 <= lane_bits <= 63:
        raise ValueError(f"lane_bits must be 1 to 63, not {lane_bits!r}")
    low, high = int(lanes.min()), int(lanes.max())
    if low < -(1 << (lane_bits - 1)) or high >= 1 << lane_bits:
        raise ValueError(f"values from {low} to {high} do not fit in lanes of {lane_bits} bits")
    rows = max(1, _CHUNK_BITS // (lanes.shape[1] * lane_bits))
    return "".join(
        _lines(_bits(lanes[begin : begin + rows], lane_bits))
        for begin in range(0, len(lanes), rows)
    )


def pack_fields(fields: Sequence[tuple[npt.NDArray[np.int64], int]]) -> str:
    """Text of a ``$readmemh`` file whose words have fields of different widths, the first lowest.

    Parameters
    ----------
    fields : for each field its values (depth,) and its bits
    """
    return _lines(np.concatenate([_bits(v[:, None], bits) for v, bits in fields], axis=1))


def _bits(lanes: npt.NDArray[np.int64], lane_bits: int) -> npt.NDArray[np.uint8]:
    """Bits of every word, lowest first: (rows, lanes * lane_bits)."""
    shifts = np.arange(lane_bits, dtype=np.int64)
    return ((lanes[:, :, None] >> shifts) & 1).astype(np.uint8).reshape(len(lanes), -1)


def _lines(bits: npt.NDArray[np.uint8]) -> str:
    """One line of hexadecimal digits for each row of bits."""
    count, width = bits.shape
    digits = -(-width // 4)
    padded = np.zeros((count, 4 * digits), dtype=np.uint8)
    padded[:, :width] = bits
    nibbles = padded.reshape(count, digits, 4) @ np.array([1, 2, 4, 8], dtype=np.uint8)
    lines = np.full((count, digits + 1), ord("\n"), dtype=np.uint8)
    lines[:, :digits] = np.frombuffer(b"0123456789abcdef", dtype=np.uint8)[nibbles[:, ::-1]]
    return lines.tobytes().decode("ascii")
