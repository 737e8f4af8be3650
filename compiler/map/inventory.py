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
from functools import cache, partial
from pathlib import Path

from ...hw.elaborate import PLACEHOLDER
from ...hw.netlist.fabrics import Fabric
from ...hw.netlist.join import PartModule, Stream, joined
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
    module : which of its modules the netlist is; without a name, the outer one
    """

    name: str
    netlist: str
    images: Mapping[str, str]
    module: str = PLACEHOLDER


def inventory(
    instances: Sequence[Instance], target: Target, streams: Sequence[tuple[Stream, Stream]] = ()
) -> dict[str, int]:
    """``lut``, ``lutram``, ``ff``, ``dsp`` and ``bram`` (18 kbit) of all together.

    ``streams`` are those that connect instances, each with its source and its sink.
    """
    texts = [each.netlist.replace(PLACEHOLDER, each.name) for each in instances]
    parts = [
        PartModule(each.name, each.module.replace(PLACEHOLDER, each.name), json.loads(text))
        for each, text in zip(instances, texts, strict=True)
    ]
    words = joined(parts, streams)
    images = {name: text for each in instances for name, text in each.images.items()}
    contents = [images.get(file, "") for file in images_of(words, target.fabric)]
    question = json.dumps([_sources(), repr(target.fabric), texts, streams, contents]).encode()
    count = partial(_counted, words, target.fabric, images)
    worth = sum(map(len, texts)) >= _REMEMBERED_CHARACTERS
    found: dict[str, int] = json.loads(remembered(question, count) if worth else count())
    return found


_REMEMBERED_CHARACTERS = 1 << 15
"""Those of netlists that take more than some ten milliseconds: these are counted once a user."""


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
