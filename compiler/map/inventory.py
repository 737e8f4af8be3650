# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""What elaborated hardware comes to on a target, by its netlist of words.

:mod:`.price` is known before anything is elaborated, and chooses; this is what is told of what was
chosen. Every adder, multiplexer, register and memory of the netlist is put where Yosys's scripts
put it (:mod:`midwire.hw.netlist`), fixed words by their contents. ``docs/estimates.md`` compares
whole designs with synthesis.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from ...hw.elaborate import PLACEHOLDER
from ...hw.netlist.structure import structure_of
from ...hw.netlist.words import Words
from .targets import Target


@dataclass(frozen=True)
class Instance:
    """Elaborated hardware in a slice.

    Attributes
    ----------
    name : of the instance, with which its memory images begin
    netlist : JSON text (:func:`midwire.hw.elaborate.netlists_of`)
    images : texts of memory images by file name
    """

    name: str
    netlist: str
    images: Mapping[str, str]


def inventory(instances: Sequence[Instance], target: Target) -> dict[str, int]:
    """``lut``, ``lutram``, ``ff``, ``dsp`` and ``bram`` (18 kbit) of all together."""
    total = Counter(dict.fromkeys(("lut", "lutram", "ff", "dsp", "bram"), 0))
    same: dict[tuple[str, tuple[str, ...]], Mapping[str, int]] = {}
    for each in instances:
        key = each.netlist, tuple(each.images.values())
        if key not in same:
            same[key] = _instance(each, target)
        total.update(same[key])
    return dict(total)


def _instance(each: Instance, target: Target) -> dict[str, int]:
    words = Words.of(json.loads(each.netlist.replace(PLACEHOLDER, each.name)))
    found = structure_of(words, target.fabric, each.images)
    return {
        "lut": found.tables,
        "lutram": found.memory_tables,
        "ff": found.registers,
        "dsp": found.products,
        "bram": found.blocks,
    }
