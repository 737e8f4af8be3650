# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""Types node by node: whatever ONNX can infer of a model as a whole."""

from __future__ import annotations

import onnx
import pytest
from onnx.defs import get_all_schemas_with_history

from midwire.compiler.load.evaluate import static_shape
from midwire.compiler.load.infer import analyse

OLDEST = 7
"""Version of the default domain."""

OTHERWISE = {
    ("Compress", 9): "as many elements as a condition says",
    ("GlobalLpPool", 2): "no operator of a slice",
    ("GroupNormalization", 21): "reads a scale and a bias: tests/compiler/rewrite",
}


def without_inference() -> set[tuple[str, int]]:
    """Operators that ONNX has no inference for, but maybe a definition by others, as of opset 7."""
    versions: dict[str, list[onnx.defs.OpSchema]] = {}
    for schema in get_all_schemas_with_history():
        if not schema.domain and not schema.deprecated:
            versions.setdefault(schema.name, []).append(schema)
    found = set()
    for name, schemas in versions.items():
        usable = sorted(s.since_version for s in schemas)
        first = max((v for v in usable if v <= OLDEST), default=0)
        found |= {
            (name, s.since_version)
            for s in schemas
            if not s.has_type_and_shape_inference_function and s.since_version >= first
        }
    return found


DEFINED_BY_OTHERS = [
    ("GreaterOrEqual", 12, "x, x", onnx.TensorProto.BOOL),
    ("GreaterOrEqual", 15, "x, x", onnx.TensorProto.BOOL),
    ("LessOrEqual", 13, "x, x", onnx.TensorProto.BOOL),
    ("MeanVarianceNormalization", 9, "x", onnx.TensorProto.FLOAT),
    ("MeanVarianceNormalization", 17, "x", onnx.TensorProto.FLOAT),
]


@pytest.mark.parametrize(("operator", "opset", "inputs", "kind"), DEFINED_BY_OTHERS)
def test_operators_that_others_define(operator: str, opset: int, inputs: str, kind: int) -> None:
    model = onnx.parser.parse_model(
        f'<ir_version: 7, opset_import: ["" : {opset}]>'
        f"g (float[2, 3, 4, 5] x) => (float[2, 3, 4, 5] y) {{ y = {operator}({inputs}) }}"
    )
    found = analyse(model, opset, {}).types["y"]
    assert static_shape(found) == (2, 3, 4, 5) and found.tensor_type.elem_type == kind


def test_no_other_operator_is_without_inference() -> None:
    """A new one belongs into one of the two tables above."""
    known = {name for name, *_ in DEFINED_BY_OTHERS} | {name for name, _ in OTHERWISE}
    assert {name for name, _ in without_inference()} <= known
