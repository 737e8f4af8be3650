# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""Attention (ONNX operator versions 23 to 25), written out while loading, once types are known.

Scores and weights are tensors then, as they are where exporters spell attention out: calibration
sees them, they have grids, and their losses are reported.

T1. The product of queries and keys is scaled once, which is what scaling both by the root means.
T2. Where several heads of queries share one of keys and values, each of those follows the one
    before along the queries' axis of one longer matrix, so nothing is repeated.
T3. A position that a boolean mask, causality or a window leaves out has the lowest score that its
    type has. That is no weight, unless a query has no key at all, which is refused.
T4. Keys and values of before (a cache) are inputs like any other, and outputs with the new ones
    behind them: whoever calls keeps them, for a slice has no state.
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
    queries, keys, past : rows of both, and how many of the keys' are of before (rule T4)
    depth, width : elements of a key's row, and of a value's
    flat : whether heads lie side by side in rows, in tensors of three axes
    """

    heads: int
    shared: int
    queries: int
    keys: int
    past: int
    depth: int
    width: int
    flat: bool

    @classmethod
    def of(cls, options: Mapping[str, Any], shapes: Sequence[tuple[int, ...]], past: int) -> _Sizes:
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
        return cls(heads, shared, q[-2], past + k[-2], past, depth, width, flat)

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

    def output(self, name: str, kind: str, *inputs: str) -> None:
        """A node that makes an output beside the first."""
        node = inner_node(self.node, name, kind, *inputs)
        node.output[0] = name
        self.nodes.append(node)

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
    if _port(node.input, _VALID):
        raise OtherMeaningError(
            "expected keys that all count, found nonpad_kv_seqlen; a mask may leave some out"
        )
    past = _shape(types, name)[2] if (name := _port(node.input, _PAST)) else 0
    sizes = _Sizes.of(options, [_shape(types, name) for name in node.input[:3]], past)
    dtype = onnx.helper.tensor_dtype_to_np_dtype(types[node.input[0]].tensor_type.elem_type)
    new = _Writer(node, dtype)
    queries, keys, values = _operands(new, sizes)
    scores = new.add("scores", "MatMul", queries, keys)
    # Zero, which no scale is, stands for one that is not given.
    scale = float(options.get("scale", 0)) or 1 / math.sqrt(sizes.depth)
    scores = new.add("scaled", "Mul", scores, new.constant("scale", scale, dtype))
    stages = [scores]
    if bound := float(options.get("softcap", 0)):
        cap = new.constant("cap", bound, dtype)
        bent = new.add("bent", "Tanh", new.add("ratio", "Div", scores, cap))
        scores = new.add("capped", "Mul", bent, cap)
    stages.append(scores)
    masks = _masks(new, sizes, options, types, stored)
    if masks:
        scores = _masked(new, sizes, scores, masks)
    stages.append(scores)
    stages.append(new.add("weights", "Softmax", scores, axis=-1))
    if shown := _port(node.output, _SHOWN):
        # As many heads as queries have.
        shape = [0, sizes.heads, sizes.queries, sizes.keys]
        stage = stages[int(options.get("qk_matmul_output_mode", 0))]
        new.output(shown, "Reshape", stage, new.constant("shown", shape))
    _write_result(new, sizes, stages[-1], values)
    return Pieces(new.nodes, new.constants)


_MASK, _PAST, _VALID = 3, 4, 6
"""Positions of inputs; values of before follow the keys of before."""

_PRESENT, _SHOWN = 1, 3
"""Positions of outputs, likewise."""


def _port(names: Sequence[str], index: int) -> str:
    """The tensor at a position; empty if it is left out."""
    return names[index] if len(names) > index else ""


def _shape(types: Mapping[str, onnx.TypeProto], name: str) -> tuple[int, ...]:
    shape = static_shape(types[name]) if name in types else None
    if shape is None:
        raise OtherMeaningError(f"the shape of {name!r} is not known")
    return shape


def _operands(new: _Writer, sizes: _Sizes) -> list[str]:
    """Queries, keys turned, and values, each as (batch, heads of keys, rows, columns)."""
    q, k, v = new.node.input[:3]
    turned = [0, 1, 3, 2]
    if sizes.flat:
        q, k, v = (
            new.reshaped(f"{word}_heads", x, [0, n, size])
            for word, x, n, size in (
                ("queries", q, sizes.heads, sizes.depth),
                ("keys", k, sizes.shared, sizes.depth),
                ("values", v, sizes.shared, sizes.width),
            )
        )
        q = new.add("queries", "Transpose", q, perm=[0, 2, 1, 3])
        v = new.add("values", "Transpose", v, perm=[0, 2, 1, 3])
        turned = [0, 2, 3, 1]
        if _has_cache(new.node):
            k, turned = new.add("keys_apart", "Transpose", k, perm=[0, 2, 1, 3]), [0, 1, 3, 2]
    if _has_cache(new.node):
        k, v = (_joined(new, index, name) for index, name in enumerate((k, v)))
    k = new.add("keys", "Transpose", k, perm=turned)
    if sizes.grouped:
        q = new.reshaped("queries_joined", q, [sizes.shared, sizes.rows, sizes.depth])
    return [q, k, v]


def _has_cache(node: onnx.NodeProto) -> bool:
    """Whether keys or values come from before or are wanted behind (rule T4)."""
    return any(
        _port(names, first + index)
        for names, first in ((node.input, _PAST), (node.output, _PRESENT))
        for index in range(2)
    )


def _joined(new: _Writer, index: int, name: str) -> str:
    """Keys (0) or values (1) with those of before in front (rule T4)."""
    past, present = _port(new.node.input, _PAST + index), _port(new.node.output, _PRESENT + index)
    word = ("all_keys", "all_values")[index]
    if past:
        name = new.add(word, "Concat", past, name, axis=2)
    if present:
        new.output(present, "Identity", name)
    return name


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
    stays = _in_reach(sizes, options)
    if not stays.all():
        found.append(_Mask(new.constant("in_reach", stays, bool), adds=False))
    if not stays.any(axis=-1).all():
        raise OtherMeaningError(
            f"expected a key for every query, found none of {sizes.keys} in reach of one"
        )
    name = _port(new.node.input, _MASK)
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


def _in_reach(sizes: _Sizes, options: Mapping[str, Any]) -> AnyArray:
    """Which keys each query may see: those before it, or within a window (opset 25)."""
    # How far a key lies to the right of its query, which stands behind the keys of before.
    right = np.arange(sizes.keys) - np.arange(sizes.past, sizes.past + sizes.queries)[:, None]
    reach = int(options.get("right_window_size", -1)), int(options.get("left_window_size", -1))
    stays = np.ones(right.shape, bool)
    for bound, distance in zip(reach, (right, -right), strict=True):
        stays &= (distance <= bound) | (bound < 0)
    return stays & (right <= 0) if options.get("is_causal", 0) else stays


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
