# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""Values that make no difference to whoever reads them: what an attention has masked, say.

A grid that held them too would have no steps left for the others. They become the grid's lowest or
highest integer, as what is beyond its ends does anyway.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from ...hw.formats.tensor import AnyArray
from ..ir.graph import Graph

Counted = Mapping[str, Callable[[AnyArray], AnyArray]]
"""For such tensors, by name: one sample's array to the values that a grid has to hold."""


def counted(graph: Graph) -> Counted:
    """The tensors that are read by one operator, which does not tell all values apart."""
    found = {}
    for name in (*graph.inputs, *(made for node in graph.nodes for made in node.outputs)):
        readers = graph.consumers(name)
        if len(readers) == 1 and name not in graph.outputs and not readers[0].op.tells_all:
            found[name] = readers[0].op.told_apart
    return found
