# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""What the port of a shell depends on, as data. No Amaranth here."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class PortShape:
    """A port's streams (:class:`~.port.PortShell`): bytes of a beat, bits of tuser from the host,
    and whether sizes go beside frames."""

    beat_bytes: int
    user_bits: int
    sized: bool

    @property
    def effort(self) -> float:
        """As long as a layer or two."""
        return 2.0

    @property
    def in_slice(self) -> bool:
        """It is around one."""
        return False

    def component(self, name: str) -> Any:
        """See :class:`~.port.PortShell`; it has no memory images."""
        del name
        from .port import PortShell

        return PortShell(self.beat_bytes, self.user_bits, sized=self.sized)
