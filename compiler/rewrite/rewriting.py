# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""The rewriting stage: what exporters spell out in many nodes becomes the operators that it means.

R1. A pattern is found from its last node (the root) backwards. Later roots go first, so a longer
    spelling wins over a part of it; no node stands in two patterns.
R2. A pattern matches only where nothing else reads its inner tensors, and none of them is an output
    of the model: then they are nobody's business, and no cut. Nodes that make constants do not
    count (a Shape, which is folded), nor do those that no output depends on: nothing computes them.
R3. The model's own nodes stay what they are. A :class:`Unit` says which of them it stands for, and
    everything outside selection (the model's parts, calibration, losses) works on those.
R4. A unit is judged and cut as one. Units stand in topological order, each where its last node was.

A channel shuffle (Reshape, Transpose, Reshape) needs no pattern: the three are views that compose
to another order of the same stream, and a reorder buffer goes where a convolution behind wants its
own. A PixelShuffle spelled out that way is the same.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import onnx

from ..load.constants import attributes
from ..load.source import Source, reads
from .match import Match, Pattern
from .patterns import PATTERNS
from .reading import Readings


@dataclass(frozen=True, eq=False)
class Unit:
    """What selection takes as one (rule R4).

    Attributes
    ----------
    name : that of its last own node
    nodes : the nodes to import, in order
    sources : the model's own nodes that it stands for, in order
    operator : the operator of its pattern; empty for a node of the model's own
    """

    name: str
    nodes: tuple[onnx.NodeProto, ...]
    sources: tuple[onnx.NodeProto, ...]
    operator: str = ""


@dataclass(frozen=True, eq=False)
class Rewritten:
    """A model after rewriting.

    Attributes
    ----------
    own : the model with its own nodes
    source : the model with the nodes that are imported; its ``model`` has nodes only
    units : all of it, in order
    """

    own: Source
    source: Source
    units: tuple[Unit, ...]


def rewrite(source: Source, patterns: Sequence[Pattern] = PATTERNS) -> Rewritten:
    """Find the patterns in a model (rules R1 to R4)."""
    matches = _matches(source, patterns)
    if not matches:
        units = tuple(Unit(node.name, (node,), (node,)) for node in source.nodes)
        return Rewritten(source, source, units)
    taken = {name for match, _ in matches.values() for name in match.nodes}
    units = tuple(_units(source, matches, taken))
    found = [match for match, _ in matches.values()]
    model = onnx.ModelProto()
    model.graph.node.extend(node for unit in units for node in unit.nodes)
    new = {name: array for match in found for name, array in match.constants.items()}
    known = source.constants | new.keys()
    made = set()
    for node in (node for match in found for node in match.becomes):
        if all(name in known or name in made for name in reads(node)):
            made.update(node.output)
    rewritten = replace(
        source,
        model=model,
        values={**source.values, **{v.name: v for match in found for v in match.values}},
        initialisers={**source.initialisers, **new},
        constants=frozenset(known | made),
    )
    return Rewritten(source, rewritten, units)


def _matches(source: Source, patterns: Sequence[Pattern]) -> dict[str, tuple[Match, Pattern]]:
    """What was found, by the name of the root."""
    context = Readings(source)
    found: dict[str, tuple[Match, Pattern]] = {}
    taken: set[str] = set()
    for root in reversed(source.nodes):
        here = None if root.name in taken else _ending_at(root, context, patterns, taken)
        if here is not None:
            found[root.name] = here
            taken |= here[0].nodes
        context.forget(root)
    return found


def _ending_at(
    root: onnx.NodeProto, context: Readings, patterns: Sequence[Pattern], taken: set[str]
) -> tuple[Match, Pattern] | None:
    """The first pattern that a node is the root of, of nodes that are not taken."""
    source = context.source
    if root.name not in source.live or source.is_constant_node(root):
        return None
    for pattern in patterns:
        match = _tried(pattern, context, root)
        if match is None or match.nodes & taken or not _is_closed(context, match, root):
            continue
        if match.nodes & source.unsound.keys():
            continue
        _name(match, root)
        return match, pattern
    return None


def _tried(pattern: Pattern, context: Readings, root: onnx.NodeProto) -> Match | None:
    """A pattern reads what another tool wrote: what it stumbles over is not that pattern."""
    try:
        return pattern.match(context, root)
    except (ArithmeticError, LookupError, TypeError, ValueError):
        return None


def _is_closed(context: Readings, match: Match, root: onnx.NodeProto) -> bool:
    """Rule R2."""
    source = context.source
    for inner in match.nodes - {root.name}:
        for name in context.node(inner).output:
            users = source.users(name)
            if name in source.outputs or any(node.name not in match.nodes for node in users):
                return False
    return True


def _name(match: Match, root: onnx.NodeProto) -> None:
    """The last node takes the root's name, so that refusals name a node of the model."""
    match.becomes[-1].name = root.name


def _units(
    source: Source, matches: dict[str, tuple[Match, Pattern]], taken: set[str]
) -> list[Unit]:
    units: list[Unit] = []
    for node in source.nodes:
        if node.name in matches:
            match, pattern = matches[node.name]
            sources = tuple(n for n in source.nodes if n.name in match.nodes)
            units.append(Unit(node.name, match.becomes, sources, pattern.operator))
        elif node.name not in taken:
            units.append(Unit(node.name, (node,), (node,)))
    return units


def print_rewritten(rewritten: Rewritten) -> str:
    """Stable text form of what was rewritten: nodes before with ``-``, after with ``+``."""
    lines: list[str] = []
    for unit in rewritten.units:
        if unit.operator:
            count = len(unit.sources)
            how = f"spelled out in {count} nodes" if count > 1 else "another way to write it"
            lines.append(f"{unit.operator}, {how}")
            lines.extend(f"  - {_show(rewritten.own, node)}" for node in unit.sources)
            lines.extend(f"  + {_show(rewritten.source, node)}" for node in unit.nodes)
    return "".join(f"{line}\n" for line in lines)


def _show(source: Source, node: onnx.NodeProto) -> str:
    options = ", ".join(f"{key} = {value}" for key, value in sorted(attributes(node).items()))
    inputs = ", ".join(_operand(source, name) for name in node.input)
    shown = f"<{options}>" if options else ""
    return f"{', '.join(node.output)} = {node.op_type}{shown}({inputs})"


def _operand(source: Source, name: str) -> str:
    """A constant of one element by its value, anything else by its name."""
    array = source.initialisers.get(name, source.folded.get(name))
    if array is None or array.size != 1:
        return name
    return f"{array.reshape(-1)[0]:g}"
