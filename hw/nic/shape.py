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
class NicShape:
    """A shell for a slice: the tensors that it takes and gives, in the manifest's order.

    ``sides`` are the slice's side ports, and the network's stream has beats of
    ``network_beat_bytes``.
    """

    inputs: tuple[WireTensor, ...]
    outputs: tuple[WireTensor, ...]
    sides: tuple[SideWords, ...] = ()
    network_beat_bytes: int = 8

    @property
    def effort(self) -> float:
        """As long as some sixteen layers, whose netlists are made too."""
        return 34.0

    @property
    def in_slice(self) -> bool:
        """It is around one."""
        return False

    def component(self, name: str) -> Any:
        """See :class:`~.top.NicShell`; it has no memory images."""
        del name
        from .top import NicShell

        return NicShell(
            self.inputs,
            self.outputs,
            sides=self.sides,
            network_beat_bytes=self.network_beat_bytes,
        )
