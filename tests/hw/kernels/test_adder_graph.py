# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""Adder graphs are the matrix that they were made of: rules G1 to G4, and what sharing saves."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from midwire.hw.kernels.adder_graph import ZERO, AdderGraph, Addition, Output
from midwire.hw.kernels.adder_solver import digit_count, signed_digits, solve
from midwire.hw.numeric import IntType

BYTE = (-128, 127)


@given(st.integers(-(1 << 31), 1 << 31))
def test_signed_digits(value: int) -> None:
    digits = signed_digits(value)
    assert sum((-1 if negative else 1) << shift for shift, negative in digits) == value
    assert all(b - a > 1 for (a, _), (b, _) in itertools.pairwise(digits))
    assert digit_count(np.array([[value]])) == len(digits)


@st.composite
def problems(draw: st.DrawFn) -> tuple[Any, list[tuple[int, int]]]:
    """A small matrix, some of it zero, and ranges of its inputs, 1-bit types too."""
    rows, columns = draw(st.integers(1, 5)), draw(st.integers(1, 5))
    weights = st.one_of(st.just(0), st.integers(-9, 9), st.integers(-(1 << 15), 1 << 15))
    cells = st.lists(weights, min_size=rows * columns, max_size=rows * columns)
    ends = st.sampled_from([(0, 1), (-1, 0), (0, 255), BYTE, (-7, 7), (3, 3), (5, 9)])
    ranges = st.lists(ends, min_size=columns, max_size=columns)
    return np.array(draw(cells)).reshape(rows, columns), draw(ranges)


@given(problems())
def test_a_graph_is_its_matrix(problem: tuple[Any, list[tuple[int, int]]]) -> None:
    """G1 and G2, at every corner of the box of the inputs."""
    matrix, ranges = problem
    graph = solve(matrix, ranges)
    np.testing.assert_array_equal(graph.matrix, matrix)
    corners = np.array(list(itertools.product(*ranges)))
    products = corners @ matrix.T
    np.testing.assert_array_equal(graph.evaluate(corners), products)
    # The range of every output is exact, and so is that of every node.
    assert graph.output_ranges == tuple(
        zip(products.min(axis=0).tolist(), products.max(axis=0).tolist(), strict=True)
    )
    values = corners @ graph.forms.T
    assert graph.ranges == tuple(
        zip(values.min(axis=0).tolist(), values.max(axis=0).tolist(), strict=True)
    )
    # G3: the longest way from an input.
    depths = [0] * len(ranges)
    for node in graph.nodes:
        depths.append(1 + max(0 if end == ZERO else depths[end] for end in (node.left, node.right)))
    assert graph.depths == tuple(depths)


@given(problems())
def test_sharing_never_costs(problem: tuple[Any, list[tuple[int, int]]]) -> None:
    """At most one adder a digit, and no cycle more than without sharing (but for a negation)."""
    matrix, ranges = problem
    graph = solve(matrix, ranges)
    rows = [digit_count(row[None]) for row in matrix]
    negated = sum(node.left == ZERO for node in graph.nodes)
    assert len(graph.nodes) - negated <= sum(max(n - 1, 0) for n in rows)
    least = max((n - 1).bit_length() for n in rows) if any(rows) else 0
    assert graph.depth <= -(-least // 3) * 3 + bool(negated)
    assert graph.stages == -(-graph.depth // 3)


def test_the_smallest_graphs() -> None:
    """Powers of two are wires, zeros nothing, equal rows one, and 7 x is 8 x - x."""
    assert solve(np.array([[4, 0], [0, 1], [0, 0]]), [BYTE] * 2) == AdderGraph(
        (BYTE, BYTE), (), (Output(0, 2), Output(1, 0), Output(ZERO, 0))
    )
    assert solve(np.array([[7], [28]]), [BYTE]) == AdderGraph(
        (BYTE,), (Addition(0, 0, -3, True),), (Output(1, 0), Output(1, 2))
    )
    minus = solve(np.array([[7], [-7]]), [BYTE])
    assert set(minus.nodes) == {Addition(0, 0, -3, True), Addition(0, 0, 3, True)}
    assert solve(np.array([[-4]]), [BYTE]).nodes == (Addition(ZERO, 0, 0, True),)
    twins = solve(np.array([[3, 5], [6, 10]]), [BYTE] * 2)
    assert twins.outputs == (Output(4, 0), Output(4, 1))
    assert len(twins.nodes) == 3


def test_costs_by_hand() -> None:
    """G4: x + 16 y of bytes adds 9 bits; of nibbles without a sign nothing, they do not overlap."""
    assert solve(np.array([[1, 16]]), [BYTE] * 2).adder_bits == 9
    assert solve(np.array([[1, 16]]), [(0, 15)] * 2).adder_bits == 0
    assert solve(np.array([[1, 1]]), [(0, 1)] * 2).adder_bits == 2
    graph = solve(np.array([[1, 1, 1, 1, 1, 0], [1, 0, 0, 0, 0, 0]]), [BYTE] * 6)
    # Three levels, one register: a sum of 11 bits, and the first input for the other output.
    assert (graph.depth, graph.stages, graph.register_bits) == (3, 1, 11 + 8)
    assert graph.adder_bits == 9 + 9 + 10 + 11


@pytest.mark.parametrize(
    ("bits", "n", "share"), [(4, 8, 0.65), (4, 16, 0.65), (8, 8, 0.65), (8, 16, 0.6)]
)
def test_adder_bits_against_a_sum_of_every_digit(bits: int, n: int, share: float) -> None:
    """Shared digits against ``digits - rows`` adders as wide as the products of this matrix."""
    rng = np.random.default_rng(n + bits)
    peak = 2 ** (bits - 1) - 1
    matrix = rng.integers(-peak, peak + 1, (n, n))
    graph = solve(matrix, [BYTE] * n)
    naive = (digit_count(matrix) - n) * IntType.holding(-128 * peak, 128 * peak).bits
    assert graph.adder_bits < share * naive


def test_a_sparse_matrix_costs_what_is_in_it() -> None:
    rng = np.random.default_rng(3)
    dense = rng.integers(-127, 128, (12, 12))
    sparse = np.where(rng.random((12, 12)) < 0.25, dense, 0)
    few, many = (solve(matrix, [BYTE] * 12).adder_bits for matrix in (sparse, dense))
    assert few < 0.4 * many


def test_messages() -> None:
    with pytest.raises(ValueError, match=r"node 0 .* uses an operand that comes after it"):
        AdderGraph((BYTE,), (Addition(0, 1, 0, False),), ())
    with pytest.raises(ValueError, match="is no operand of 1 inputs, shifted left"):
        AdderGraph((BYTE,), (), (Output(1, 0),))
    with pytest.raises(ValueError, match=r"needs a range for each input, but \(1, 2\) has 1"):
        solve(np.array([[1, 2]]), [BYTE])
