# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""What elaborated hardware comes to on a target, by its netlist of words.

:mod:`.price` is known before anything is elaborated, and chooses; this is what is told of what was
chosen. Every adder, multiplexer, register and memory of the netlist is put where Yosys's scripts
put it (:mod:`midwire.hw.netlist`), fixed words by their contents. Nothing is fitted to a count;
``docs/estimates.md`` compares ten designs with synthesis.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from ...hw.elaborate import PLACEHOLDER
from ...hw.netlist.structure import FABRICS, Memory, structure_of
from ...hw.netlist.words import Words
from .price import blocks_of, in_logic, tiles, units_of
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
    found = structure_of(
        words,
        FABRICS[target.fabric],
        each.images,
        lambda width, depth: in_logic((width, depth), target),
        target.rom_bits_per_lut,
    )
    own = Counter(
        lut=found.tables,
        ff=found.registers,
        dsp=sum(tiles(factors, target) for factors in found.products),
        bram=sum(blocks_of(shape, target) for shape in found.roms),
        lutram=0,
    )
    for memory in found.memories:
        own.update(_memory(memory, target))
    return dict(own)


def _memory(memory: Memory, target: Target) -> dict[str, int]:
    """A memory, and what it takes so that a word that is read while it is written is the right one.

    A block memory does not say the new one, and some none that is right at all: then registers keep
    what is written, and a comparison of addresses chooses.
    """
    shape = memory.width, memory.depth
    blocks, units = blocks_of(shape, target), units_of(shape, target)
    if not memory.clocked or units < blocks * target.block_units:
        return {
            "lutram": units * target.unit_luts,
            "ff": memory.width if memory.clocked else 0,
        }
    if not memory.through and target.old_words:
        return {"bram": blocks}
    address = (memory.depth - 1).bit_length()
    around = memory.width + 1
    # Where the old word is wanted, what is written waits for a cycle, with its address.
    waits = 0 if memory.through else memory.width + address + 1
    return {"bram": blocks, "ff": around + waits, "lut": around + -(-address // 2)}
