# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""Parameters of channels in hardware: constants where every beat has the same, else a memory."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from ..formats.images import pack_fields
from ..numeric import IntArray, IntType


@dataclass(frozen=True)
class Parameter:
    """One parameter of all channels in hardware.

    Attributes
    ----------
    values : the value of each lane where it is the same in all beats, None where it comes from the
        memory
    lo, hi : smallest and largest value over all channels
    """

    name: str
    values: tuple[int, ...] | None
    lo: int
    hi: int

    @classmethod
    def of(cls, name: str, column: IntArray, lanes: int) -> Parameter:
        """The parameter with these values, one a channel, ``lanes`` at a time."""
        words = column.reshape(-1, lanes)
        constant = bool((words == words[:1]).all())
        values = tuple(int(v) for v in words[0]) if constant else None
        return cls(name, values, int(column.min()), int(column.max()))

    @property
    def type(self) -> IntType:
        """The narrowest type of its values."""
        return IntType.holding(self.lo, self.hi)


def parameter_image(
    fields: Sequence[Parameter], columns: Mapping[str, IntArray], lanes: int, file: str
) -> dict[str, str]:
    """The memory image of the fields that are not constants, under the name ``file``; none if all
    are.

    One word a beat, with all fields of a lane beside each other; ``columns`` has their values by
    name, one a channel.
    """
    stored = [field for field in fields if field.values is None]
    if not stored:
        return {}
    return {
        file: pack_fields(
            [
                (columns[field.name].reshape(-1, lanes)[:, lane], field.type.bits)
                for lane in range(lanes)
                for field in stored
            ]
        )
    }
