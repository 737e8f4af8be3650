# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""How many request slots there are, how large they are, and what is said of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from amaranth.lib import data

from ..formats.fragments import FRAGMENT_STEP
from ..formats.slots import slots_of
from .bus import BEAT_BYTES, FRAME, HOP, LENGTH_BITS

HERE_BITS = 64
"""Fragments that are asked for at once (W8), and bits of what is here in a word."""


@dataclass(frozen=True)
class Room:
    """What the slots of a slice's requests need, by the bytes of its input tensor."""

    tensor_bytes: int

    @property
    def slots(self) -> int:
        return slots_of(self.tensor_bytes)

    @property
    def pieces(self) -> int:
        """Most fragments that a tensor has: all but the last have at least 64 bytes (W2)."""
        return -(-self.tensor_bytes // FRAGMENT_STEP)

    @property
    def words(self) -> int:
        """Words of a tensor."""
        return -(-self.tensor_bytes // BEAT_BYTES)

    @property
    def stride(self) -> int:
        """Words from one slot to the next; even."""
        return self.pieces * (FRAGMENT_STEP // BEAT_BYTES)

    @property
    def depth(self) -> int:
        """Words of all slots."""
        return self.slots * self.stride

    @property
    def groups(self) -> int:
        """Words of a slot that say which fragments are here."""
        return -(-self.pieces // HERE_BITS)

    @property
    def here_bits(self) -> int:
        """Bits of such a word."""
        return min(HERE_BITS, self.pieces)

    @property
    def slot(self) -> range:
        """Numbers of slots."""
        return range(self.slots)

    @property
    def address(self) -> range:
        """Addresses of words."""
        return range(self.depth)

    @property
    def here(self) -> range:
        """Addresses of words that say which fragments are here."""
        return range(self.slots * self.groups)

    @property
    def count(self) -> range:
        """Numbers of fragments."""
        return range(self.pieces + 1)

    @property
    def cut(self) -> data.StructLayout:
        """How a tensor is cut: how many fragments, bytes of one, and of all in front of the last
        one; 0 while not known."""
        return data.StructLayout({"count": self.count, "step": LENGTH_BITS, "tail": 32})


def decided(room: Room | None) -> data.StructLayout:
    """A frame and its fate: ``reason`` and next ``hop`` if it is sent on; if it is collected, the
    ``address`` of its first word, the ``slot``, and whether it makes the request ``whole``."""
    fields: dict[str, Any] = {"frame": FRAME, "reason": 8, "hop": HOP}
    if room:
        fields |= {"address": room.address, "slot": room.slot, "whole": 1}
    return data.StructLayout(fields)


def chore(room: Room) -> data.StructLayout:
    """To give up the request of a slot, or else to ask for what it lacks, and how it is cut."""
    return data.StructLayout({"evict": 1, "slot": room.slot, "cut": room.cut})


def released(room: Room) -> data.StructLayout:
    """A slot that is empty, and whether its request was executed."""
    return data.StructLayout({"slot": room.slot, "executed": 1})
