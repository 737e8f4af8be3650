# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""GroupNormalization of opset 18, which had a scale and a bias for each group, written out while
loading: an InstanceNormalization of groups between two Reshapes. ONNX's checker takes that version
no more, but ONNX Runtime does.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx

from .constants import attributes
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

NEW_VERSION = 21
"""Of the default domain: parameters are the channels' from here on."""


def expand_group_normalization(found: Expansion) -> None:
    """Write out every GroupNormalization of a model of an older opset."""
    opset = next(e.version for e in found.model.opset_import if e.domain == "")

    def rule_of(node: onnx.NodeProto) -> Rule | None:
        old = opset < NEW_VERSION and kind_of(node) == "GroupNormalization"
        return _groups if old else None

    found.write_out(rule_of)


def _groups(node: onnx.NodeProto) -> Pieces:
    options = attributes(node)
    groups = options.get("num_groups", 0)
    if len(node.input) != 3 or not isinstance(groups, int) or groups < 1:
        raise OtherMeaningError(
            f"expected x, scale, bias and num_groups of at least 1, found {len(node.input)} inputs "
            f"and num_groups {groups!r}"
        )
    x, scale, bias = node.input
    target = inner_name(node, "target")
    own: dict[str, Any] = {key: options[key] for key in ("epsilon",) if key in options}
    nodes = [
        inner_node(node, "shape", "Shape", x),
        inner_node(node, "groups", "Reshape", x, target),
        inner_node(
            node, "normal", "InstanceNormalization", inner_name(node, "groups"), scale, bias, **own
        ),
        named_node(
            node,
            node.output[0],
            "Reshape",
            inner_name(node, "normal"),
            inner_name(node, "shape"),
        ),
    ]
    return Pieces(nodes, {target: np.array([0, groups, -1], np.int64)})
