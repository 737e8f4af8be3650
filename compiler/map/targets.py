# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""Target families and shells as data: the clock that cycles are quoted at, and coefficients of the
cost estimate.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from ...hw.netlist.fabrics import FABRICS, Fabric
from ...hw.shells.registry import SHELLS, Shell
from ..errors import OptionError

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
    """A family of parts, and the shell on one of them that the bundle is for, if any.

    Attributes
    ----------
    name : of the family, in :data:`~midwire.hw.netlist.fabrics.FABRICS`
    clock_mhz : the clock at which rates are quoted; a goal, not a measured frequency
    device : a typical part
    shell : whose adapter the bundle brings
    """

    name: str
    clock_mhz: float
    device: Device
    shell: Shell | None = None

    @property
    def fabric(self) -> Fabric:
        """What its logic, multipliers and memories are made of."""
        return FABRICS[self.name]


TARGETS = {
    target.name: target
    for target in (
        Target(
            name="xcup",
            clock_mhz=250.0,
            device=Device("xcu50", lut=872_000, ff=1_743_000, dsp=5_952, bram=2_688),
        ),
        Target(
            name="xc7",
            clock_mhz=150.0,
            device=Device("xc7a100t", lut=63_400, ff=126_800, dsp=240, bram=270),
        ),
        Target(
            name="ecp5",
            clock_mhz=100.0,
            device=Device("LFE5U-85", lut=83_640, ff=83_640, dsp=156, bram=208),
        ),
    )
}


DEFAULT_TARGET = TARGETS["xcup"]
"""What prices are those of where nobody names a family."""


def target_named(name: str) -> Target:
    """The target of a name: a family, or a shell, which stands for the family that it is on.

    Raises
    ------
    OptionError
        If there is none.
    """
    if name in SHELLS:
        shell = SHELLS[name]
        return replace(TARGETS[shell.parts], clock_mhz=shell.clock_mhz, shell=shell)
    if name not in TARGETS:
        raise OptionError(
            "unknown target",
            where="--target",
            expected=f"one of {', '.join((*TARGETS, *SHELLS))}",
            found=repr(name),
            remedy="Choose a family, whose parts compile alike, or a shell to be built into",
        )
    return TARGETS[name]
