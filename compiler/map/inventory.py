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
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path

from ...hw.elaborate import PLACEHOLDER
from ...hw.netlist.fabrics import Fabric
from ...hw.netlist.structure import images_of, structure_of
from ...hw.netlist.words import Words
from ...hw.remembered import HERE, digest_of, remembered
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
    read: dict[str, Words] = {}
    same: dict[tuple[str, ...], Mapping[str, int]] = {}
    for each in instances:
        if each.netlist not in read:
            read[each.netlist] = Words.of(json.loads(each.netlist))
        words = read[each.netlist]
        images = {
            PLACEHOLDER + file.removeprefix(each.name): text for file, text in each.images.items()
        }
        key = each.netlist, *(images.get(file, "") for file in images_of(words, target.fabric))
        if key not in same:
            count = partial(_counted, words, target.fabric, images)
            same[key] = _known(key, target.fabric, count)
        total.update(same[key])
    return dict(total)


def _known(key: Sequence[str], fabric: Fabric, count: Callable[[], bytes]) -> Mapping[str, int]:
    """What ``count`` gives as JSON, from the user's cache where looking takes less time."""
    worth = len(key[0]) >= _REMEMBERED_CHARACTERS
    question = json.dumps([_sources(), repr(fabric), *key]).encode()
    found: dict[str, int] = json.loads(remembered(question, count) if worth else count())
    return found


_REMEMBERED_CHARACTERS = 1 << 15
"""Those of a netlist that takes more than some ten milliseconds."""


@cache
def _sources() -> str:
    """Digest of the sources that count."""
    return digest_of(sorted((HERE / "netlist").rglob("*.py"))) + Path(__file__).read_text("utf-8")


def _counted(words: Words, fabric: Fabric, images: Mapping[str, str]) -> bytes:
    found = structure_of(words, fabric, images)
    counts = {
        "lut": found.tables,
        "lutram": found.memory_tables,
        "ff": found.registers,
        "dsp": found.products,
        "bram": found.blocks,
    }
    return json.dumps(counts).encode()
