# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""Target families as data: the clock that cycles are quoted at, and coefficients of the cost
estimate.
"""

from __future__ import annotations

from dataclasses import dataclass

from ..errors import ModelError


@dataclass(frozen=True)
class Target:
    """A family of parts.

    Attributes
    ----------
    clock_mhz : the clock at which rates are quoted; a goal, not a measured frequency
    dsp_bits : width of both operands that one hard multiplier takes (wider products use more)
    block_shape : widest word of an 18 kbit block memory, and how many of them it holds
    logic_depth : memories of at most so many words are made of logic
    """

    name: str
    clock_mhz: float
    dsp_bits: tuple[int, int]
    block_shape: tuple[int, int]
    logic_depth: int


TARGETS = {
    target.name: target
    for target in (
        Target("xcup", 250.0, (27, 18), (36, 512), 128),
        Target("ecp5", 100.0, (18, 18), (36, 512), 64),
    )
}


def target_named(name: str) -> Target:
    """The target of a name.

    Raises
    ------
    ModelError
        If there is none.
    """
    if name not in TARGETS:
        raise ModelError(
            "unknown target",
            where="--target",
            expected=f"one of {', '.join(TARGETS)}",
            found=repr(name),
            remedy="Choose a family; parts of one family compile alike",
        )
    return TARGETS[name]
