# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""An operator of integers and their scales (ONNX Runtime's QOperator format): each node is a
pattern by itself, which becomes what :mod:`~..load.qoperator` writes out.
"""

from __future__ import annotations

from dataclasses import dataclass

import onnx

from ..load.constants import Context
from ..load.qoperator import FORMS, grid_inputs, infer_pieces, write_out
from ..load.source import MICROSOFT, MICROSOFT_QUANTISERS, kind_of, reads, type_of, value_of
from .match import Match


@dataclass(frozen=True)
class QuantisedOperator:
    """A :class:`~.match.Pattern`; ``kind`` is the node's domain and type, ``operator`` what it
    computes on reals.
    """

    kind: str
    operator: str

    @property
    def before(self) -> str:
        """The node as text."""
        if self.kind in FORMS:
            return f"{self.kind}(x, x_scale, x_zero, ..., y_scale, y_zero)"
        return f"{self.kind}(x, scale, zero_point)"

    @property
    def after(self) -> str:
        """What it means, as text."""
        if self.kind in FORMS:
            real = f"{self.operator}(DequantizeLinear(x, x_scale, x_zero), ...)"
            return f"QuantizeLinear({real}, y_scale, y_zero)"
        return f"{self.operator}(x, scale, zero_point), as in the newest opset"

    def match(self, context: Context, root: onnx.NodeProto) -> Match | None:
        """The node, if it has a form that is known."""
        if kind_of(root) != self.kind:
            return None
        source = context.source
        if not all(name in source.constants for name in grid_inputs(root)):
            return None
        known = {name: source.values[name] for name in reads(root) if name in source.values}
        types = {name: type_of(value) for name, value in known.items()}
        written = write_out(root, types)
        if written is None:
            return None
        values = [value_of(name, kind) for name, kind in infer_pieces(written, types).items()]
        return Match(
            frozenset({root.name}),
            tuple(written.nodes),
            written.constants,
            tuple(v for v in values if v is not None and v.name != root.output[0]),
        )


QUANTISED_OPERATORS = (
    *(QuantisedOperator(kind, form.operator) for kind, form in FORMS.items()),
    *(QuantisedOperator(f"{MICROSOFT}.{kind}", kind) for kind in MICROSOFT_QUANTISERS),
)
