# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""Which refusals are root causes, and which only follow from another one.

A node that is refused for what it reads (a tensor without a known shape, integers where reals are
expected) follows from an unsupported node that makes it, directly or by way of nodes that hand the
same fault on. People are told the root causes first.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from ..load.source import Source

if TYPE_CHECKING:
    from .support import NodeSupport


def with_roots(source: Source, verdicts: Sequence[NodeSupport]) -> tuple[NodeSupport, ...]:
    """The verdicts, in topological order, each that follows from another one with its name."""
    makers: dict[str, NodeSupport] = {}
    found: list[NodeSupport] = []
    for verdict in verdicts:
        root = _root(source, makers, verdict)
        if root is not None:
            verdict = replace(verdict, follows=root.follows or root.name)
        makers.update(dict.fromkeys(verdict.outputs, verdict))
        found.append(verdict)
    return tuple(found)


def _root(
    source: Source, makers: dict[str, NodeSupport], verdict: NodeSupport
) -> NodeSupport | None:
    """The unsupported unit that a refusal comes from; None if it is its own."""
    waiting = [name for name in verdict.inputs if name in verdict.blamed]
    if not waiting and set(verdict.blamed) & set(verdict.outputs):
        waiting = [name for name in verdict.inputs if not _is_known(source, name)]
    seen = set(waiting)
    while waiting:
        maker = makers.get(waiting.pop())
        if maker is None:
            continue
        if not maker.supported:
            return maker
        further = [name for name in maker.inputs if not _is_sound(source, name)]
        waiting.extend(name for name in further if name not in seen)
        seen.update(further)
    return None


def _is_known(source: Source, name: str) -> bool:
    return name in source.values


def _is_sound(source: Source, name: str) -> bool:
    """Whether a tensor has a known shape, and real numbers as elements."""
    return _is_known(source, name) and source.values[name].dtype.startswith("float")
