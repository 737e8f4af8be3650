# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""Decision trees of ``ai.onnx.ml`` nodes, read without trusting them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from ...hw.numeric import IntArray
from .base import Unsupported

MOST_NODES = 1 << 14
"""Inner nodes that are worth building: some ten thousand LUTs."""

MOST_DEPTH = 256
"""Comparisons on the way to a leaf; ``slice.onnx`` has some nodes for each."""

_MOST_VALUES = 1 << 22

_MODES = ("BRANCH_LEQ", "BRANCH_LT", "BRANCH_GTE", "BRANCH_GT")
"""In the order of the numbers that opset 5 has for them."""

Reals = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Forest:
    """Trees over real numbers; ways as in :class:`~midwire.hw.kernels.tree_ensemble`, rule E1.

    Attributes
    ----------
    feature, threshold : (nodes,), what an inner node compares
    strict : (nodes,), whether ``true`` needs ``x < threshold``, and not ``x <= threshold``
    true, false : (nodes,), where it leads to
    roots : (trees,)
    values : (leaves, outputs)
    homes : (leaves,), the tree of each
    """

    feature: IntArray
    threshold: Reals
    strict: npt.NDArray[np.bool_]
    true: IntArray
    false: IntArray
    roots: IntArray
    values: Reals
    homes: IntArray

    @property
    def reach(self) -> float:
        """How far apart sums of leaves may lie; where they do not differ, how large they are."""
        shape = len(self.roots), self.values.shape[1]
        low, high = np.full(shape, np.inf), np.full(shape, -np.inf)
        np.minimum.at(low, self.homes, self.values)
        np.maximum.at(high, self.homes, self.values)
        least, most = low.sum(axis=0), high.sum(axis=0)
        return float((most - least).max()) or float(np.abs(most).max())


@dataclass
class _Table:
    """Inner nodes and leaves as a file has them: rows of one numbering."""

    modes: list[str]
    feature: list[int]
    threshold: Reals
    true: list[int]
    false: list[int]
    roots: list[int]
    values: Reals


def read_forest(attributes: Mapping[str, Any]) -> Forest:
    """The trees of TreeEnsembleRegressor (versions 1 and 3) or TreeEnsemble (version 5).

    Raises Unsupported if they are none, or too many.
    """
    table = _of_splits(attributes) if "tree_roots" in attributes else _of_nodes(attributes)
    return _ordered(table)


def _reals(attributes: Mapping[str, Any], name: str) -> Reals:
    """Real numbers, in a list or a tensor."""
    stored = attributes.get(f"{name}_as_tensor", attributes.get(name, ()))
    values = np.asarray(stored, np.float64).reshape(-1)
    if np.isnan(values).any():
        raise Unsupported(f"expected numbers as {name}, found NaN")
    return values


def reals(attributes: Mapping[str, Any], name: str) -> Reals:
    """Finite real numbers."""
    values = _reals(attributes, name)
    if not np.isfinite(values).all():
        raise Unsupported(f"expected finite {name}, found infinity")
    return values


def _integers(attributes: Mapping[str, Any], name: str, count: int | None = None) -> list[int]:
    values = [int(v) for v in np.asarray(attributes.get(name, ()), np.int64).reshape(-1)]
    if count is not None and len(values) != count:
        raise Unsupported(f"expected {count} {name}, found {len(values)}")
    return values


def _of_nodes(attributes: Mapping[str, Any]) -> _Table:
    """Versions 1 and 3: trees and nodes have numbers, leaves are nodes."""
    trees = _integers(attributes, "nodes_treeids")
    count = len(trees)
    names = list(zip(trees, _integers(attributes, "nodes_nodeids", count), strict=True))
    index = {name: k for k, name in enumerate(names)}
    modes = list(attributes.get("nodes_modes", ()))
    threshold = _reals(attributes, "nodes_values")
    if not count or len(index) != count or {len(modes), len(threshold)} != {count}:
        raise Unsupported(
            f"expected a mode and a value for each node, found {len(index)} nodes, {len(modes)} "
            f"modes and {len(threshold)} values"
        )

    def ways(name: str) -> list[int]:
        numbers = zip(modes, trees, _integers(attributes, name, count), strict=True)
        return [-1 if mode == "LEAF" else index.get((t, way), -1) for mode, t, way in numbers]

    true, false = ways("nodes_truenodeids"), ways("nodes_falsenodeids")
    led = {*true, *false}
    roots = [k for k in range(count) if k not in led]
    own = {trees[k] for k in roots}
    if not len(own) == len(roots) == len(set(trees)):
        raise Unsupported(
            f"expected one root in each of {len(set(trees))} trees, found {len(roots)}"
        )
    weights = reals(attributes, "target_weights")
    targets = _integers(attributes, "target_ids", len(weights))
    values = _zeros(count, int(attributes.get("n_targets", 1)))
    homes = zip(
        _integers(attributes, "target_treeids", len(weights)),
        _integers(attributes, "target_nodeids", len(weights)),
        strict=True,
    )
    at = np.array([index.get(home, -1) for home in homes], np.int64)
    if len(weights) and (at.min() < 0 or any(modes[k] != "LEAF" for k in at)):
        raise Unsupported("expected target weights in leaves, found some elsewhere")
    _add(values, at, targets, weights)
    features = _integers(attributes, "nodes_featureids", count)
    return _Table(modes, features, threshold, true, false, roots, values)


def _of_splits(attributes: Mapping[str, Any]) -> _Table:
    """Version 5: leaves have a numbering of their own, and one weight each."""
    kinds = _integers(attributes, "nodes_modes")
    count = len(kinds)
    modes = [_MODES[k] if 0 <= k < len(_MODES) else f"number {k}" for k in kinds]
    threshold = _reals(attributes, "nodes_splits")
    weights = reals(attributes, "leaf_weights")
    if not count or len(threshold) != count:
        raise Unsupported(f"expected a split for each of {count} nodes, found {len(threshold)}")
    rows: list[int] = []

    def ways(side: str) -> list[int]:
        """Each end in a leaf becomes a row behind the nodes."""
        found = []
        numbers = _integers(attributes, f"nodes_{side}nodeids", count)
        ends = _integers(attributes, f"nodes_{side}leafs", count)
        for way, leaf in zip(numbers, ends, strict=True):
            if not 0 <= way < (len(weights) if leaf else count):
                raise Unsupported(f"expected nodes_{side}nodeids of nodes and leaves, found {way}")
            if leaf:
                rows.append(way)
            found.append(count + len(rows) - 1 if leaf else way)
        return found

    true, false = ways("true"), ways("false")
    values = _zeros(count + len(rows), int(attributes.get("n_targets", 1)))
    targets = _integers(attributes, "leaf_targetids", len(weights))
    places = np.arange(count, count + len(rows))
    _add(values, places, [targets[k] for k in rows], weights[rows])
    features = _integers(attributes, "nodes_featureids", count)
    none = [0] * len(rows)
    return _Table(
        [*modes, *["LEAF"] * len(rows)],
        [*features, *none],
        np.concatenate([threshold, none]),
        [*true, *none],
        [*false, *none],
        _integers(attributes, "tree_roots"),
        values,
    )


def _zeros(rows: int, targets: int) -> Reals:
    if not 1 <= targets <= _MOST_VALUES // rows:
        raise Unsupported(f"expected 1 to {_MOST_VALUES // rows} targets, found {targets}")
    return np.zeros((rows, targets))


def _add(values: Reals, rows: IntArray, targets: Sequence[int], weights: Reals) -> None:
    if targets and not 0 <= min(targets) <= max(targets) < values.shape[1]:
        raise Unsupported(
            f"expected targets from 0 to {values.shape[1] - 1}, found {min(targets)} to "
            f"{max(targets)}"
        )
    np.add.at(values, (rows, np.asarray(targets, np.int64)), weights)


def _ordered(table: _Table) -> Forest:
    """Parents before children, each reached once (rule E1)."""
    inner = len(table.modes) - table.modes.count("LEAF")
    if inner > MOST_NODES:
        raise Unsupported(f"expected at most {MOST_NODES} nodes that compare, found {inner}")
    order: list[int] = []
    leaves: list[int] = []
    place: dict[int, int] = {}
    ends: list[tuple[int, int]] = []
    homes: list[int] = []
    for tree, root in enumerate(table.roots):
        if not 0 <= root < len(table.modes):
            raise Unsupported(f"expected roots that are nodes, found {root}")
        stack = [(root, 0)]
        while stack:
            at, depth = stack.pop()
            if depth > MOST_DEPTH:
                raise Unsupported(
                    f"expected at most {MOST_DEPTH} comparisons on the way to a leaf, found more"
                )
            if at in place:
                raise Unsupported(f"expected one way to each node, found several to node {at}")
            if table.modes[at] == "LEAF":
                place[at] = -1 - len(leaves)
                leaves.append(at)
                homes.append(tree)
                continue
            if table.modes[at] not in _MODES:
                raise Unsupported(
                    f"expected the modes {', '.join(_MODES)} and LEAF, found {table.modes[at]}"
                )
            place[at] = len(order)
            order.append(at)
            true, false = table.true[at], table.false[at]
            if min(true, false) < 0:
                raise Unsupported(f"expected two nodes behind node {at}, found one that is none")
            if table.modes[at] in ("BRANCH_GTE", "BRANCH_GT"):  # the other way round
                true, false = false, true
            ends.append((true, false))
            stack += [(false, depth + 1), (true, depth + 1)]
    if len(place) < len(table.modes):
        lost = len(table.modes) - len(place)
        raise Unsupported(f"expected every node behind a root, found {lost} that are not")
    columns = np.array([[place[t], place[f]] for t, f in ends], np.int64).reshape(-1, 2)
    return Forest(
        feature=np.array([table.feature[k] for k in order], np.int64),
        threshold=table.threshold[order],
        strict=np.array([table.modes[k] in ("BRANCH_LT", "BRANCH_GTE") for k in order], bool),
        true=columns[:, 0],
        false=columns[:, 1],
        roots=np.array([place[k] for k in table.roots], np.int64),
        values=table.values[leaves],
        homes=np.array(homes, np.int64),
    )
