# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""Models of scikit-learn in the form that its converters write: ``ai.onnx.ml`` nodes of one input,
a batch without a number, the default domain imported twice.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper

ML = "ai.onnx.ml"

Array = np.ndarray[Any, Any]


def ml_node(kind: str, inputs: Sequence[str], outputs: Sequence[str], **options: Any) -> Any:
    """A node of the domain, called like its operator; arrays become lists."""
    plain: dict[str, Any] = {
        name: value.ravel().tolist() if isinstance(value, np.ndarray) else value
        for name, value in options.items()
    }
    return helper.make_node(kind, list(inputs), list(outputs), kind, domain=ML, **plain)


def ml_model(
    nodes: Sequence[onnx.NodeProto],
    features: int,
    outputs: Sequence[str],
    *,
    kind: int = TensorProto.FLOAT,
    version: int = 1,
    opset: int = 17,
) -> onnx.ModelProto:
    """A model of nodes from ``X``; labels (``label``, text if it ends in ``_text``) and scores."""
    of_names = {"label": TensorProto.INT64, "label_text": TensorProto.STRING}
    graph = helper.make_graph(
        list(nodes),
        "sklearn",
        [helper.make_tensor_value_info("X", kind, ["N", features])],
        [
            helper.make_tensor_value_info(
                name, of_names.get(name, TensorProto.FLOAT), ["N"] if name in of_names else ["N", 0]
            )
            for name in outputs
        ],
    )
    for value in graph.output:
        for dim in value.type.tensor_type.shape.dim[1:]:
            dim.Clear()  # converters leave it open
    imports = [helper.make_opsetid(*each) for each in ((ML, version), ("", opset), ("", opset))]
    return helper.make_model(graph, opset_imports=imports, ir_version=8)


def zipped(node: onnx.NodeProto, classes: int) -> list[onnx.NodeProto]:
    """What stands behind a classifier's ``l`` and ``p`` by default: the label cast, and a map."""
    cast = helper.make_node("Cast", ["l"], ["label"], "Cast", to=TensorProto.INT64)
    maps = ml_node("ZipMap", ["p"], ["maps"], classlabels_int64s=list(range(classes)))
    return [node, cast, maps]


def with_maps(model: onnx.ModelProto) -> onnx.ModelProto:
    """The model with the output ``maps`` of a ZipMap too."""
    one = helper.make_tensor_type_proto(TensorProto.FLOAT, [])
    kind = helper.make_sequence_type_proto(helper.make_map_type_proto(TensorProto.INT64, one))
    model.graph.output.append(helper.make_value_info("maps", kind))
    return model


def trees_of(
    trees: Sequence[Any], weights: Sequence[Array], kind: str = "target"
) -> dict[str, Any]:
    """Attributes of a TreeEnsemble of scikit-learn's own trees, as its converters write them.

    ``weights`` has for each tree the values of all of its nodes, (nodes, targets); of those at
    leaves, each target has one, but for the first of two classes.
    """
    columns: dict[str, list[Any]] = {f"nodes_{key}": [] for key in _NODE_COLUMNS}
    leaves: dict[str, list[Any]] = {key: [] for key in ("treeids", "nodeids", "ids", "weights")}
    for index, (tree, values) in enumerate(zip(trees, weights, strict=True)):
        for node in range(tree.node_count):
            leaf = tree.children_left[node] < 0
            row = (
                index,
                node,
                0 if leaf else int(tree.feature[node]),
                0.0 if leaf else _below(tree.threshold[node]),
                "LEAF" if leaf else "BRANCH_LEQ",
                0 if leaf else int(tree.children_left[node]),
                0 if leaf else int(tree.children_right[node]),
            )
            for key, value in zip(columns, row, strict=True):
                columns[key].append(value)
            own = values[node].ravel()
            if kind == "class" and len(own) == 2:
                own = own[1:]
            for target, weight in enumerate(own if leaf else ()):
                for key, value in zip(leaves, (index, node, target, float(weight)), strict=True):
                    leaves[key].append(value)
    return {**columns, **{f"{kind}_{key}": value for key, value in leaves.items()}}


_NODE_COLUMNS = (
    "treeids",
    "nodeids",
    "featureids",
    "values",
    "modes",
    "truenodeids",
    "falsenodeids",
)


def _below(threshold: float) -> float:
    """The largest float32 that is no larger, so that float32 features go the same way."""
    single = np.float32(threshold)
    return float(single if single <= threshold else np.nextafter(single, np.float32(-np.inf)))
