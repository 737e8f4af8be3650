# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""Rounding to a grid as arithmetic: quantisers of QONNX, as :mod:`~..load.qonnx` writes them out.

Bounds that do not fill a type (a narrow range) are a Clip. QuantizeLinear adds its zero point after
rounding, this arithmetic before: ties round alike where it is even. From an odd one, 1 is taken and
added to ``x / scale``, and the integers mean what they would have meant.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import onnx

from ...hw.formats.tensor import AnyArray
from ...hw.numeric import IntType
from ..ir.graph import Value
from ..load.constants import Context
from ..load.quantiser import Quantiser, find_quantiser
from .match import Match, make_node
from .reading import known_array, known_number


@dataclass(frozen=True)
class Rounding:
    """A :class:`~.match.Pattern`; ``bipolar`` for two values, else for all of a range."""

    operator: str
    before: str
    after: str
    bipolar: bool

    def match(self, context: Context, root: onnx.NodeProto) -> Match | None:
        """The quantiser that ends at a node."""
        found = find_quantiser(context, root)
        if found is None or found.bipolar != self.bipolar:
            return None
        values = [context.source.values.get(name) for name in (found.x, root.output[0])]
        x, y = values
        if x is None or y is None or x.shape != y.shape or x.dtype != "float32":
            return None
        made = Nodes(root, x.shape)
        if found.bipolar:
            made.add("BipolarQuant", "signs", found.x, found.scale)
            made.round(found.scale, 0, 0, IntType(2, True))
        elif not _uniform(context, found, made):
            return None
        return Match(found.nodes, tuple(made.nodes), made.constants, tuple(made.values))


def _uniform(context: Context, found: Quantiser, made: Nodes) -> bool:
    """The nodes for a range; False if its zero point is none."""
    zero = known_number(context, found.zero_point, 0.0)
    scale = known_array(context, found.scale)
    if zero is None or zero % 1:
        return False
    offset = int(zero)
    odd = offset % 2
    made.last = found.x
    if odd:
        made.add("Add", "next", made.last, found.scale)
    kind = IntType.holding(found.low, found.high)
    whole = (kind.lo, kind.hi) == (found.low, found.high)
    if not whole and scale is not None and scale.size == 1:  # QuantizeLinear's rule refuses others
        made.clamp(scale, found.low - offset + odd, found.high - offset + odd)
    made.round(found.scale, offset - odd, offset, kind)
    return True


@dataclass
class Nodes:
    """What stands in the place of a root, so far; ``last`` is the tensor that it made."""

    root: onnx.NodeProto
    shape: tuple[int, ...]
    nodes: list[onnx.NodeProto] = field(default_factory=list)
    constants: dict[str, AnyArray] = field(default_factory=dict)
    values: list[Value] = field(default_factory=list)
    last: str = ""

    def add(self, kind: str, word: str, *inputs: str, dtype: str = "float32") -> None:
        """A node with a tensor of its own."""
        self.last = f"{self.root.name}::{word}"
        self.nodes.append(make_node(kind, inputs, self.last, {}))
        self.values.append(Value(self.last, self.shape, dtype))

    def round(self, scale: str, before: int, zero_point: int, kind: IntType) -> None:
        """QuantizeLinear and DequantizeLinear, each with its zero point."""
        names = []
        for word, zero in (("even", before), ("zero", zero_point)):
            names.append(f"{self.root.name}::{word}")
            self.constants[names[-1]] = np.array(zero, np.int64)
        dtype = f"{'' if kind.signed else 'u'}int{kind.bits}"
        self.add("QuantizeLinear", "integers", self.last, scale, names[0], dtype=dtype)
        inputs = [self.last, scale, names[1]]
        self.nodes.append(make_node("DequantizeLinear", inputs, self.root.output[0], {}))

    def clamp(self, scale: AnyArray, least: int, most: int) -> None:
        """Bounds in steps of a grid of one scale."""
        ends = []
        for word, end in (("least", least), ("most", most)):
            ends.append(f"{self.root.name}::{word}")
            self.constants[ends[-1]] = (scale * end).astype(np.float32)
        self.add("Clip", "clamped", self.last, *ends)


QUANTISER = Rounding(
    "QuantizeLinear",
    before="(clip(round(x / scale + zero_point), low, high) - zero_point) * scale",
    after="DequantizeLinear(QuantizeLinear(clip(x), scale, zero_point), scale, zero_point)",
    bipolar=False,
)

BIPOLAR_QUANTISER = Rounding(
    "BipolarQuant",
    before="where(x < 0, -scale, scale)",
    after="DequantizeLinear(QuantizeLinear(BipolarQuant(x, scale), scale), scale)",
    bipolar=True,
)
