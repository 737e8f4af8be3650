# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""Counts what netlists come to in a process of its own: ``python -m ... REQUEST RESULT``.

Counting is work of Python alone, which would stop the threads of its process that compute beside
it. The request is JSON of :class:`Netlists`, the result one of the counts.
"""

from __future__ import annotations

import gc
import json
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cache, partial
from pathlib import Path

from ..jobs import Job, run_jobs
from ..remembered import HERE, digest_of, remembered
from .fabrics import FABRICS
from .join import PartModule, Stream, joined
from .structure import images_of, structure_of
from .words import Words


@dataclass(frozen=True)
class Netlists:
    """What is counted: the netlists of a slice.

    Attributes
    ----------
    parts : for each module the name of its part, its own, and its netlist as JSON text
    streams : between parts, each with its source and its sink
    images : texts of memory images by file name
    fabric : name of that which they are counted on, in :data:`~.fabrics.FABRICS`
    """

    parts: Sequence[tuple[str, str, str]]
    streams: Sequence[tuple[Stream, Stream]]
    images: Mapping[str, str]
    fabric: str


def counted(netlists: Netlists, stopped: Callable[[], bool] = lambda: False) -> dict[str, int]:
    """``lut``, ``lutram``, ``ff``, ``dsp`` and ``bram`` (18 kbit) of all together.

    Few are counted here, many in a process of their own, and once a user.

    Parameters
    ----------
    stopped : whether to give up (:class:`~..jobs.StoppedError`)
    """
    if sum(len(text) for _, _, text in netlists.parts) < _FEW_CHARACTERS:
        return _count(_joined(netlists), netlists)
    with tempfile.TemporaryDirectory(prefix="midwire-", ignore_cleanup_errors=True) as scratch:
        request, result = (Path(scratch) / f"counts.{way}.json" for way in ("in", "out"))
        request.write_text(json.dumps(asdict(netlists)), "utf-8")
        command = [sys.executable, "-m", f"{__package__}.counter", str(request), str(result)]
        run_jobs([Job("counting the hardware", command)], stopped=stopped)
        found: dict[str, int] = json.loads(result.read_text("utf-8"))
    return found


_FEW_CHARACTERS = 1 << 15
"""Those of netlists that take some ten milliseconds."""


def count_once(netlists: Netlists) -> dict[str, int]:
    """The same here, unless it was counted before: then what was found.

    Of memory images only those count that go into logic.
    """
    words = _joined(netlists)
    fabric = FABRICS[netlists.fabric]
    contents = [netlists.images.get(file, "") for file in images_of(words, fabric)]
    own = [_sources(), repr(fabric), netlists.parts, netlists.streams, contents]
    answer = partial(_count, words, netlists)
    text = remembered(json.dumps(own).encode(), lambda: json.dumps(answer()).encode())
    found: dict[str, int] = json.loads(text)
    return found


@cache
def _sources() -> str:
    """Digest of the sources that count."""
    return digest_of(sorted((HERE / "netlist").rglob("*.py")))


def _joined(netlists: Netlists) -> Words:
    parts = [PartModule(name, module, json.loads(text)) for name, module, text in netlists.parts]
    # Tuples, which JSON does not know.
    streams = [((a, out), (b, into)) for (a, out), (b, into) in netlists.streams]
    return joined(parts, streams)


def _count(words: Words, netlists: Netlists) -> dict[str, int]:
    found = structure_of(words, FABRICS[netlists.fabric], netlists.images)
    return {
        "lut": found.tables,
        "lutram": found.memory_tables,
        "ff": found.registers,
        "dsp": found.products,
        "bram": found.blocks,
    }


def main(request: str, result: str) -> None:
    """Read the request, write the result."""
    # A netlist is many objects that all live until they are counted: among them is no garbage.
    gc.disable()
    netlists = Netlists(**json.loads(Path(request).read_text("utf-8")))
    Path(result).write_text(json.dumps(count_once(netlists)), "utf-8")


if __name__ == "__main__":
    main(*sys.argv[1:])
