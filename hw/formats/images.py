# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""``$readmemh`` images of memories, vectorised.

Values never pass through Amaranth: the Verilog names a file, so one build serves any values.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

_CHUNK_BITS = 1 << 22


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
    _check_range(lanes, lane_bits)
    rows = max(1, _CHUNK_BITS // (lanes.shape[1] * lane_bits))
    return "".join(
        _lines(_bits(lanes[begin : begin + rows], lane_bits))
        for begin in range(0, len(lanes), rows)
    )


def pack_fields(fields: Sequence[tuple[npt.NDArray[np.int64], int]]) -> str:
    """Text of a ``$readmemh`` file whose words have fields of different widths, the first lowest.

    Parameters
    ----------
    fields : for each field its values (depth,) and its bits, 1 to 63

    Raises
    ------
    ValueError
        If a value does not fit in its field.
    """
    for values, bits in fields:
        _check_range(values, bits)
    return _lines(np.concatenate([_bits(v[:, None], bits) for v, bits in fields], axis=1))


def _check_range(values: npt.NDArray[np.int64], bits: int) -> None:
    low, high = int(values.min()), int(values.max())
    if low < -(1 << (bits - 1)) or high >= 1 << bits:
        raise ValueError(f"values from {low} to {high} do not fit in lanes of {bits} bits")


def unpack_image(text: str, width: int) -> npt.NDArray[np.uint8]:
    """Words of a memory image as beats of a side port: (words, bytes of a word), little-endian.

    Parameters
    ----------
    text : of a ``$readmemh`` file, as the functions above make it
    width : bits of a word

    Raises
    ------
    ValueError
        If the text is not lines of hexadecimal digits for words of so many bits.
    """
    digits = -(-width // 4)
    lines = text.split()
    if not lines or any(len(line) != digits for line in lines):
        raise ValueError(f"every word of {width} bits must be a line of {digits} digits")
    even = digits + digits % 2
    whole = bytes.fromhex("".join(line.zfill(even) for line in lines))
    words = np.frombuffer(whole, dtype=np.uint8).reshape(len(lines), -1)[:, ::-1]
    if width % 8 and (words[:, -1] >> width % 8).any():
        raise ValueError(f"a word has more than {width} bits")
    return words


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
