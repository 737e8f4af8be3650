# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""ArrayFeatureExtractor (``ai.onnx.ml`` version 1), written out while loading: columns of a matrix.

Scikit-learn's converters choose features with it (ColumnTransformer, SelectKBest, products of
features), by indices of the shape [1, K]. Of a table of labels it stays as it is: that is the
cloud's work.
"""

from __future__ import annotations

import numpy as np
import onnx

from .expansion import (
    Expansion,
    OtherMeaningError,
    Pieces,
    Rule,
    inner_name,
    inner_node,
    named_node,
)
from .source import kind_of


def expand_columns(found: Expansion) -> None:
    """Write out each ArrayFeatureExtractor of a computed tensor: a Gather along its last axis."""
    stored = {tensor.name for tensor in found.model.graph.initializer}

    def rule_of(node: onnx.NodeProto) -> Rule | None:
        chosen = kind_of(node) == "ai.onnx.ml.ArrayFeatureExtractor"
        return _columns if chosen and not stored.issuperset(node.input[:1]) else None

    found.write_out(rule_of)


def _columns(node: onnx.NodeProto) -> Pieces:
    if len(node.input) != 2:
        raise OtherMeaningError(f"expected a tensor and indices, found {len(node.input)} inputs")
    x, indices = node.input
    flat = inner_name(node, "flat")
    rows = inner_node(node, "indices", "Reshape", indices, flat)
    gather = named_node(node, node.output[0], "Gather", x, rows.output[0], axis=-1)
    return Pieces([rows, gather], {flat: np.array([-1], np.int64)})
