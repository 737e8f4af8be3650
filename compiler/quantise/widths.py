# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""How many bits each layer gets of what midwire quantises.

A *layer* is a tensor that gets a grid, with the nodes that lead to it from the grids before: a
convolution, its bias and its Relu, say. Its bits are those of its weights and of its result, so
that one number says what it loses and costs. It goes by the name of that tensor, or of any of its
nodes.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType

from ..errors import OptionError
from ..ir.graph import Graph
from .grids import DYADIC_ABOVE

LEAST, MOST = 2, 16
"""Bits that midwire quantises to."""

DEFAULT_BITS = 8
"""Bits of all layers of which nothing is said, unless they lose too much: the least at which sound
networks by others hardly change their answers (docs/quantising.md)."""

AUTO = "auto"
"""What stands for widths that midwire chooses."""


@dataclass(frozen=True)
class Widths:
    """Bits of all layers, and of those by name that differ."""

    default: int = DEFAULT_BITS
    layers: Mapping[str, int] = field(default_factory=lambda: MappingProxyType({}), hash=False)

    def __post_init__(self) -> None:
        for bits in (self.default, *self.layers.values()):
            if not LEAST <= bits <= MOST:
                raise OptionError(
                    "unusable bit width",
                    where="--bits",
                    expected=f"{LEAST} to {MOST}",
                    found=str(bits),
                    remedy=f"{DEFAULT_BITS} suits most models",
                )

    @property
    def least(self) -> int:
        """The fewest bits of any layer."""
        return min(self.default, *self.layers.values(), MOST)

    @property
    def text(self) -> str:
        """As ``--bits`` takes it."""
        return ",".join([str(self.default), *(f"{k}={v}" for k, v in self.layers.items())])

    def of(self, layer: Layer) -> int:
        """Bits of a layer."""
        return next((self.layers[n] for n in layer.names if n in self.layers), self.default)


def parse(text: str | int) -> Widths:
    """Widths as a user writes them: ``8``, or ``8,LAYER=12,...``, or ``LAYER=12``.

    Raises
    ------
    OptionError
        If it is none of these, or a width is not from 2 to 16.
    """
    default, layers = DEFAULT_BITS, {}
    for part in str(text).split(","):
        # The name of a tensor may hold anything but a comma.
        named = re.fullmatch(r"\s*(?:(.+)=)?\s*(-?[0-9]{1,9})\s*", part)
        if named is None:
            raise OptionError(
                "unusable bit widths",
                where="--bits",
                expected="a number, auto, or LAYER=NUMBER, several with commas",
                found=repr(part),
                remedy="Write --bits 8, say, or --bits 8,LAYER=12",
            )
        if named[1] is None:
            default = int(named[2])
        else:
            layers[named[1]] = int(named[2])
    return Widths(default, MappingProxyType(layers))


@dataclass(frozen=True)
class Layer:
    """Attributes: ``tensor`` that gets a grid, and all ``names`` that the layer goes by."""

    tensor: str
    names: tuple[str, ...]
    nodes: tuple[str, ...] = ()


def layers_of(graph: Graph, tensors: Sequence[str]) -> list[Layer]:
    """The layers of the tensors that get grids, in their order.

    A node belongs to the first layer that it leads to; so each belongs to one at most.
    """
    taken: set[str] = set()
    found: list[Layer] = []
    wanted = set(tensors)
    for tensor in tensors:
        nodes: list[str] = []
        names = [tensor]
        pending = [tensor]
        while pending:
            node = graph.producer(pending.pop())
            if node is None or node.name in taken:
                continue
            taken.add(node.name)
            nodes.append(node.name)
            names += [node.name, *node.sources, *node.outputs]
            pending += [name for name in node.inputs if name not in wanted]
        found.append(Layer(tensor, tuple(dict.fromkeys(names)), tuple(nodes)))
    return found


def check_names(widths: Widths, layers: Sequence[Layer]) -> None:
    """Refuse a width of a layer that there is not.

    Raises
    ------
    OptionError
        If a name is none of a layer that midwire quantises; lists some that are.
    """
    known = {name for layer in layers for name in layer.names}
    for name in widths.layers:
        if name not in known:
            some = ", ".join(repr(layer.tensor) for layer in layers[:8])
            raise OptionError(
                "no such layer to quantise",
                where="--bits",
                expected=f"a tensor or node of the slice that has no grid of its own: {some}"
                + (" ..." if len(layers) > 8 else "")
                if layers
                else "no widths by layer: the model brings every grid",
                found=repr(name),
                remedy="Take the name from the model, or from a compile's list of layers",
            )


def gridded(graph: Graph, name: str, known: Collection[str]) -> str:
    """The known tensor whose grid another one keeps; where there is none, the farthest back."""
    producer = graph.producer(name)
    while name not in known and producer is not None:
        kept = producer.kept_from(name)
        if kept is None:
            break
        name, producer = kept, graph.producer(kept)
    return name


def dyadic_layers(graph: Graph, layers: Sequence[Layer], widths: Widths) -> frozenset[str]:
    """The tensors that get scales that are powers of two: those of more than
    :data:`~.grids.DYADIC_ABOVE` bits, and those that meet one in a node.

    Where several computed tensors meet (Add, Concat), no layer's weights can make up for scales
    that do not go together, so one of them that is wide decides for all, and for the result.
    """
    bits = {layer.tensor: widths.of(layer) for layer in layers}
    ends = {node: layer.tensor for layer in layers for node in layer.nodes}

    groups = [
        {gridded(graph, name, bits) for name in node.inputs} | {ends.get(node.name, "")}
        for node in graph.nodes
        if len(node.inputs) > 1
    ]
    found = {tensor for tensor, count in bits.items() if count > DYADIC_ABOVE}
    while True:
        more = {name for group in groups if group & found for name in group} - found
        if not more:
            return frozenset(found & bits.keys())
        found |= more
