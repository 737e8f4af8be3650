# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""What the NIC shell depends on, as data. No Amaranth here."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class NicShape:
    """A shell for a slice: bytes of a beat and of a tensor, of its input and of its output.

    A slice of several ``inputs`` or ``outputs`` gets a shell that executes nothing. ``sides`` are
    the bits of tdata of the slice's side ports, which the shell leaves idle. The network's stream
    has beats of ``network_beat_bytes``.
    """

    in_beat_bytes: int
    in_tensor_bytes: int
    out_beat_bytes: int
    out_tensor_bytes: int
    inputs: int = 1
    outputs: int = 1
    sides: tuple[int, ...] = ()
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
            self.in_beat_bytes,
            self.in_tensor_bytes,
            self.out_beat_bytes,
            self.out_tensor_bytes,
            inputs=self.inputs,
            outputs=self.outputs,
            sides=self.sides,
            network_beat_bytes=self.network_beat_bytes,
        )
