# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""How many request slots there are, how large they are, and what is said of them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import accumulate
from typing import Any, NamedTuple

from amaranth.hdl import Array, Cat, Const, Value
from amaranth.lib import data

from ..formats.fragments import FRAGMENT_STEP
from ..formats.slots import slots_of
from .bus import BEAT_BYTES, FRAME, HOP, LENGTH_BITS, OUTCOME

HERE_BITS = 64
"""Fragments that are asked for at once (W8), and bits of what is here in a word."""


class SlotPart(NamedTuple):
    """What a slot has for one tensor of a request.

    Attributes
    ----------
    bytes : of the tensor
    first_word, words : of the slot's words those of the tensor
    pieces : most fragments that it has: all but the last have at least 64 bytes (W2)
    first_group, groups : of the slot's words that say which fragments are here
    """

    bytes: int
    first_word: int
    words: int
    pieces: int
    first_group: int
    groups: int


@dataclass(frozen=True)
class Room:
    """What the slots of a slice's requests need, by the bytes of its input tensors.

    A slot has room for all tensors of a request, one behind the other. The memory of slots is
    shared out among ``cores``, of which this is one's.
    """

    tensors: tuple[int, ...]
    cores: int = 1

    @property
    def slots(self) -> int:
        return slots_of(sum(self.tensors), self.cores)

    @property
    def several(self) -> bool:
        """Requests have several tensors, which are joined (D7)."""
        return len(self.tensors) > 1

    @property
    def parts(self) -> tuple[SlotPart, ...]:
        """What a slot has, for each tensor."""
        words = [-(-size // BEAT_BYTES) for size in self.tensors]
        pieces = [-(-size // FRAGMENT_STEP) for size in self.tensors]
        groups = [-(-count // HERE_BITS) for count in pieces]
        first_words = accumulate(words, initial=0)
        first_groups = accumulate(groups, initial=0)
        columns = (self.tensors, first_words, words, pieces, first_groups, groups)
        return tuple(SlotPart(*row) for row in zip(*columns, strict=False))

    def of(self, tensor: Value, what: Callable[[SlotPart], int]) -> Value:
        """A number of a tensor's part, the tensor known only in hardware."""
        numbers = [what(part) for part in self.parts]
        if len(set(numbers)) == 1:
            return Const(numbers[0])
        bits = max(numbers).bit_length()
        return Array(Const(number, bits) for number in numbers)[tensor]

    @property
    def words(self) -> int:
        """Words of all tensors of a request."""
        return sum(part.words for part in self.parts)

    @property
    def stride(self) -> int:
        """Words from one slot to the next; even."""
        step = FRAGMENT_STEP // BEAT_BYTES
        return -(-self.words // step) * step

    @property
    def depth(self) -> int:
        """Words of all slots."""
        return self.slots * self.stride

    @property
    def groups(self) -> int:
        """Words of a slot that say which fragments are here."""
        return sum(part.groups for part in self.parts)

    @property
    def here_bits(self) -> int:
        """Bits of such a word."""
        return min(HERE_BITS, max(part.pieces for part in self.parts))

    def first_word(self, slot: Value) -> Value:
        """The address of a slot's first word. A table: a multiplier is far away, and slow."""
        bits = self.depth.bit_length()
        return Array(Const(number * self.stride, bits) for number in range(self.slots))[slot]

    @property
    def slot(self) -> range:
        """Numbers of slots."""
        return range(self.slots)

    @property
    def tensor(self) -> range:
        """Numbers of tensors."""
        return range(len(self.tensors))

    @property
    def part(self) -> range:
        """Numbers of all parts of all slots."""
        return range(self.slots << self._tensor_bits)

    def part_of(self, slot: Value, tensor: Value) -> Value:
        """The number of a part. Some are of no tensor where these are no power of two."""
        return Cat(tensor[: self._tensor_bits], slot)

    @property
    def _tensor_bits(self) -> int:
        return (len(self.tensors) - 1).bit_length()

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
        """Numbers of fragments of a tensor."""
        return range(max(part.pieces for part in self.parts) + 1)

    @property
    def cut(self) -> data.StructLayout:
        """How a tensor is cut: how many fragments, bytes of one, and of all in front of the last
        one; 0 while not known."""
        return data.StructLayout({"count": self.count, "step": LENGTH_BITS, "tail": 32})


def decided(room: Room) -> data.StructLayout:
    """A frame and its fate: ``reason`` and next ``hop`` if it is sent on; if it is collected, the
    ``address`` of its first word, the ``slot``, and whether it makes the request ``whole``."""
    return data.StructLayout(
        {
            "frame": FRAME,
            "reason": 8,
            "hop": HOP,
            "address": room.address,
            "slot": room.slot,
            "whole": 1,
        }
    )


LATE = data.StructLayout({"reason": 8, "outcome": OUTCOME})
"""Of a frame and its fate, what is chosen last."""


def chore(room: Room) -> data.StructLayout:
    """To give up the request of a slot, or else to ask for what it lacks, and how it is cut.

    Of a request of several tensors, which of them have ``begun``, and the ``tensor`` that is asked
    for, or the first to be sent on; its cut is read.
    """
    fields: dict[str, Any] = {"evict": 1, "slot": room.slot}
    if room.several:
        fields |= {"tensor": room.tensor, "begun": len(room.tensors)}
    else:
        fields |= {"cut": room.cut}
    return data.StructLayout(fields)


def released(room: Room) -> data.StructLayout:
    """A slot that is empty, and whether its request was executed; or one whose whole request was
    ``turned`` away as it was, to be given up."""
    return data.StructLayout({"slot": room.slot, "executed": 1, "turned": 1})
