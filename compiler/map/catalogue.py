# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""Parts that people have, by the names that ``--part`` takes, and what there is in each.

Counts are those of the makers' product tables: Lattice FPGA-DS-02012 (ECP5), AMD DS180 (Artix-7),
DS890 (UltraScale+), DS962, DS963 and DS965 (Alveo U250, U280 and U50; whole cards, before a shell
takes its share). ``bram`` counts blocks of 18 kbit: AMD's tables have blocks of 36 kbit, twice as
large. UltraRAM is not counted, because no memory goes there.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from ..errors import OptionError
from .targets import DEFAULT_TARGET, TARGETS, Device, Target, target_named

_PARTS: Mapping[str, tuple[Device, ...]] = {
    "ecp5": (
        Device("ecp5-25f", lut=24_288, ff=24_288, dsp=28, bram=56),
        Device("ecp5-45f", lut=43_848, ff=43_848, dsp=72, bram=108),
        Device("ecp5-85f", lut=83_640, ff=83_640, dsp=156, bram=208),
    ),
    "xc7": (
        Device("xc7a35t", lut=20_800, ff=41_600, dsp=90, bram=100),
        Device("xc7a100t", lut=63_400, ff=126_800, dsp=240, bram=270),
        Device("xc7a200t", lut=134_600, ff=269_200, dsp=740, bram=730),
    ),
    "xcup": (
        Device("xcku3p", lut=162_720, ff=325_440, dsp=1_368, bram=720),
        Device("xcku5p", lut=216_960, ff=433_920, dsp=1_824, bram=960),
        Device("xcku15p", lut=522_720, ff=1_045_440, dsp=1_968, bram=1_968),
        Device("xcu50", lut=872_000, ff=1_743_000, dsp=5_952, bram=2_688),
        Device("xcu280", lut=1_304_000, ff=2_607_000, dsp=9_024, bram=4_032),
        Device("xcu250", lut=1_728_000, ff=3_456_000, dsp=12_288, bram=5_376),
    ),
}

PARTS: Mapping[str, Target] = {
    device.name: replace(TARGETS[family], device=device)
    for family, devices in _PARTS.items()
    for device in devices
}
"""The target of each part: its family, with what the part has in place of a typical one's."""


def part_named(name: str) -> Target:
    """The target of a part, upper or lower case.

    Raises
    ------
    OptionError
        If the table has no such part.
    """
    found = PARTS.get(name.lower())
    if found is None:
        raise OptionError(
            "unknown part",
            where="--part",
            expected=f"one of {', '.join(PARTS)}",
            found=repr(name),
            remedy="For another part, give its family with --target and what it has with --budget",
        )
    return found


def aimed_at(target: str | None, part: str | None) -> Target:
    """The target that ``--target`` and ``--part`` name together; by default the first one.

    Raises
    ------
    OptionError
        If there is no such target or part, or the part is of another family.
    """
    if part is None:
        return DEFAULT_TARGET if target is None else target_named(target)
    found = part_named(part)
    if target is None:
        return found
    named = target_named(target)
    if named.name != found.name:
        raise OptionError(
            "the part is of another family",
            where="--part",
            expected=f"a part of {named.name}, as --target says",
            found=f"{part!r}, which is of {found.name}",
            remedy="Leave --target out, or choose another part",
        )
    return replace(found, clock_mhz=named.clock_mhz, shell=named.shell)
