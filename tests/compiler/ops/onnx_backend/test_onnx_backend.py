# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""ONNX's own tests of every operator, and the page that counts them."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

from midwire.compiler.ops import REGISTRY
from midwire.hw.formats.tensor import Layout, TensorSpec
from midwire.hw.numeric import QType

from ..joined import check as check_rtl
from .interval import Interval
from .judge import Built, bounds, compare, rounded_data, take
from .table import (
    INTRODUCTION,
    OTHERS_TITLE,
    PAGE,
    SEED,
    Count,
    by_operator,
    count,
    counted,
    page,
    rows,
    summary,
)
from .tasks import NodeTest, node_tests

TEXT = PAGE.read_text(encoding="utf-8")
ROWS = rows(TEXT)
OTHERS = rows(TEXT.partition(OTHERS_TITLE)[2])
KNOWN = [operator for operator in ROWS if operator not in OTHERS]
RENEW = "the page says otherwise: python -m bench.operators writes it anew"


MANY = 30
"""Tests of one operator that take too long for every run."""


@pytest.mark.parametrize(
    "operator",
    [pytest.param(o, marks=[pytest.mark.sweep] * (len(by_operator()[o]) > MANY)) for o in KNOWN],
)
def test_operator(operator: str) -> None:
    """Exact, within the derived bound, and as many as the page says."""
    print(f"seed {SEED}")
    assert count(by_operator()[operator]).row(operator) == ROWS[operator], RENEW


@pytest.mark.sweep
@pytest.mark.parametrize("operator", OTHERS)
def test_operator_that_is_not_taken(operator: str) -> None:
    """None of its tests is in scope, for the reasons that the page gives."""
    found = count(by_operator()[operator])
    assert found.row(operator) == OTHERS[operator], RENEW
    assert not found.taken


def test_the_page_is_whole() -> None:
    """Every test of the package is in one row, and the sums are those of the rows."""
    assert {o: len(t) for o, t in by_operator().items()} == {
        operator: counted(row).tests + counted(row).spelled for operator, row in ROWS.items()
    }, RENEW
    assert TEXT.startswith(INTRODUCTION + summary(map(counted, ROWS.values())) + "\n"), RENEW
    assert not set(OTHERS) & set(REGISTRY), RENEW


def test_a_row_says_what_was_counted() -> None:
    found = Count()
    for spelled_out, reason in ((False, ""), (False, "b"), (True, ""), (False, "a"), (False, "b")):
        found.add(spelled_out, reason)
    row = found.row("Add")
    assert row == "| Add | 1 of 4 | 1 of 1 | 2 b; 1 a |"
    again = counted(row)
    assert (again.tests, again.passed, again.spelled, again.spelled_passed) == (4, 1, 1, 1)
    assert again.taken
    found.reasons.update({f"r{k}": 1 for k in range(9)})
    assert found.row("Add").endswith("| 2 b; 1 a; 1 r0; 1 r1; 1 r2; 1 r3; 5 for other reasons |")
    text = page({"Add": found, "Nothing": Count(tests=2)})
    assert list(rows(text)) == ["Add", "Nothing"]
    assert "Of 7 tests, 2 are in scope and pass: 1 of the 6 of single operators" in text


def named(name: str) -> NodeTest:
    return next(test for test in node_tests() if test.name == name)


def taken(name: str, folder: Path) -> Built:
    found = take(named(name), folder, SEED)
    assert not isinstance(found, str), found
    return found


STEP = 2.0**-4
OUTPUT = TensorSpec("y", (2,), "float32", QType(8, True, STEP), Layout((2,), (0,)), 1)
WANTED = np.array([1.0, 20.0], np.float32)
BOUND = Interval(np.array([0.75, 19.0]), np.array([1.25, 21.0]))


def test_half_a_step_beside_the_interval_is_allowed_and_no_more() -> None:
    """Where the output saturates (here at 127 steps), so does what is expected."""
    test = named("test_relu")
    last = 1.25 + STEP / 2
    for got in ([0.75 - STEP / 2, 127 * STEP], [last, 126.5 * STEP]):
        compare(np.array(got), BOUND, WANTED, test, OUTPUT)
    said = (
        "test_relu: element [0] of y is 1.3125, expected 1.0, between 0.7187498807907104 and "
        "1.2812501192092896"
    )
    with pytest.raises(AssertionError, match=re.escape(said)):
        compare(np.array([1.25 + STEP, 127 * STEP]), BOUND, WANTED, test, OUTPUT)
    with pytest.raises(AssertionError, match=r"element \[1\] of y is 7.75, expected 20.0"):
        compare(np.array([1.0, 124 * STEP]), BOUND, WANTED, test, OUTPUT)


def test_an_interval_without_what_is_expected_fails() -> None:
    said = "test_relu: the interval misses what the test expects by 0.25"
    with pytest.raises(AssertionError, match=said):
        compare(WANTED, Interval(WANTED + 0.25, WANTED + 1), WANTED, named("test_relu"), OUTPUT)


@pytest.mark.usefixtures("no_rtl", "no_nic")
@pytest.mark.parametrize("name", ["test_gemm_alpha", "test_tanh", "test_softmax_axis_2"])
def test_bounds_are_narrow(name: str, tmp_path: Path) -> None:
    """What an interval leaves open is of the size of the steps, not of the results."""
    built = taken(name, tmp_path)
    _, rounded = rounded_data(built)
    ((output, wanted),) = built.task.wanted.items()
    bound = bounds(built, rounded)[output]
    assert np.max(bound.radius) <= np.ptp(wanted) / 32


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("test_identity_sequence", "sequences or optional tensors"),
        ("test_ai_onnx_ml_label_encoder_string_int", "strings"),
        ("test_shape", "no output of real numbers"),
        ("test_and2d", "no input of real numbers or of integers on a grid"),
        ("test_slice_start_out_of_bounds", "empty tensors"),
        ("test_hardmax_axis_0", "no operator Hardmax"),
        ("test_gemm_transposeA", "Gemm: expected transA 0"),
    ],
)
def test_reasons_are_computed(name: str, reason: str, tmp_path: Path) -> None:
    assert take(named(name), tmp_path, SEED) == reason


@pytest.mark.usefixtures("no_rtl", "no_nic")
def test_as_few_inputs_as_possible_become_constants(tmp_path: Path) -> None:
    inputs = {"test_matmul_3d": ["a", "b"], "test_gemm_default_no_bias": ["a"]}
    for name, data in inputs.items():
        folder = tmp_path / name
        folder.mkdir()
        assert list(taken(name, folder).task.data) == data


PARTS = 12
"""How many designs hold all tests that are in scope: each a build of a simulator."""


@pytest.mark.sweep
@pytest.mark.usefixtures("no_rtl", "no_nic")
@pytest.mark.parametrize("part", range(PARTS))
def test_rtl(part: int, tmp_path: Path) -> None:
    """With random stalls, in the predicted cycles."""
    print(f"seed {SEED}")
    forms = []
    for operator in KNOWN[part::PARTS]:
        for test in by_operator()[operator]:
            folder = tmp_path / test.name
            folder.mkdir()
            found = take(test, folder, SEED)
            if isinstance(found, Built):
                forms.append(found.form)
    assert forms
    check_rtl(forms, tmp_path, SEED)
