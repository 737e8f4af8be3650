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

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from ...hw.elaborate import PLACEHOLDER
from ...hw.netlist.counter import Netlists, counted
from ...hw.netlist.join import Stream
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
    instances: Sequence[Instance],
    target: Target,
    streams: Sequence[tuple[Stream, Stream]] = (),
    stopped: Callable[[], bool] = lambda: False,
) -> dict[str, int]:
    """``lut``, ``lutram``, ``ff``, ``dsp`` and ``bram`` (18 kbit) of all together.

    Parameters
    ----------
    streams : those that connect instances, each with its source and its sink
    stopped : whether to give up (:class:`~midwire.hw.jobs.StoppedError`)
    """

    def own(each: Instance, text: str) -> str:
        return text.replace(PLACEHOLDER, each.name)

    parts = [(each.name, own(each, each.module), own(each, each.netlist)) for each in instances]
    images = {name: text for each in instances for name, text in each.images.items()}
    return counted(Netlists(parts, streams, images, target.name), stopped)
