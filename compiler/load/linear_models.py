# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""Linear models of the ``ai.onnx.ml`` domain, written out in standard operators while loading.

Scikit-learn's converters write them; all are a product with a matrix (``ai.onnx.ml`` versions 1 to
5, where ONNX Runtime and the definition differ, ONNX Runtime).

M1. Scaler is ``(x - offset) * scale``; LinearRegressor, LinearClassifier and the SVMs with a linear
    kernel are a Gemm; a Normalizer of norm L1 or L2 is an LpNormalization, and of MAX stays
    one. A sum over support vectors is one over features: its weights are computed in double and
    rounded to float32 once.
M2. Scores come first, then what ``post_transform`` does to them: LOGISTIC is a Sigmoid, SOFTMAX a
    Softmax.
M3. A label is looked up where the largest score lies, the first of equals, before any post
    transform. An SVM of several classes has a score for each pair of them: each is a vote.
M4. A label that nobody reads is not computed.
M5. Converters write real numbers; other inputs are cast first, as ONNX Runtime does.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from itertools import combinations
from typing import Any

import numpy as np
import onnx

from ...hw.formats.tensor import AnyArray
from ...hw.numeric import LARGEST_REAL
from .constants import attributes
from .expansion import Expansion, OtherMeaningError, Pieces, inner_name, inner_node, named_node
from .source import kind_of, reads

ML_DOMAIN = "ai.onnx.ml"
"""The domain of scikit-learn's models."""

Options = Mapping[str, Any]


def expand_linear_models(found: Expansion) -> None:
    """Write out all linear models of a sorted model with unique names (rules M1 to M5)."""
    reading = Reading(found.model.graph)

    def rule_of(node: onnx.NodeProto) -> Callable[[onnx.NodeProto], Pieces] | None:
        rule = _RULES.get(kind_of(node))
        return None if rule is None else lambda node: rule(reading, node, attributes(node))

    found.write_out(rule_of)


class Reading:
    """What the rules ask about a graph: who reads what, and the types of its inputs."""

    def __init__(self, graph: onnx.GraphProto) -> None:
        self._read = {name for node in graph.node for name in reads(node)}
        self._read.update(value.name for value in graph.output)
        self._types = {value.name: value.type.tensor_type.elem_type for value in graph.input}

    def output(self, node: onnx.NodeProto, index: int) -> str:
        """The name of an output that somebody reads, else empty."""
        name = node.output[index] if index < len(node.output) else ""
        return name if name in self._read else ""

    def real(self, node: onnx.NodeProto) -> tuple[str, list[onnx.NodeProto]]:
        """The node's one input in float32, and the nodes that it takes (rule M5)."""
        if len(node.input) != 1 or not node.input[0]:
            raise OtherMeaningError(f"expected one input, found {len(node.input)}")
        name = node.input[0]
        if self._types.get(name, onnx.TensorProto.FLOAT) == onnx.TensorProto.FLOAT:
            return name, []
        cast = inner_node(node, "real", "Cast", name, to=onnx.TensorProto.FLOAT)
        return cast.name, [cast]


def finite(options: Options, name: str) -> AnyArray:
    """An attribute of real numbers, in float32; raises OtherMeaningError."""
    values = np.asarray(options.get(name, ()), np.float32).reshape(-1)
    if not np.isfinite(values).all():
        raise OtherMeaningError(f"expected finite {name}, found NaN or infinity")
    return values


def labels_of(options: Options, count: int) -> AnyArray:
    """The labels of a classifier of so many classes: integers or text."""
    for name in ("classlabels_ints", "classlabels_int64s", "classlabels_strings"):
        labels = options.get(name)
        if labels:
            if len(labels) != count:
                raise OtherMeaningError(
                    f"expected a score for each of {len(labels)} labels, found {count}"
                )
            return np.asarray(labels, object if "strings" in name else np.int64)
    raise OtherMeaningError("expected labels of the classes, found none")


def transformed(node: onnx.NodeProto, options: Options, scores: str, output: str) -> onnx.NodeProto:
    """What a post transform makes of scores (rule M2): the node that has the name."""
    kind = str(options.get("post_transform", "NONE"))
    if kind == "NONE":
        return named_node(node, output, "Identity", scores)
    if kind == "LOGISTIC":
        return named_node(node, output, "Sigmoid", scores)
    if kind == "SOFTMAX":
        return named_node(node, output, "Softmax", scores, axis=1)
    raise OtherMeaningError(f"expected the post transform NONE, LOGISTIC or SOFTMAX, found {kind}")


def label(node: onnx.NodeProto, scores: str, labels: AnyArray, output: str) -> Pieces:
    """The label of the largest score (rule M3)."""
    name = inner_name(node, "labels")
    best = inner_node(node, "best", "ArgMax", scores, axis=1, keepdims=0)
    found = onnx.helper.make_node(
        "Gather", [name, best.name], [output], inner_name(node, "label"), axis=0
    )
    return Pieces([best, found], {name: labels})


def _scaler(reading: Reading, node: onnx.NodeProto, options: Options) -> Pieces:
    x, nodes = reading.real(node)
    offset, scale = inner_name(node, "offset"), inner_name(node, "scale")
    values = {offset: finite(options, "offset"), scale: finite(options, "scale")}
    if 0 in (len(values[offset]), len(values[scale])):
        raise OtherMeaningError("expected an offset and a scale, found none")
    centred = inner_node(node, "centred", "Sub", x, offset)
    last = named_node(node, node.output[0], "Mul", centred.name, scale)
    return Pieces([*nodes, centred, last], values)


def _matrix(coefficients: AnyArray, rows: int) -> AnyArray:
    if rows < 1 or not coefficients.size or coefficients.size % rows:
        raise OtherMeaningError(
            f"expected as many coefficients for each of {rows} results, found {coefficients.size}"
        )
    return coefficients.reshape(rows, -1)


def _gemm(
    node: onnx.NodeProto, word: str, x: str, weights: AnyArray, bias: AnyArray
) -> tuple[onnx.NodeProto, dict[str, AnyArray]]:
    """``x @ weights.T + bias``; its result is called by the word."""
    names = inner_name(node, "weights"), inner_name(node, "bias")
    peak = float(np.abs(weights).max(initial=0.0))
    if peak > LARGEST_REAL:
        raise OtherMeaningError(
            f"expected weights of up to {LARGEST_REAL:.2g}, found {peak:.2g}, of coefficients "
            "times support vectors"
        )
    arrays = dict(zip(names, (weights.astype(np.float32), bias.astype(np.float32)), strict=True))
    return inner_node(node, word, "Gemm", x, *names, transB=1), arrays


def _regressor(reading: Reading, node: onnx.NodeProto, options: Options) -> Pieces:
    x, nodes = reading.real(node)
    targets = int(options.get("targets", 1))
    weights = _matrix(finite(options, "coefficients"), targets)
    bias = finite(options, "intercepts")
    if len(bias) not in (0, targets):
        raise OtherMeaningError(f"expected {targets} intercepts, found {len(bias)}")
    product, arrays = _gemm(node, "scores", x, weights, bias if len(bias) else np.zeros(targets))
    return _finished(node, options, nodes, product, arrays)


def _finished(
    node: onnx.NodeProto,
    options: Options,
    nodes: list[onnx.NodeProto],
    product: onnx.NodeProto,
    arrays: dict[str, AnyArray],
    output: int = 0,
) -> Pieces:
    """Nodes, a product, and its post transform; without one, the product has the node's name."""
    name = node.output[output]
    if options.get("post_transform", "NONE") == "NONE":
        product.name, product.output[0] = node.name, name
        return Pieces([*nodes, product], arrays)
    return Pieces([*nodes, product, transformed(node, options, product.output[0], name)], arrays)


def _classifier(reading: Reading, node: onnx.NodeProto, options: Options) -> Pieces:
    x, nodes = reading.real(node)
    bias = finite(options, "intercepts")
    weights = _matrix(finite(options, "coefficients"), len(bias))
    labels = labels_of(options, len(bias))
    product, arrays = _gemm(node, "scores", x, weights, bias)
    return classified(reading, node, options, Pieces([*nodes, product], arrays), labels)


def classified(
    reading: Reading,
    node: onnx.NodeProto,
    options: Options,
    scores: Pieces,
    labels: AnyArray,
) -> Pieces:
    """Label and scores of a classifier, of the pieces whose last node makes its plain scores."""
    wanted, given = reading.output(node, 0), reading.output(node, 1)
    nodes, arrays = list(scores.nodes), dict(scores.constants)
    raw = nodes[-1]
    if given and options.get("post_transform", "NONE") == "NONE":
        raw.name, raw.output[0] = node.name, given
    elif not given:
        raw.name = node.name
    else:
        nodes.append(transformed(node, options, raw.output[0], given))
    if wanted:
        found = label(node, raw.output[0], labels, wanted)
        nodes += found.nodes
        arrays |= found.constants
    return Pieces(nodes, arrays)


def _support_vectors(options: Options, coefficients: AnyArray) -> AnyArray:
    """Weights of features (rows of coefficients, features), in double."""
    kernel = options.get("kernel_type", "LINEAR")
    if kernel != "LINEAR":
        raise OtherMeaningError(f"expected a LINEAR kernel, found {kernel}")
    count = coefficients.shape[1]
    vectors = finite(options, "support_vectors")
    if not count or not vectors.size or vectors.size % count:
        raise OtherMeaningError(
            f"expected as many features for each of {count} support vectors, found {vectors.size}"
        )
    return vectors.reshape(count, -1).astype(np.float64)


def _svm_regressor(reading: Reading, node: onnx.NodeProto, options: Options) -> Pieces:
    x, nodes = reading.real(node)
    if options.get("one_class", 0):
        raise OtherMeaningError("expected one_class 0, found 1: its result is a sign")
    coefficients = finite(options, "coefficients").reshape(1, -1).astype(np.float64)
    weights = coefficients @ _support_vectors(options, coefficients)
    rho = finite(options, "rho")
    if len(rho) != 1:
        raise OtherMeaningError(f"expected one rho, found {len(rho)}")
    product, arrays = _gemm(node, "scores", x, weights, rho)
    return _finished(node, options, nodes, product, arrays)


def _svm_classifier(reading: Reading, node: onnx.NodeProto, options: Options) -> Pieces:
    x, nodes = reading.real(node)
    if options.get("prob_a"):
        raise OtherMeaningError(
            "expected no prob_a and prob_b, found probabilities, which are fitted by iteration"
        )
    counts = [int(n) for n in options.get("vectors_per_class", ())]
    pairs = list(combinations(range(len(counts)), 2))
    if not pairs or sum(counts) < 1:
        raise OtherMeaningError("expected support vectors of 2 classes or more, found none")
    labels = labels_of(options, len(counts))
    own = finite(options, "coefficients").astype(np.float64)
    rho = finite(options, "rho").astype(np.float64)
    if own.size != sum(counts) * (len(counts) - 1) or len(rho) != len(pairs):
        raise OtherMeaningError(
            f"expected {sum(counts) * (len(counts) - 1)} coefficients and {len(pairs)} rho, found "
            f"{own.size} and {len(rho)}"
        )
    own = own.reshape(len(counts) - 1, -1)
    ends = np.cumsum([0, *counts])
    vectors = _support_vectors(options, own)
    # The vectors of both classes of a pair, each with its coefficients against the other class.
    rows = np.stack(
        [
            own[j - 1, ends[i] : ends[i + 1]] @ vectors[ends[i] : ends[i + 1]]
            + own[i, ends[j] : ends[j + 1]] @ vectors[ends[j] : ends[j + 1]]
            for i, j in pairs
        ]
    )
    if len(pairs) > 1:
        product, arrays = _gemm(node, "scores", x, rows, rho)
        scores = _finished(node, options, nodes, product, arrays, output=1)
        wanted = reading.output(node, 0)
        return _by_votes(node, scores, product.output[0], pairs, labels, wanted)
    if (own >= 0).all():
        raise OtherMeaningError("expected coefficients of both signs, found none below 0")
    # Two classes have the pair's score and its negative; the vote for the first class is the
    # positive one, so labels stand the other way round.
    product, arrays = _gemm(node, "scores", x, np.stack([-rows[0], rows[0]]), rho * [-1.0, 1.0])
    return classified(reading, node, options, Pieces([*nodes, product], arrays), labels[::-1])


def _by_votes(
    node: onnx.NodeProto,
    scores: Pieces,
    raw: str,
    pairs: list[tuple[int, int]],
    labels: AnyArray,
    output: str,
) -> Pieces:
    """The label that most pairs vote for (rule M3): above 0 for their first class, else for the
    second.
    """
    if not output:
        return scores
    zero, first, second = (inner_name(node, word) for word in ("zero", "swing", "second"))
    won = np.zeros((len(pairs), len(labels)), np.float32)
    lost = np.zeros(len(labels), np.float32)
    for row, (i, j) in enumerate(pairs):
        won[row, i], won[row, j] = 1, -1
        lost[j] += 1
    above = inner_node(node, "above", "Greater", raw, zero)
    counted = inner_node(node, "counted", "Cast", above.name, to=onnx.TensorProto.FLOAT)
    moved = inner_node(node, "moved", "MatMul", counted.name, first)
    votes = inner_node(node, "votes", "Add", moved.name, second)
    found = label(node, votes.name, labels, output)
    arrays = {zero: np.zeros((), np.float32), first: won, second: lost}
    return Pieces(
        [*scores.nodes, above, counted, moved, votes, *found.nodes],
        {**scores.constants, **arrays, **found.constants},
    )


def _normalizer(reading: Reading, node: onnx.NodeProto, options: Options) -> Pieces:
    norm = str(options.get("norm", "MAX"))
    if norm not in ("MAX", "L1", "L2"):
        raise OtherMeaningError(f"expected the norm MAX, L1 or L2, found {norm}")
    x, nodes = reading.real(node)
    y = node.output[0]
    if norm == "MAX":
        made = named_node(node, y, "Normalizer", x, domain=ML_DOMAIN, norm=norm)
    else:
        made = named_node(node, y, "LpNormalization", x, axis=-1, p=int(norm[1]))
    return Pieces([*nodes, made])


_RULES: Mapping[str, Callable[[Reading, onnx.NodeProto, Options], Pieces]] = {
    f"{ML_DOMAIN}.LinearClassifier": _classifier,
    f"{ML_DOMAIN}.LinearRegressor": _regressor,
    f"{ML_DOMAIN}.Normalizer": _normalizer,
    f"{ML_DOMAIN}.SVMClassifier": _svm_classifier,
    f"{ML_DOMAIN}.SVMRegressor": _svm_regressor,
    f"{ML_DOMAIN}.Scaler": _scaler,
}
