# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""Choose the slice: the supported nodes between two legal cuts with most multiply-accumulates.

Views at both ends belong to it, so a slice of a quantised model ends at a DequantizeLinear's output
rather than at the integers before it; where the model itself ends at integers, so does the slice.
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ..errors import CutError
from ..ir.graph import Graph, Node, Value
from ..load.source import Source
from .cuts import Cut, Cuts, find_cuts, live_beside
from .support import NodeSupport

_LISTED = 8


@dataclass(frozen=True, eq=False)
class Selection:
    """A model in three parts.

    Attributes
    ----------
    graph : the slice
    inputs, outputs : the tensors that it is cut at (one each for now)
    macs_share : the slice's multiply-accumulates over the model's; 0 for a model that has none
    edge, middle, cloud : names of the live nodes of each part, in order; constants are not listed
    """

    graph: Graph
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    macs_share: float
    edge: tuple[str, ...]
    middle: tuple[str, ...]
    cloud: tuple[str, ...]

    @property
    def slice(self) -> dict[str, Any]:
        """The facts for JSON."""
        return {
            "inputs": list(self.inputs),
            "outputs": list(self.outputs),
            "macs_share": self.macs_share,
        }


def select(
    source: Source,
    support: Sequence[NodeSupport],
    from_: str | Sequence[str] | None = None,
    to: str | Sequence[str] | None = None,
    *,
    calibrated: bool = False,
) -> Selection:
    """The slice between two tensors, or the largest one.

    Parameters
    ----------
    from_, to : the tensors to cut at; None leaves that end to midwire
    calibrated : whether calibration data can give a grid to a float tensor of a quantised model

    Raises
    ------
    CutError
        If the names do not name cuts in order, if a node between them is not supported, or if there
        is no slice worth the name.
    """
    cuts = find_cuts(source, support)
    verdicts = {verdict.name: verdict for verdict in support}
    start = None if from_ is None else _named(source, cuts, _one(from_, "--from"), calibrated)
    end = None if to is None else _named(source, cuts, _one(to, "--to"), calibrated)
    if start is not None and end is not None:
        _check_order(start, end)
        _check_supported(cuts, verdicts, start, end)
    else:
        start, end = _largest(source, cuts, verdicts, start, end)
    return _selection(source, cuts, verdicts, start, end)


def _one(names: str | Sequence[str], option: str) -> str:
    listed = [names] if isinstance(names, str) else list(names)
    if len(listed) != 1:
        raise CutError(
            "slices of several inputs or outputs are not supported yet",
            where=option,
            expected="one tensor name",
            found=", ".join(listed) or "none",
            remedy="Cut where one tensor carries everything; midwire inspect lists such tensors",
        )
    return listed[0]


def _named(source: Source, cuts: Cuts, name: str, calibrated: bool) -> Cut:
    """The cut of that name."""
    where = f"tensor {name!r}"
    made = {n for node in source.nodes for n in node.output}
    known = made | {value.name for value in source.inputs} | set(source.initialisers)
    if name not in known:
        node = next((node for node in source.nodes if node.name == name), None)
        near = difflib.get_close_matches(name, [c.tensor for c in cuts.cuts], 3, 0.4)
        near = near or difflib.get_close_matches(name, sorted(known), 3, 0.4)
        raise CutError(
            "the model has no such tensor",
            where=where,
            expected="the name of a tensor",
            found=f"the name of a node, whose output is {node.output[0]!r}" if node else "",
            remedy=f"Perhaps {' or '.join(repr(n) for n in near)} is meant"
            if near and not node
            else "midwire inspect lists the cuts",
        )
    if name in source.constants:
        raise CutError(
            "a constant cannot be cut at",
            where=where,
            expected="a tensor that depends on the model's input",
            found="a weight or a constant expression",
            remedy="midwire inspect lists the cuts",
        )
    cut = next((cut for cut in cuts.cuts if cut.tensor == name), None)
    if cut is None:
        beside = _listed([repr(n) for n in live_beside(source, name)])
        used = name in source.outputs or any(
            node.name in source.live for node in source.consumers.get(name, ())
        )
        raise CutError(
            "not a cut: other tensors would have to be carried beside it"
            if used
            else "not a cut: no output of the model depends on it",
            where=where,
            expected="a tensor that every path through the model goes through",
            found=f"also live there: {beside}" if used else "a dead end",
            remedy="midwire inspect lists the cuts",
        )
    value = source.values.get(name)
    if not cut.legal and (value is None or 0 in value.shape or not calibrated):
        shaped = value is not None and 0 not in value.shape
        raise CutError(
            "the tensor is not on a known grid" if shaped else "the tensor's shape is not known",
            where=where,
            expected="the output of a QuantizeLinear or DequantizeLinear"
            if shaped
            else "a tensor of known shape",
            found=f"{value.dtype} values between quantisers" if shaped and value else "none",
            remedy="Cut at a tensor next to it that midwire inspect lists, or give --calibrate"
            if shaped
            else "Cut before the node that makes it",
        )
    return cut


def _check_order(start: Cut, end: Cut) -> None:
    if end.position < start.position:
        raise CutError(
            "--to stands before --from",
            where=f"--from {start.tensor!r} --to {end.tensor!r}",
            expected="a tensor that is computed from the first one",
            found="the reverse order",
            remedy="Exchange the two names",
        )
    if end.position == start.position:
        raise CutError(
            "nothing lies between --from and --to",
            where=f"--from {start.tensor!r} --to {end.tensor!r}",
            expected="two different tensors",
            found="the same one twice",
            remedy="midwire inspect lists the cuts",
        )


def _check_supported(cuts: Cuts, verdicts: Mapping[str, NodeSupport], start: Cut, end: Cut) -> None:
    inside = [verdicts[node.name] for node in cuts.nodes[start.position : end.position]]
    bad = [verdict for verdict in inside if not verdict.supported]
    if bad:
        raise CutError(
            f"{len(bad)} of {len(inside)} nodes between --from and --to are not supported",
            where=f"--from {start.tensor!r} --to {end.tensor!r}",
            expected="supported nodes only",
            found=_reasons(bad),
            remedy="Choose a smaller slice; midwire inspect shows the largest supported one",
        )


def _largest(
    source: Source,
    cuts: Cuts,
    verdicts: Mapping[str, NodeSupport],
    start: Cut | None,
    end: Cut | None,
) -> tuple[Cut, Cut]:
    """The best pair of legal cuts, one end of which may be given."""
    ops = [verdicts[node.name] for node in cuts.nodes]
    total = sum(verdict.macs for verdict in ops)
    best: tuple[int, int, Cut, Cut] | None = None
    begins = [c for c in cuts.cuts if c.legal] if start is None else [start]
    for begin in begins:
        stop = next((i for i in range(begin.position, len(ops)) if not ops[i].supported), len(ops))
        legal = [c for c in cuts.cuts if c.legal] if end is None else [end]
        ends = [c for c in legal if begin.position < c.position <= stop]
        if not ends:
            continue
        inside = ops[begin.position : ends[-1].position]
        rank = (sum(verdict.macs for verdict in inside), len(inside))
        if best is None or rank > best[:2]:
            best = (*rank, begin, ends[-1])
    if best is None or (best[0] == 0 and total > 0):
        bad = [verdict for verdict in ops if not verdict.supported]
        ends_given = [f"--from {start.tensor!r}"] if start else []
        ends_given += [f"--to {end.tensor!r}"] if end else []
        raise CutError(
            "no slice with multiply-accumulates can be compiled",
            where=" ".join([source.name, *ends_given]),
            expected="supported nodes with work to do between two cuts",
            found=_reasons(bad) if bad else _idle(len(begins), start, end),
            remedy="midwire inspect lists every node and every cut",
        )
    return best[2], best[3]


def _idle(count: int, start: Cut | None, end: Cut | None) -> str:
    """Why no pair of cuts has work between them, where every node is supported."""
    if start is None and end is None:
        return f"{count} usable cut{'' if count == 1 else 's'}"
    return f"no multiply-accumulates {'behind' if end is None else 'before'} that tensor"


def _selection(
    source: Source, cuts: Cuts, verdicts: Mapping[str, NodeSupport], start: Cut, end: Cut
) -> Selection:
    names = [node.name for node in cuts.nodes]
    middle = names[start.position : end.position]
    nodes: list[Node] = []
    tensors = {start.tensor}
    inner: dict[str, Value] = {}
    for name in middle:
        nodes.extend(verdicts[name].nodes)
        inner.update(verdicts[name].inner)
    tensors.update(name for node in nodes for name in (*node.inputs, *node.outputs))
    graph = Graph(
        source.name,
        tuple(nodes),
        {name: inner.get(name) or source.values[name] for name in sorted(tensors)},
        (start.tensor,),
        (end.tensor,),
        {cut.tensor: cut.qtype for cut in (start, end) if cut.qtype is not None},
    )
    total = sum(verdicts[name].macs for name in names)
    share = sum(verdicts[name].macs for name in middle) / total if total else 0.0
    return Selection(
        graph=graph,
        inputs=graph.inputs,
        outputs=graph.outputs,
        macs_share=share,
        edge=tuple(names[: start.position]),
        middle=tuple(middle),
        cloud=tuple(names[end.position :]),
    )


def _reasons(verdicts: Sequence[NodeSupport]) -> str:
    """Each node with its reason, but without the list of what is supported."""
    return _listed(
        [f"{v.op_type} {v.name!r}: {v.reason.partition(' (supported:')[0]}" for v in verdicts]
    )


def _listed(names: Sequence[str]) -> str:
    more = f" and {len(names) - _LISTED} more" if len(names) > _LISTED else ""
    return ", ".join(names[:_LISTED]) + more
