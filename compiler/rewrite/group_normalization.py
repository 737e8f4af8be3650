# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""GroupNormalization as torch exports it: an InstanceNormalization of groups that a Reshape made of
channels, the Reshape back, then scale and bias of the channels.

Where channels have a scale or bias of their own, groups must have none: the product of both would
be rounded once more than the model's. A lone InstanceNormalization with scale and bias behind it,
as torch exports one that has parameters of its own type, is the same with a group a channel.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx

from ...hw.formats.tensor import AnyArray
from ..load.constants import Context, attributes
from .match import Match, make_node
from .reading import known_array

Numbers = npt.NDArray[np.float64]


@dataclass
class _Reading:
    """From a root backwards: what follows the normalisation, and the nodes so far."""

    context: Context
    channels: int
    rank: int
    nodes: set[str] = field(default_factory=set)

    def take(self, name: str, *kinds: str) -> onnx.NodeProto | None:
        """The node behind a tensor, if it is of a kind, and one of those found from now on."""
        node = self.context.source.producers.get(name)
        if node is None or node.domain or node.op_type not in kinds:
            return None
        self.nodes.add(node.name)
        return node

    def affine(self, name: str, kind: str) -> tuple[str, Numbers | None]:
        """What a constant of channels is added to, or multiplied by, and that; else itself."""
        node = self.context.source.producers.get(name)
        if node is None or node.domain or node.op_type != kind:
            return name, None
        for computed, constant in (node.input, node.input[::-1]):
            array = known_array(self.context, constant)
            own = None if array is None else self._of_channels(array)
            if own is not None:
                self.nodes.add(node.name)
                return computed, own
        return name, None

    def _of_channels(self, array: AnyArray) -> Numbers | None:
        """A constant as one number each for each channel; None if it differs along other axes."""
        full = (1,) * (self.rank - array.ndim) + array.shape
        wanted = (1, self.channels, *[1] * (self.rank - 2))
        if len(full) != self.rank or any(
            a not in (1, b) for a, b in zip(full, wanted, strict=True)
        ):
            return None
        return np.broadcast_to(array.reshape(full), wanted).reshape(-1)


class GroupNormalizationPattern:
    """A :class:`~.match.Pattern`."""

    operator = "GroupNormalization"
    before = "[Reshape](InstanceNormalization([Reshape](x), s, b)) [* scale] [+ bias]"
    after = "GroupNormalization<num_groups, epsilon>(x, scale, bias)"

    def match(self, context: Context, root: onnx.NodeProto) -> Match | None:
        """The normalisation that ends at a node, if there is one."""
        value = context.source.values.get(root.output[0])
        if root.domain or root.op_type not in ("Add", "Mul", "Reshape") or value is None:
            return None
        if not value.dtype.startswith("float") or len(value.shape) < 3:
            return None
        shape = value.shape
        reading = _Reading(context, shape[1], len(shape))
        name, bias = reading.affine(root.output[0], "Add")
        name, scale = reading.affine(name, "Mul")
        back = reading.take(name, "Reshape")
        normal = reading.take(name if back is None else back.input[0], "InstanceNormalization")
        if normal is None or root.name not in reading.nodes:
            return None
        x = normal.input[0]
        groups = _shape(context, x)
        if back is not None:
            there = reading.take(x, "Reshape")
            if there is None:
                return None
            x = there.input[0]
        if _shape(context, x) != shape or len(groups) < 3 or groups[0] != shape[0]:
            return None
        if shape[1] % groups[1] or (back is None and groups != shape):
            return None
        own = _parameters(context, normal, scale, bias, shape[1] // groups[1])
        if own is None:
            return None
        y = root.output[0]
        new = {f"{y}::{word}": array.astype(np.float32) for word, array in own.items()}
        options: dict[str, Any] = {"num_groups": groups[1]}
        options["epsilon"] = attributes(normal).get("epsilon", 1e-5)
        node = make_node(self.operator, [x, *new], y, options)
        return Match(frozenset(reading.nodes), (node,), new)


def _shape(context: Context, name: str) -> tuple[int, ...]:
    value = context.source.values.get(name)
    return () if value is None else value.shape


def _parameters(
    context: Context,
    normal: onnx.NodeProto,
    scale: Numbers | None,
    bias: Numbers | None,
    channels: int,
) -> dict[str, Numbers] | None:
    """Scale and bias of each channel, where those of its group need not be multiplied in."""
    own = [known_array(context, name) for name in normal.input[1:3]]
    first, second = own
    if first is None or second is None:
        return None
    if scale is not None and ((first != 1).any() or second.any()):
        return None
    if bias is not None and second.any():
        return None
    return {
        "scale": first.repeat(channels) if scale is None else scale,
        "bias": second.repeat(channels) if bias is None else bias,
    }


GROUP_NORMALIZATION = GroupNormalizationPattern()
