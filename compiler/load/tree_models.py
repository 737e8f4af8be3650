# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""Classifiers of decision trees in the ``ai.onnx.ml`` domain, written out while loading: plain sums
of leaves (TreeEnsembleRegressor, or TreeEnsemble), then standard operators.

Where ONNX Runtime and the definition differ, ONNX Runtime is meant.

N1. What ``post_transform`` does to sums, and labels, are those of :mod:`.linear_models` (M2 to M4).
N2. A classifier of two labels whose weights are all for one class has one sum ``s`` a sample. Its
    scores are ``1 - s`` and ``s`` where no weight is negative (a probability), else ``-s`` and
    ``s``; LOGISTIC is that of the latter. Both come from trees with two results.
N3. ONNX Runtime labels a sample otherwise where a class may have no weight at all in its leaves, or
    two labels have weights for both: such are not written out if the label is read.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import onnx
from onnx import helper

from .constants import attributes
from .expansion import Expansion, OtherMeaningError, Pieces, inner_name
from .linear_models import ML_DOMAIN, Options, Reading, classified, finite, labels_of, transformed
from .source import kind_of

_CLASSIFIER = f"{ML_DOMAIN}.TreeEnsembleClassifier"
_POST = {0: "NONE", 1: "LOGISTIC", 2: "SOFTMAX", 3: "SOFTMAX_ZERO", 4: "PROBIT"}
"""Post transforms by the numbers of version 5."""


def expand_tree_models(found: Expansion) -> None:
    """Write out all classifiers, and what follows sums (rules N1 to N3)."""
    reading = Reading(found.model.graph)

    def rule_of(node: onnx.NodeProto) -> Callable[[onnx.NodeProto], Pieces] | None:
        kind, options = kind_of(node), attributes(node)
        if kind == _CLASSIFIER:
            return lambda node: _classifier(reading, node, options)
        if kind in _SUMS and options.get("post_transform", 0) not in (0, "NONE"):
            return lambda node: _transformed_sums(node, options)
        return None

    found.write_out(rule_of)


_SUMS = frozenset((f"{ML_DOMAIN}.TreeEnsembleRegressor", f"{ML_DOMAIN}.TreeEnsemble"))


def _transformed_sums(node: onnx.NodeProto, options: Options) -> Pieces:
    post = options["post_transform"]
    post = _POST.get(post, post)
    if post == "SOFTMAX" and int(options.get("n_targets", 1)) < 2:
        raise OtherMeaningError("expected 2 targets or more for SOFTMAX, found 1")
    sums = onnx.NodeProto()
    sums.CopyFrom(node)
    kept = [a for a in node.attribute if a.name != "post_transform"]
    del sums.attribute[:]
    sums.attribute.extend(kept)
    sums.name = sums.output[0] = inner_name(node, "scores")
    last = transformed(node, {"post_transform": post}, sums.name, node.output[0])
    return Pieces([sums, last])


def _classifier(reading: Reading, node: onnx.NodeProto, options: Options) -> Pieces:
    doubles = sorted(name for name in options if name.endswith("_as_tensor"))
    if doubles:
        raise OtherMeaningError(f"expected float32 trees, found {', '.join(doubles)}")
    x, nodes = reading.real(node)
    count = max(len(options.get(f"classlabels_{kind}", ())) for kind in ("int64s", "strings"))
    labels = labels_of(options, count)
    weights = finite(options, "class_weights").tolist()
    base = finite(options, "base_values").tolist()
    leaves = {name: list(options.get(f"class_{name}", ())) for name in _LEAVES}
    if {len(values) for values in leaves.values()} != {len(weights)} or not weights:
        raise OtherMeaningError("expected a tree, a node and a class for each of the class weights")
    wanted = bool(reading.output(node, 0))
    one_score = count == 2 and len(set(leaves["ids"])) == 1
    if one_score:
        base = _offsets(options, base, min(weights) >= 0, wanted)
        leaves = {name: values * 2 for name, values in leaves.items()}
        leaves["ids"] = [0] * len(weights) + [1] * len(weights)
        weights = [*(-w for w in weights), *weights]
    elif wanted:
        _check_labels(options, leaves, base, count)
    if len(base) not in (0, count) or (base and count == 2 and not one_score):
        raise OtherMeaningError(f"expected base values as converters write them, found {base}")
    sums = _sums(node, x, options, leaves, weights, base, count)
    return classified(reading, node, options, Pieces([*nodes, sums]), labels)


_LEAVES = ("treeids", "nodeids", "ids")


def _offsets(options: Options, base: Sequence[float], probable: bool, wanted: bool) -> list[float]:
    """Base values of both scores (rule N2)."""
    post = options.get("post_transform", "NONE")
    if post not in ("NONE", "LOGISTIC") or len(base) > 1:
        raise OtherMeaningError(
            "expected the post transform NONE or LOGISTIC and one base value for one score of two "
            f"labels, found {post} and {len(base)}"
        )
    if post == "LOGISTIC" and probable and wanted:
        raise OtherMeaningError(
            "expected a weight below zero for LOGISTIC, found none: such a label is decided at 0.5"
        )
    own = base[0] if base else 0.0
    return [1 - own, own] if probable and post == "NONE" else [-own, own]


def _check_labels(
    options: Options, leaves: Mapping[str, Sequence[int]], base: Sequence[float], count: int
) -> None:
    """Rule N3."""
    if count == 2:
        raise OtherMeaningError("expected weights of one class for two labels, found both")
    modes, trees = options.get("nodes_modes", ()), options.get("nodes_treeids", ())
    of_tree: dict[int, int] = {}
    for mode, tree in zip(modes, trees, strict=False):
        of_tree[tree] = of_tree.get(tree, 0) + (mode == "LEAF")
    given: dict[tuple[int, int], set[int]] = {}
    for tree, leaf, own in zip(*(leaves[name] for name in _LEAVES), strict=True):
        given.setdefault((own, tree), set()).add(leaf)
    sure = {own for (own, tree), places in given.items() if len(places) == of_tree.get(tree)}
    if not base and len(sure) < count:
        raise OtherMeaningError(
            f"expected a tree that gives each of {count} classes a weight in all of its leaves, "
            f"found one for {len(sure)}"
        )


def _sums(
    node: onnx.NodeProto,
    x: str,
    options: Options,
    leaves: Mapping[str, Sequence[int]],
    weights: Sequence[float],
    base: Sequence[float],
    count: int,
) -> onnx.NodeProto:
    """The trees with these leaves."""
    name = inner_name(node, "scores")
    own: dict[str, Any] = {key: value for key, value in options.items() if key.startswith("nodes_")}
    own |= {f"target_{key}": list(values) for key, values in leaves.items()}
    own |= {"target_weights": [float(np.float32(w)) for w in weights], "n_targets": count}
    if base:
        own["base_values"] = list(base)
    return helper.make_node("TreeEnsembleRegressor", [x], [name], name, domain=ML_DOMAIN, **own)
