# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""Target families as data: the clock that cycles are quoted at, and coefficients of the cost
estimate.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from ..errors import OptionError

Shape = tuple[int, int]
"""Bits of a word, words."""


RESOURCES = {"lut": "LUTs", "ff": "flip-flops", "dsp": "multipliers", "bram": "18 kbit memories"}
"""What a budget may limit, and what messages call it. LUTs as memory are LUTs."""


def occupied(resources: Mapping[str, int]) -> dict[str, int]:
    """How much of each of :data:`RESOURCES` an estimate takes: logic and memories share LUTs."""
    return {
        name: resources[name] + (resources["lutram"] if name == "lut" else 0) for name in RESOURCES
    }


@dataclass(frozen=True)
class Device:
    """What a typical part of a family has; ratios of it are rates of exchange.

    ``bram`` counts blocks of 18 kbit.
    """

    name: str
    lut: int
    ff: int
    dsp: int
    bram: int


@dataclass(frozen=True)
class Target:
    """A family of parts.

    Attributes
    ----------
    clock_mhz : the clock at which rates are quoted; a goal, not a measured frequency
    device : a typical part
    dsp_bits : width of both operands that one hard multiplier takes (wider products use more)
    dsp_least : narrowest operand, and fewest bits of both together, that go to a hard multiplier
    dsp_signed : whether it takes signed factors only, so that the parts of a wider one lose a bit
    block_shapes : shapes that an 18 kbit block memory can take
    unit_shapes, unit_luts : shapes that the smallest distributed memory can take, and its LUTs
    block_units : one block is taken rather than so many units
    block_rom_bits : bits of fixed words that it puts into logic rather than into one block
    rom_bits_per_lut : bits that one LUT of such logic stands for
    fabric : what logic is made of, in :data:`midwire.hw.netlist.structure.FABRICS`
    old_words : whether a block memory gives the old word where one is read while it is written
    """

    name: str
    clock_mhz: float
    device: Device
    dsp_bits: tuple[int, int]
    dsp_least: tuple[int, int]
    dsp_signed: bool
    block_shapes: tuple[Shape, ...]
    unit_shapes: tuple[Shape, ...]
    unit_luts: int
    block_units: float
    block_rom_bits: int
    rom_bits_per_lut: float
    fabric: str
    old_words: bool


_BLOCKS = ((36, 512), (18, 1024), (9, 2048), (4, 4096), (2, 8192), (1, 16384))

TARGETS = {
    target.name: target
    for target in (
        # Costs in Yosys's descriptions: a block is 129, a unit 16, a bit of fixed words 1/64.
        Target(
            name="xcup",
            clock_mhz=250.0,
            device=Device("xcu50", lut=872_000, ff=1_743_000, dsp=5_952, bram=2_688),
            dsp_bits=(27, 18),
            dsp_least=(2, 9),
            dsp_signed=True,
            block_shapes=_BLOCKS,
            unit_shapes=((14, 32), (7, 64)),
            unit_luts=8,
            block_units=129 / 16,
            block_rom_bits=129 * 64,
            rom_bits_per_lut=13.0,
            fabric="lut6",
            old_words=True,
        ),
        # Here a unit is 8, and takes half as many LUTs.
        Target(
            name="xc7",
            clock_mhz=150.0,
            device=Device("xc7a100t", lut=63_400, ff=126_800, dsp=240, bram=270),
            dsp_bits=(25, 18),
            dsp_least=(2, 9),
            dsp_signed=True,
            block_shapes=_BLOCKS,
            unit_shapes=((6, 32), (3, 64)),
            unit_luts=4,
            block_units=129 / 8,
            block_rom_bits=129 * 64,
            rom_bits_per_lut=13.0,
            fabric="lut6_dsp48",
            old_words=True,
        ),
        Target(
            name="ecp5",
            clock_mhz=100.0,
            device=Device("LFE5U-85", lut=83_640, ff=83_640, dsp=156, bram=208),
            dsp_bits=(18, 18),
            dsp_least=(2, 0),
            dsp_signed=False,
            block_shapes=_BLOCKS,
            unit_shapes=((4, 16),),
            unit_luts=6,
            block_units=32,
            block_rom_bits=128 * 16,
            rom_bits_per_lut=6.0,
            fabric="lut4",
            old_words=False,
        ),
    )
}


DEFAULT_TARGET = TARGETS["xcup"]
"""What prices are those of where nobody names a family."""


def target_named(name: str) -> Target:
    """The target of a name.

    Raises
    ------
    OptionError
        If there is none.
    """
    if name not in TARGETS:
        raise OptionError(
            "unknown target",
            where="--target",
            expected=f"one of {', '.join(TARGETS)}",
            found=repr(name),
            remedy="Choose a family; parts of one family compile alike",
        )
    return TARGETS[name]
