# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""TreeEnsembleRegressor and TreeEnsemble of ``ai.onnx.ml`` (operator versions 1, 3 and 5).

Classifiers become one of these while loading, and so does what follows the sum of the leaves
(:mod:`~..load.tree_models`).

A feature on a grid is ``step * (q - zero_point)``, so ``x <= t`` is ``q <= floor(t / step) +
zero_point``, and ``x < t`` is ``q < ceil(t / step) + zero_point``: exact. Leaves are multiples of
one power of two, the *unit*: the largest of which all are, or the largest with which rounding them
moves no sum by more than ``1 / 2**(bits + 2)`` of the range of the sums (``trees * unit / 2``), a
quarter of a step of a grid of ``bits`` that covers it.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Any

import numpy as np
import onnx

from ...hw.finish.base import MAX_EXACT_DOUBLE
from ...hw.formats.tensor import Layout
from ...hw.kernels.tree_ensemble import TreeEnsembleKernel
from ...hw.numeric import Affine, QType
from ..ir.lowered import Call, Meaning, OutputSpec, single
from ..ir.quant import QTensor
from ._model import one_node
from ._pruned import pruned
from ._trees import Forest, Reals, read_forest, reals
from .base import Case, ImportContext, Imported, Op, Unsupported, one

_LEAST_EXPONENT = -1000
"""A double still holds such a power of two, and quotients by it."""


@dataclass(frozen=True, eq=False)
class TreeEnsemble(Op):
    """``base + share * sum(leaves)``; ``unit`` is that of the leaves, None for their own."""

    forest: Forest
    base: tuple[Fraction, ...]
    share: Fraction = Fraction(1)
    unit: Fraction | None = None

    onnx_types = ("ai.onnx.ml.TreeEnsembleRegressor", "ai.onnx.ml.TreeEnsemble")

    def __repr__(self) -> str:
        return f"TreeEnsemble(trees={len(self.forest.roots)}, nodes={len(self.forest.feature)})"

    @classmethod
    def import_node(cls, context: ImportContext, node: onnx.NodeProto) -> Imported:
        """Sums and averages of trees, over the features of one sample."""
        attributes = context.attributes(node)
        post = attributes.get("post_transform", 0)
        if post not in (0, "NONE"):
            raise Unsupported(f"expected the post transform NONE, found {post}")
        aggregate = attributes.get("aggregate_function", "SUM")
        aggregate = {0: "AVERAGE", 1: "SUM", 2: "MIN", 3: "MAX"}.get(aggregate, aggregate)
        if aggregate not in ("SUM", "AVERAGE"):
            raise Unsupported(f"expected the aggregate function SUM or AVERAGE, found {aggregate}")
        forest = read_forest(attributes)
        shape = context.shape(node.input[0])
        used = int(forest.feature.max(initial=0)) + 1
        if len(shape) != 2 or shape[1] < used or forest.feature.min(initial=0) < 0:
            raise Unsupported(
                f"expected an input of one sample and {used} features or more, found {list(shape)}"
            )
        outputs = forest.values.shape[1]
        base = [Fraction(v) for v in reals(attributes, "base_values").tolist()]
        if len(base) not in (0, outputs):
            raise Unsupported(f"expected {outputs} base values, found {len(base)}")
        share = Fraction(1, len(forest.roots)) if aggregate == "AVERAGE" else Fraction(1)
        return one(cls(forest, tuple(base or [Fraction(0)] * outputs), share), [node.input[0]])

    @property
    def is_core(self) -> bool:
        """Hardware of its own."""
        return True

    def wanted_layout(self, shapes: Sequence[tuple[int, ...]], index: int) -> Layout | None:
        """A vector may come in any order."""
        del shapes, index
        return None

    def quantise_weights(self, bits: int) -> Op:
        """A common unit for all leaves (see the module)."""
        reach = self.forest.reach
        if self.unit is not None or not reach:
            return self
        enough = math.floor(math.log2(reach / len(self.forest.roots))) - bits - 1
        own = _own_unit(self.forest.values)
        return replace(self, unit=max(own, Fraction(2) ** max(enough, _LEAST_EXPONENT)))

    def lower(self, inputs: Sequence[QTensor], outputs: Sequence[OutputSpec]) -> tuple[Call, ...]:
        """Comparisons of integers, and sums of integers."""
        (x,), (output,) = inputs, outputs
        unit = _own_unit(self.forest.values) if self.unit is None else self.unit
        features = x.shape[1]
        place = np.empty(features, np.int64)
        place[x.layout.to_stream(np.arange(features).reshape(x.shape))] = np.arange(features)
        real = np.rint(self.forest.values / float(unit))
        if np.abs(real).max(initial=0) >= MAX_EXACT_DOUBLE:
            raise Unsupported(
                "expected leaf values whose sums differ by no less than their size over 2**40, "
                f"found values of up to {np.abs(self.forest.values).max():g} that need a unit of "
                f"{float(unit):g}"
            )
        values = real.astype(np.int64)
        thresholds = on_grid(self.forest, x.qtype)
        left = pruned(self.forest, thresholds, values, x.qtype.lo, x.qtype.hi)
        left = left._replace(feature=place[left.feature])
        kernel = TreeEnsembleKernel(x.qtype.integers, features, *left)
        functions = [Affine((self.share * unit,), base) for base in self.base]
        adjustable = unit != _own_unit(self.forest.values)
        meaning = Meaning(functions, 1, Layout.raster(output.shape), adjustable)
        return single(kernel, meaning)

    @classmethod
    def cases(cls) -> Iterator[Case]:
        """One tree, a forest with base values and several results, an average; all modes."""
        yield _case("tree", [7], 1)
        yield _case("tree_forest", [7, 4, 0, 11], 3, base_values=[0.5, -1.0, 0.25])
        yield _case("tree_average", [5, 5, 5], 2, aggregate_function="AVERAGE")


def on_grid(forest: Forest, grid: QType) -> list[int]:
    """For each node the largest integer that goes to ``true``, from ``lo - 1`` to ``hi``."""
    found = []
    for threshold, strict in zip(forest.threshold.tolist(), forest.strict.tolist(), strict=True):
        if math.isinf(threshold):
            found.append(grid.hi if threshold > 0 else grid.lo - 1)
            continue
        steps = Fraction(threshold) / grid.step
        last = math.ceil(steps) - 1 if strict else math.floor(steps)
        found.append(min(max(last + grid.zero_point, grid.lo - 1), grid.hi))
    return found


def _own_unit(values: Reals) -> Fraction:
    """The largest power of two that all values are multiples of; 1 if all are zero."""
    mantissas, exponents = np.frexp(values[values != 0])
    if not len(mantissas):
        return Fraction(1)
    whole = np.abs(mantissas * 2.0**53).astype(np.int64)
    lowest = np.log2((whole & -whole).astype(np.float64)).astype(np.int64)
    return Fraction(2) ** max(int((exponents - 53 + lowest).min()), _LEAST_EXPONENT)


def _case(name: str, nodes: Sequence[int], outputs: int, **options: Any) -> Case:
    """Random trees of so many nodes, of all modes; leaves are multiples of 1/16."""
    rng = np.random.default_rng(len(nodes) + outputs)
    modes = np.array(["BRANCH_LEQ", "BRANCH_LT", "BRANCH_GTE", "BRANCH_GT"])
    columns: dict[str, Any] = {key: [] for key in _COLUMNS}
    for tree, count in enumerate(nodes):
        for node in range(2 * count + 1):  # node k leads to 2 k + 1 and 2 k + 2
            inner = node < count
            columns["nodes_treeids"].append(tree)
            columns["nodes_nodeids"].append(node)
            columns["nodes_featureids"].append(int(rng.integers(4)) if inner else 0)
            columns["nodes_values"].append(float(np.float32(rng.uniform(-1, 1) * inner)))
            columns["nodes_modes"].append(str(rng.choice(modes)) if inner else "LEAF")
            columns["nodes_truenodeids"].append(2 * node + 1 if inner else 0)
            columns["nodes_falsenodeids"].append(2 * node + 2 if inner else 0)
            for target in range(0 if inner else outputs):
                columns["target_treeids"].append(tree)
                columns["target_nodeids"].append(node)
                columns["target_ids"].append(target)
                # One sample on the other side of a threshold must be no great loss.
                size = int(rng.integers(40, 57)) / 16
                columns["target_weights"].append(-size if target % 2 else size)
    model = one_node(
        "TreeEnsembleRegressor",
        [(1, 4)],
        (1, outputs),
        domain=("ai.onnx.ml", 3),
        n_targets=outputs,
        **{**columns, **options},
    )
    return Case(name, model)


_COLUMNS = (
    "nodes_treeids",
    "nodes_nodeids",
    "nodes_featureids",
    "nodes_values",
    "nodes_modes",
    "nodes_truenodeids",
    "nodes_falsenodeids",
    "target_treeids",
    "target_nodeids",
    "target_ids",
    "target_weights",
)
