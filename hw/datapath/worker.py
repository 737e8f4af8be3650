# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""Elaborates descriptions in a process of its own: ``python -m ... REQUEST RESULT``.

The request is a JSON list of canonical descriptions, the result one of Verilog texts.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from .. import cache
from ..elaborate import PLACEHOLDER
from ..kernels.program import described_by
from .convert import to_part, to_verilog_batch


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
    # One at a time: the first run of Yosys on a machine compiles it, and the others then find it.
    folder = cache.default_folder("elaborated")
    folder.mkdir(parents=True, exist_ok=True)
    with cache.locked(folder / "yosys.lock"):
        texts = to_verilog_batch(parts, PLACEHOLDER)
    Path(result).write_text(json.dumps(texts), "utf-8")


if __name__ == "__main__":
    main(*sys.argv[1:])
