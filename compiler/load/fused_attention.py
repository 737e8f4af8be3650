# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""Attention (ONNX operator versions 23 and 24), written out while loading, once types are known.

Scores and weights are tensors then, as they are where exporters spell attention out: calibration
sees them, they have grids, and their losses are reported.

T1. The product of queries and keys is scaled once, which is what scaling both by the root means.
T2. Where several heads of queries share one of keys and values, each of those follows the one
    before along the queries' axis of one longer matrix, so nothing is repeated.
T3. A position that a boolean mask or causality leaves out has the lowest score that its type has.
    That is no weight, unless a query has no key at all, which is refused.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import onnx

from ...hw.formats.tensor import AnyArray
from .constants import attributes
from .evaluate import static_shape
from .expansion import Expansion, OtherMeaningError, Pieces, inner_name, inner_node, named_node
from .infer import analyse
from .source import kind_of

_UNREAD = (
    (1, "present_key"),
    (2, "present_value"),
    (3, "qk_matmul_output"),
)
_NOT_GIVEN = (
    (4, "past_key"),
    (5, "past_value"),
    (6, "nonpad_kv_seqlen"),
)


def expand_attention(found: Expansion, opset: int, initialisers: Mapping[str, AnyArray]) -> None:
    """Write out every Attention of a bound, sorted model with unique names (rules T1 to T3)."""
    if not any(_is_attention(node) for node in found.model.graph.node):
        return
    types = analyse(found.model, opset, initialisers).types
    found.write_out(
        lambda node: (
            (lambda node: _written(node, types, initialisers)) if _is_attention(node) else None
        )
    )


def _is_attention(node: onnx.NodeProto) -> bool:
    return kind_of(node) == "Attention"


@dataclass(frozen=True)
class _Sizes:
    """Sizes of an Attention.

    Attributes
    ----------
    heads, shared : heads of the queries, and of keys and values
    queries, keys : rows of both
    depth, width : elements of a key's row, and of a value's
    flat : whether heads lie side by side in rows, in tensors of three axes
    """

    heads: int
    shared: int
    queries: int
    keys: int
    depth: int
    width: int
    flat: bool

    @classmethod
    def of(cls, options: Mapping[str, Any], shapes: Sequence[tuple[int, ...]]) -> _Sizes:
        """From the shapes of queries, keys and values; raises OtherMeaningError."""
        q, k, v = shapes
        flat = len(q) == 3
        if {len(shape) for shape in shapes} not in ({3}, {4}):
            raise OtherMeaningError(
                "expected queries, keys and values of 3 axes or of 4, found the shapes "
                + ", ".join(str(list(shape)) for shape in shapes)
            )
        heads = int(options.get("q_num_heads", 0)) if flat else q[1]
        shared = int(options.get("kv_num_heads", 0)) if flat else k[1]
        counts = (heads, shared, shared) if flat else (1, 1, 1)
        if (
            min(heads, shared) < 1
            or heads % shared
            or any(shape[-1] % count for shape, count in zip(shapes, counts, strict=True))
        ):
            raise OtherMeaningError(
                "expected heads that divide rows, those of keys those of queries, found "
                f"{heads} and {shared} heads of the shapes "
                + ", ".join(str(list(shape)) for shape in shapes)
            )
        depth, width = q[-1] // counts[0], v[-1] // counts[2]
        return cls(heads, shared, q[-2], k[-2], depth, width, flat)

    @property
    def grouped(self) -> bool:
        """Whether several heads of queries share one of keys."""
        return self.heads != self.shared

    @property
    def rows(self) -> int:
        """Rows of queries for each head of keys (rule T2)."""
        return self.heads // self.shared * self.queries


@dataclass
class _Writer:
    """Nodes of one Attention, and constants of theirs."""

    node: onnx.NodeProto
    dtype: Any
    nodes: list[onnx.NodeProto] = field(default_factory=list)
    constants: dict[str, AnyArray] = field(default_factory=dict)

    def add(self, word: str, kind: str, *inputs: str, **options: Any) -> str:
        """A node; its output."""
        self.nodes.append(inner_node(self.node, word, kind, *inputs, **options))
        return self.nodes[-1].name

    def constant(self, word: str, values: Any, dtype: Any = np.int64) -> str:
        """A constant; its name."""
        name = inner_name(self.node, word)
        self.constants[name] = np.array(values, dtype)
        return name

    def reshaped(self, word: str, name: str, shape: Sequence[int]) -> str:
        """A Reshape, which keeps the batch."""
        return self.add(word, "Reshape", name, self.constant(f"{word}_shape", [0, *shape]))


def _written(
    node: onnx.NodeProto, types: Mapping[str, onnx.TypeProto], stored: Mapping[str, AnyArray]
) -> Pieces:
    options = attributes(node)
    _check_ports(node)
    sizes = _Sizes.of(options, [_shape(types, name) for name in node.input[:3]])
    dtype = onnx.helper.tensor_dtype_to_np_dtype(types[node.input[0]].tensor_type.elem_type)
    new = _Writer(node, dtype)
    queries, keys, values = _operands(new, sizes)
    scores = new.add("scores", "MatMul", queries, keys)
    # Zero, which no scale is, stands for one that is not given.
    scale = float(options.get("scale", 0)) or 1 / math.sqrt(sizes.depth)
    scores = new.add("scaled", "Mul", scores, new.constant("scale", scale, dtype))
    if bound := float(options.get("softcap", 0)):
        cap = new.constant("cap", bound, dtype)
        bent = new.add("bent", "Tanh", new.add("ratio", "Div", scores, cap))
        scores = new.add("capped", "Mul", bent, cap)
    masks = _masks(new, sizes, options, types, stored)
    if masks:
        scores = _masked(new, sizes, scores, masks)
    weights = new.add("weights", "Softmax", scores, axis=-1)
    _write_result(new, sizes, weights, values)
    return Pieces(new.nodes, new.constants)


def _check_ports(node: onnx.NodeProto) -> None:
    """Caches of keys and values would be state, of which a slice has none."""
    for index, name in _NOT_GIVEN:
        if len(node.input) > index and node.input[index]:
            raise OtherMeaningError(f"expected queries, keys, values and a mask, found {name}")
    for index, name in _UNREAD:
        if len(node.output) > index and node.output[index]:
            raise OtherMeaningError(f"expected one output, found {name}")


def _shape(types: Mapping[str, onnx.TypeProto], name: str) -> tuple[int, ...]:
    shape = static_shape(types[name]) if name in types else None
    if shape is None:
        raise OtherMeaningError(f"the shape of {name!r} is not known")
    return shape


def _operands(new: _Writer, sizes: _Sizes) -> list[str]:
    """Queries, keys turned, and values, each as (batch, heads of keys, rows, columns)."""
    turned = [0, 1, 3, 2]
    q, k, v = new.node.input[:3]
    if sizes.flat:
        parts = [
            ("queries", q, [0, 2, 1, 3], sizes.heads, sizes.depth),
            ("keys", k, [0, 2, 3, 1], sizes.shared, sizes.depth),
            ("values", v, [0, 2, 1, 3], sizes.shared, sizes.width),
        ]
        q, k, v = (
            new.add(word, "Transpose", new.reshaped(f"{word}_heads", x, [0, n, size]), perm=perm)
            for word, x, perm, n, size in parts
        )
    else:
        k = new.add("keys", "Transpose", k, perm=turned)
    if sizes.grouped:
        q = new.reshaped("queries_joined", q, [sizes.shared, sizes.rows, sizes.depth])
    return [q, k, v]


@dataclass(frozen=True)
class _Mask:
    """A mask: what is added, or where scores stay (rule T3)."""

    name: str
    adds: bool


def _masks(
    new: _Writer,
    sizes: _Sizes,
    options: Mapping[str, Any],
    types: Mapping[str, onnx.TypeProto],
    stored: Mapping[str, AnyArray],
) -> list[_Mask]:
    """The masks of a node; raises OtherMeaningError."""
    found: list[_Mask] = []
    stays = np.ones((sizes.queries, sizes.keys), bool)
    if options.get("is_causal", 0):
        stays = np.tril(stays)
        found.append(_Mask(new.constant("causal", stays, bool), adds=False))
    name = new.node.input[3] if len(new.node.input) > 3 else ""
    if not name:
        return found
    shape = _shape(types, name)
    if not shape or shape[-1] != sizes.keys:
        raise OtherMeaningError(
            f"expected a mask for each of {sizes.keys} keys, found the shape {list(shape)}"
        )
    if types[name].tensor_type.elem_type != onnx.TensorProto.BOOL:
        return [*found, _Mask(name, adds=True)]
    if name not in stored:
        raise OtherMeaningError(
            f"expected a boolean mask that the model stores, found {name!r}, which is computed; a "
            "mask of reals, which is added, may be"
        )
    if not (stored[name] & stays).any(axis=-1).all():
        raise OtherMeaningError(
            f"expected a key for every query, found one that {name!r} leaves none"
        )
    return [*found, _Mask(name, adds=False)]


def _masked(new: _Writer, sizes: _Sizes, scores: str, masks: Sequence[_Mask]) -> str:
    """Scores behind masks, which broadcast to a matrix for each head of queries."""
    if sizes.grouped:
        scores = new.reshaped("apart", scores, [sizes.heads, sizes.queries, sizes.keys])
    for index, mask in enumerate(masks):
        word = f"masked{index or ''}"
        if mask.adds:
            scores = new.add(word, "Add", scores, mask.name)
        else:
            lowest = new.constant("lowest", np.finfo(new.dtype).min, new.dtype)
            scores = new.add(word, "Where", mask.name, scores, lowest)
    if sizes.grouped:
        scores = new.reshaped("joined", scores, [sizes.shared, sizes.rows, sizes.keys])
    return scores


def _write_result(new: _Writer, sizes: _Sizes, weights: str, values: str) -> None:
    """The product with the values, its heads where the queries had theirs."""
    node = new.node
    steps: list[tuple[str, list[str], dict[str, Any]]] = [("MatMul", [values], {})]
    if sizes.grouped:
        apart = new.constant("heads", [0, sizes.heads, sizes.queries, sizes.width])
        steps.append(("Reshape", [apart], {}))
    if sizes.flat:
        steps.append(("Transpose", [], {"perm": [0, 2, 1, 3]}))
        rows = new.constant("rows", [0, 0, sizes.heads * sizes.width])
        steps.append(("Reshape", [rows], {}))
    name = weights
    for index, (kind, others, options) in enumerate(steps[:-1]):
        name = new.add(f"result{index or ''}", kind, name, *others, **options)
    kind, others, options = steps[-1]
    new.nodes.append(named_node(node, node.output[0], kind, name, *others, **options))
