# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""Memory images: one word a line, the first lane or field in the lowest bits."""

from __future__ import annotations

import numpy as np
import pytest

from midwire.hw.formats.images import pack_fields, pack_image, unpack_image


@pytest.mark.parametrize(("lanes", "bits"), [(1, 1), (3, 4), (2, 5), (7, 8), (2, 33), (5, 63)])
def test_pack_image(lanes: int, bits: int) -> None:
    """Lane 0 lies in the lowest bits; every word has all of its digits."""
    rng = np.random.default_rng(bits)
    words = rng.integers(-(1 << (bits - 1)), 1 << (bits - 1), (200, lanes))
    mask = (1 << bits) - 1
    wanted = [
        sum((int(v) & mask) << (lane * bits) for lane, v in enumerate(word)) for word in words
    ]
    lines = pack_image(words, bits).splitlines()
    assert [int(line, 16) for line in lines] == wanted
    assert {len(line) for line in lines} == {-(-lanes * bits // 4)}


def test_pack_image_in_pieces() -> None:
    """A large image is made piece by piece."""
    words = np.arange(300_000).reshape(-1, 2)
    lines = pack_image(words, 20).splitlines()
    assert len(lines) == 150_000
    assert int(lines[-1], 16) == 299_999 << 20 | 299_998


def test_pack_fields() -> None:
    text = pack_fields([(np.array([-1, 2]), 3), (np.array([5, 0]), 6)])
    assert text == f"{5 << 3 | 7:03x}\n002\n"


@pytest.mark.parametrize("bits", [1, 4, 7, 8, 12, 13, 16, 63, 70])
def test_unpack_image(bits: int) -> None:
    """Whole bytes of each word, the lowest first."""
    lanes = 1 if bits < 64 else 2
    rng = np.random.default_rng(bits)
    text = pack_image(rng.integers(0, 1 << (bits // lanes), (20, lanes)), bits // lanes)
    words = unpack_image(text, bits)
    assert words.dtype == np.uint8 and words.shape == (20, -(-bits // 8))
    assert [int.from_bytes(bytes(word), "little") for word in words] == [
        int(line, 16) for line in text.split()
    ]


def test_an_image_of_other_words_is_refused() -> None:
    for text in ("", "12\n345\n", "1234\n"):
        with pytest.raises(ValueError, match="every word of 12 bits must be a line of 3 digits"):
            unpack_image(text, 12)


def test_a_word_of_more_bits_is_refused() -> None:
    assert unpack_image("1f\n", 5).tolist() == [[31]]
    with pytest.raises(ValueError, match=r"^a word has more than 5 bits$"):
        unpack_image("1f\n20\n", 5)


def test_messages() -> None:
    with pytest.raises(ValueError, match="values from 0 to 8 do not fit in lanes of 3 bits"):
        pack_fields([(np.array([5, 0]), 6), (np.array([0, 8]), 3)])
    with pytest.raises(ValueError, match="values from -9 to 3 do not fit in lanes of 4 bits"):
        pack_image([-9, 3], 4)
    with pytest.raises(ValueError, match=r"words must have shape \(depth, lanes\), not \(2, 0\)"):
        pack_image(np.zeros((2, 0)), 4)
    with pytest.raises(ValueError, match="lane_bits must be 1 to 63, not 64"):
        pack_image([1], 64)
