# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""What windows read outside of an image, as a module of its own.

A pad is a zero point, and moves with all scales before it; nothing else of a layer's hardware does
but its finisher (:mod:`..finish.separate`). So it is a module that gives a constant, and layers
that differ in pads alone are elaborated once.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any

from .folded_convolution import FoldedConvolution


@dataclass(frozen=True)
class PadModule:
    """A constant to elaborate by itself.

    Attributes
    ----------
    bits, value : of the constant, in two's complement
    """

    bits: int
    value: int

    @property
    def effort(self) -> float:
        """About how long that takes, in the unit of implementations."""
        return 0.1

    @property
    def in_slice(self) -> bool:
        """It is a part of one."""
        return True

    def component(self, name: str) -> Any:
        """See :class:`~midwire.hw.datapath.pad.PadValue`."""
        from ..datapath.pad import PadValue

        del name
        return PadValue(self.bits, self.value)


def pad_name(name: str) -> str:
    """The module of a component's pad."""
    return f"{name}_pad"


def without_pad(description: Any) -> tuple[Any, PadModule | None]:
    """A description with the pad in a module of its own, and that; None if it reads none."""
    if not isinstance(description, FoldedConvolution) or description.pad_value is None:
        return description, None
    own = dataclasses.replace(description, pad_value=None)
    if not description.geometry.padded:
        return own, None
    return own, PadModule(description.x.bits, description.pad_value)
