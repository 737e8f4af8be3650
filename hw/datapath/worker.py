# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""Elaborates descriptions in a process of its own: ``python -m ... REQUEST RESULT``.

The request is a JSON list of canonical descriptions, the result one of pairs: the Verilog, and the
netlist of words, null of what is not in a slice.
"""

from __future__ import annotations

import gc
import json
import sys
from pathlib import Path

from .. import cache
from ..elaborate import PLACEHOLDER, yosys_entry
from ..kernels.program import described_by
from .convert import to_batch, to_part

_MANY_OBJECTS = 1 << 20
"""Objects that are looked through for garbage: those of some hundred megabytes."""


def main(request: str, result: str) -> None:
    """Read the request, write the result."""
    texts = json.loads(Path(request).read_text("utf-8"))
    described = [described_by(text) for text in texts]
    parts = []
    # A component is many objects that all live until it is text: looking for garbage among them
    # takes a quarter of the time, and finds none. Afterwards, only they need be looked at.
    gc.disable()
    gc.freeze()
    for index, each in enumerate(described):
        try:
            parts.append(to_part(each.component(PLACEHOLDER), index))
        except Exception as error:
            error.add_note(f"while elaborating {texts[index]}")
            raise
        if gc.get_count()[0] > _MANY_OBJECTS:
            gc.collect()
    _compile_yosys()
    made = to_batch(parts, PLACEHOLDER, [each.in_slice for each in described])
    Path(result).write_text(json.dumps(made), "utf-8")


def _compile_yosys() -> None:
    """Have Yosys compiled, which its first run on a machine does and the others find: one worker
    runs it on nothing, and those that come meanwhile wait.
    """

    def fill(_: Path) -> None:
        to_batch([], PLACEHOLDER, [])

    there = yosys_entry()
    cache.entry(there.parent, there.name, fill)


if __name__ == "__main__":
    main(*sys.argv[1:])
