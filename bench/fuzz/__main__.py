# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""Damaged and wrong models through ``midwire inspect`` and ``midwire compile``.

``python -m bench.fuzz --inspect 1000000 --compile 10000 --seed 1``

Every case is made from the seed and its number. Failing ones are saved with the command that runs
one again. Run it once more to go on after Ctrl-C. A compile does all but elaborate the Verilog.
The exit status is 0 if there is no defect, 1 if there is one. ``--json`` tells at the end what all
campaigns in the folder found together, whatever their seeds.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from tests.small import without_rtl

from .bases import bases
from .campaign import Campaign, Plan, totals
from .judge import KINDS, case, judge


def main(arguments: Sequence[str]) -> int:
    """Run a campaign of each kind that is asked for, or one case."""
    options = _parsed(arguments)
    models = options.models or (Path(m) if (m := os.environ.get("MIDWIRE_MODELS")) else None)
    for kind in KINDS:
        number = getattr(options, f"{kind}_case")
        if number is not None:
            return _one(kind, options.seed, number, models)
    defects = 0
    for kind in KINDS:
        if count := getattr(options, kind):
            plan = Plan(kind, count, options.seed, options.jobs, options.keep, models)
            try:
                tally = Campaign(plan).run()
            except KeyboardInterrupt:
                print("interrupted; run it again to go on", file=sys.stderr)
                return 130
            defects += len(tally.defects)
            if options.json:
                continue
            print(f"{kind}: {tally.cases} cases", dict(tally.ends.most_common()))
            for defect, times in tally.defects.most_common():
                print(f"  {times:6} {defect}")
    if options.json:
        print(json.dumps(totals(options.keep), indent=1))
    return 1 if defects else 0


def _parsed(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser("python -m bench.fuzz", description=__doc__)
    for kind in KINDS:
        parser.add_argument(f"--{kind}", type=int, default=0, metavar="COUNT")
        parser.add_argument(f"--{kind}-case", type=int, metavar="NUMBER", help="just this one")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="processes")
    parser.add_argument("--keep", type=Path, default=Path(tempfile.gettempdir()) / "midwire-fuzz")
    parser.add_argument("--json", action="store_true", help="totals of the folder, as JSON")
    parser.add_argument("--models", type=Path, help="folder of models; MIDWIRE_MODELS by default")
    return parser.parse_args(arguments)


def _one(kind: str, seed: int, number: int, models: Path | None) -> int:
    """One case, in the open: what it says, and where it fails."""
    base, raw = case(kind, seed, number, bases(models))
    with tempfile.TemporaryDirectory() as folder, without_rtl():
        verdict = judge(kind, raw, number, Path(folder))
    print(f"{base}: {verdict.end} {verdict.defect}\n{verdict.trace}")
    return 1 if verdict.defect else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
