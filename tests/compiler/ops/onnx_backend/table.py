# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""How many of ONNX's own tests of each operator pass, as the page ``docs/onnx-operators.md``."""

from __future__ import annotations

import tempfile
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import onnx

from midwire.compiler.ops import REGISTRY

from ....small import without_rtl, without_shell
from .judge import check, take
from .tasks import NodeTest, node_tests

PAGE = Path(__file__).parents[4] / "docs" / "onnx-operators.md"
SEED = 20271
OTHERS_TITLE = "## Operators that midwire does not take"
BRIEF = 6
"""Reasons that a row has room for; the rest are counted."""

INTRODUCTION = f"""# ONNX's own tests

Written by `python -m bench.operators`, and held by `tests/compiler/ops/onnx_backend`, for onnx
{onnx.__version__}.

The `onnx` package brings tests of every operator: a model of one node, inputs, and expected
outputs. midwire compiles each of them whole, without RTL. What a test feeds as weights, scales,
shapes or axes is made constant, as few inputs as midwire's import rules need. The rest is quantised
from the test's data and a few random samples like it, to 8 bits, or to 16 where 8 keep less than
15 dB. A test passes if the numpy reference and `slice.onnx` agree on every bit, and every
element is as near to what the test expects as quantisation leaves it: the rounding of inputs and
weights, taken through the node by interval arithmetic, and half a step of the output. The
long sweep runs all of them in RTL too, with random stalls. None that is in scope fails.

*Spelled out* are tests whose model is the body of the operator's function: midwire finds the
operator in it, or takes it node by node. Where a test has outputs that midwire does not compute
(statistics, masks), the first one counts.

"""


@dataclass
class Count:
    """Tests of an operator: how many there are, how many pass, why the others are out of scope."""

    tests: int = 0
    passed: int = 0
    spelled: int = 0
    spelled_passed: int = 0
    reasons: Counter[str] = field(default_factory=Counter)

    def add(self, spelled_out: bool, reason: str) -> None:
        """One more test; it passed if there is no reason why not."""
        if spelled_out:
            self.spelled += 1
            self.spelled_passed += not reason
        else:
            self.tests += 1
            self.passed += not reason
        if reason:
            self.reasons[reason] += 1

    @property
    def taken(self) -> bool:
        """Whether midwire takes a test of it."""
        return bool(self.passed or self.spelled_passed)

    def row(self, operator: str) -> str:
        """As a line of the table."""
        spelled = f"{self.spelled_passed} of {self.spelled}" if self.spelled else "-"
        ranked = sorted(self.reasons.items(), key=lambda item: (-item[1], item[0]))
        shown = [f"{count} {reason}" for reason, count in ranked[:BRIEF]]
        if rest := sum(count for _, count in ranked[BRIEF:]):
            shown.append(f"{rest} for other reasons")
        own = f"{self.passed} of {self.tests}" if self.tests else "-"
        cells = [operator, own, spelled, "; ".join(shown).replace("|", "\\|") or "-"]
        return f"| {' | '.join(cells)} |"


def by_operator() -> Mapping[str, Sequence[NodeTest]]:
    """All tests, operators in alphabetical order."""
    found: dict[str, list[NodeTest]] = {}
    for test in node_tests():
        found.setdefault(test.operator, []).append(test)
    return dict(sorted(found.items(), key=lambda item: item[0].lower()))


def count(tests: Iterable[NodeTest]) -> Count:
    """Run tests without RTL.

    Raises
    ------
    AssertionError, MidwireError
        If a test that is in scope fails.
    """
    found = Count()
    with without_shell(), without_rtl(), tempfile.TemporaryDirectory() as folder:
        for index, test in enumerate(tests):
            room = Path(folder) / str(index)
            room.mkdir()
            taken = take(test, room, SEED)
            if isinstance(taken, str):
                found.add(test.spelled_out, taken)
                continue
            check(taken, SEED)
            found.add(test.spelled_out, "")
    return found


def page(counts: Mapping[str, Count]) -> str:
    """The whole page. Operators that midwire has no test of, and no import rule, come last."""
    known = {o: c for o, c in counts.items() if o in REGISTRY or c.taken}
    others = {o: c for o, c in counts.items() if o not in known}
    head = (
        "| operator | passed | spelled out | why the others are out of scope |\n|---|---|---|---|\n"
    )
    parts = [INTRODUCTION, summary(counts.values()), "\n\n", head]
    parts += [f"{c.row(o)}\n" for o, c in known.items()]
    parts += [f"\n{OTHERS_TITLE}\n\n", head]
    parts += [f"{c.row(o)}\n" for o, c in others.items()]
    return "".join(parts)


def summary(counts: Iterable[Count]) -> str:
    """The sums of all rows in a sentence."""
    found = list(counts)
    own, passed = sum(c.tests for c in found), sum(c.passed for c in found)
    spelled, whole = sum(c.spelled for c in found), sum(c.spelled_passed for c in found)
    return (
        f"Of {own + spelled} tests, {passed + whole} are in scope and pass: {passed} of the {own} "
        f"of single operators, and {whole} of the {spelled} that are spelled out."
    )


def rows(text: str) -> dict[str, str]:
    """The lines of a page's tables by operator."""
    lines = [line for line in text.splitlines() if line.startswith("| ")]
    found = {line.split(" | ")[0].removeprefix("| "): line for line in lines}
    found.pop("operator", None)
    return found


def counted(row: str) -> Count:
    """What a line says, but for reasons."""
    own, spelled = (
        [int(n) for n in cell.split(" of ")] if cell != "-" else [0, 0]
        for cell in row.split(" | ")[1:3]
    )
    return Count(tests=own[1], passed=own[0], spelled=spelled[1], spelled_passed=spelled[0])
