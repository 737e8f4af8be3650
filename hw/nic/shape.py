# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""What the NIC shell depends on, as data. No Amaranth here."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple


class WireTensor(NamedTuple):
    """A tensor of the slice: bytes of a beat of its port, and of all of it."""

    beat_bytes: int
    tensor_bytes: int


class SideWords(NamedTuple):
    """A side port of the slice: bytes of a beat, which is a word of its memory, and words."""

    beat_bytes: int
    words: int


@dataclass(frozen=True)
class SliceShape:
    """One slice: the tensors that it takes and gives, in the manifest's order.

    ``sides`` are its side ports.
    """

    inputs: tuple[WireTensor, ...]
    outputs: tuple[WireTensor, ...]
    sides: tuple[SideWords, ...] = ()


@dataclass(frozen=True)
class NicShape:
    """A shell for slices, side by side: one is the ordinary case.

    The network's stream has beats of ``network_beat_bytes``.
    """

    slices: tuple[SliceShape, ...]
    network_beat_bytes: int = 8

    @property
    def effort(self) -> float:
        """As long as some sixteen layers, whose netlists are made too, and the half for each core
        more."""
        return 17.0 + 17.0 * len(self.slices)

    @property
    def in_slice(self) -> bool:
        """It is around one."""
        return False

    def component(self, name: str) -> Any:
        """See :class:`~.top.NicShell`; it has no memory images."""
        del name
        from .top import NicShell

        return NicShell(self.slices, network_beat_bytes=self.network_beat_bytes)


def slice_modules(count: int) -> list[str]:
    """Names of the black boxes of so many slices in a shell's Verilog."""
    return ["mw_slice"] if count == 1 else [f"mw_slice_{core}" for core in range(count)]
