# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""What elaborated hardware comes to on a target, by its netlist of words.

:mod:`.price` is known before anything is elaborated, and chooses; this is what is told of what was
chosen. Every adder, multiplexer, register and memory of the netlist is put where Yosys's scripts
put it (:mod:`midwire.hw.netlist`), fixed words by their contents, and across the borders of
instances, as these scripts flatten a slice. ``docs/estimates.md`` compares whole designs with
synthesis.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from ...hw.elaborate import PLACEHOLDER
from ...hw.netlist.join import Stream, joined
from ...hw.netlist.structure import structure_of
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


def inventory(
    instances: Sequence[Instance], target: Target, streams: Sequence[tuple[Stream, Stream]] = ()
) -> dict[str, int]:
    """``lut``, ``lutram``, ``ff``, ``dsp`` and ``bram`` (18 kbit) of all together.

    ``streams`` are those that connect instances, each with its source and its sink.
    """
    modules = {
        each.name: json.loads(each.netlist.replace(PLACEHOLDER, each.name)) for each in instances
    }
    images = {name: text for each in instances for name, text in each.images.items()}
    found = structure_of(joined(modules, streams), target.fabric, images)
    return {
        "lut": found.tables,
        "lutram": found.memory_tables,
        "ff": found.registers,
        "dsp": found.products,
        "bram": found.blocks,
    }
