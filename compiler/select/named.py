# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""Cuts that the user names with ``--from`` and ``--to``, and why some names are none."""

from __future__ import annotations

import difflib
import re
from collections.abc import Sequence

from ...hw.formats.bundle import MAX_TENSORS
from ..errors import CutError, NoSliceError
from .cuts import MOST_TENSORS, Cut, Cuts
from .support import NodeSupport

_LISTED = 8
_SEE = "midwire inspect lists the cuts"


def listed(names: Sequence[str], between: str = ", ") -> str:
    """The first few, and how many more."""
    more = f" and {len(names) - _LISTED} more" if len(names) > _LISTED else ""
    return between.join(names[:_LISTED]) + more


def tensor_names(cuts: Cuts, names: str | Sequence[str]) -> tuple[str, ...]:
    """The tensors that an option names: separated by commas, in several options, or both.

    A name with a comma in it stands by itself in an option of its own. ``@7`` stands for the
    tensors of the cut at position 7 (:attr:`~.cuts.Cut.position`), if no tensor is called so.
    """
    known = {value.name for value in cuts.source.inputs} | set(cuts.source.producers)
    found: list[str] = []
    for text in [names] if isinstance(names, str) else names:
        parts = [text] if text in known else [part.strip() for part in text.split(",")]
        for part in filter(None, parts):
            found.extend([part] if part in known else _at(cuts, part) or [part])
    return tuple(dict.fromkeys(found))


def _at(cuts: Cuts, text: str) -> tuple[str, ...]:
    """The tensors of the cut at ``@position``; none if the text is something else.

    Raises
    ------
    CutError
        If there is no cut at that position.
    """
    number = re.fullmatch("@([0-9]{1,9})", text)
    if number is None:
        return ()
    for cut in cuts.in_order:
        if cut.position == int(number[1]):
            return cut.tensors
    near = sorted(cut.position for cut in cuts.in_order)
    near = sorted(near, key=lambda position: abs(position - int(number[1])))[:2]
    raise CutError(
        "there is no cut at that position",
        where=text,
        expected=f"@0 to @{len(cuts.units)}, where few enough tensors are alive to be carried",
        found=f"more than {MOST_TENSORS} tensors, or no such place",
        remedy=f"Perhaps {' or '.join(f'@{position}' for position in near)} is meant; {_SEE}",
    )


def named_cut(
    cuts: Cuts, option: str, names: str | Sequence[str], *, calibrated: bool = False
) -> Cut:
    """The cut of those tensors.

    Raises
    ------
    CutError
        If there is none, with what is missing or too much.
    """
    tensors = tensor_names(cuts, names)
    if not tensors:
        raise CutError(
            "no tensor is named",
            where=option,
            expected="names of tensors, separated by commas",
            found=repr(names),
            remedy=_SEE,
        )
    if len(tensors) > MAX_TENSORS:
        raise CutError(
            "too many tensors for a cut",
            where=option,
            expected=f"at most {MAX_TENSORS}: the wire format numbers no more",
            found=f"{len(tensors)}",
            remedy=_SEE,
        )
    for name in tensors:
        _check_tensor(cuts, name)
    cut = cuts.cut(cuts.before(tensors))
    where = _where(tensors)
    beside = [name for name in cut.tensors if name not in tensors]
    if beside:
        together = ",".join(name for name in cuts.tensors if name in {*tensors, *beside})
        few = len(beside) <= _LISTED
        raise CutError(
            "not a cut: other tensors would have to be carried beside it",
            where=where,
            expected="all tensors that are made before a place in the model and read behind it",
            found=f"also live there: {listed([repr(name) for name in beside])}",
            remedy=f"Name them all, {option} {together}, or cut elsewhere; {_SEE}" if few else _SEE,
        )
    for name in tensors:
        if name not in cut.tensors:
            raise CutError(
                "not a cut: nothing behind it reads that tensor",
                where=f"tensor {name!r}",
                expected="tensors that are read behind all of them, or are outputs of the model",
                found=f"one that only leads to {listed([repr(n) for n in cut.tensors])}",
                remedy="Leave it out",
            )
    for name in tensors:
        _check_grid(cuts, name, calibrated)
    return cut


def _where(tensors: Sequence[str]) -> str:
    plural = "tensor" if len(tensors) == 1 else "tensors"
    return f"{plural} {listed([repr(name) for name in tensors])}"


def _check_tensor(cuts: Cuts, name: str) -> None:
    """A tensor of the model that is computed, leads somewhere and is not inside an operator."""
    where = f"tensor {name!r}"
    source = cuts.source
    known = {value.name for value in source.inputs} | set(source.initialisers)
    known.update(source.producers)
    if name not in known:
        node = next((node for node in source.nodes if node.name == name), None)
        near = difflib.get_close_matches(name, cuts.tensors, 3, 0.4)
        near = near or difflib.get_close_matches(name, sorted(known), 3, 0.4)
        raise CutError(
            "the model has no such tensor",
            where=where,
            expected="the name of a tensor",
            found=f"the name of a node, whose output is {node.output[0]!r}" if node else "",
            remedy=f"Perhaps {' or '.join(repr(n) for n in near)} is meant"
            if near and not node
            else _SEE,
        )
    if name in source.constants:
        raise CutError(
            "a constant cannot be cut at",
            where=where,
            expected="a tensor that depends on the model's input",
            found="a weight or a constant expression",
            remedy=_SEE,
        )
    if name in cuts.tensors:
        return
    maker = source.producers.get(name)
    unit = next((u for u in cuts.units if maker is not None and maker.name in u.sources), None)
    if unit is not None and name not in unit.outputs:
        raise CutError(
            "not a cut: the tensor is inside an operator",
            where=where,
            expected="a tensor between operators",
            found=f"one inside {unit.label}",
            remedy=f"Cut before it, at {listed([repr(n) for n in unit.inputs])}, "
            f"or behind it, at {listed([repr(n) for n in unit.outputs])}",
        )
    raise CutError(
        "not a cut: no output of the model depends on it",
        where=where,
        expected="a tensor that an output depends on",
        found="a dead end",
        remedy=_SEE,
    )


def _root(cuts: Cuts, name: str) -> NodeSupport | None:
    """The unsupported unit to blame for what is not known of a tensor, if that can be told."""
    maker = cuts.units[cuts.makers[name]] if name in cuts.makers else None
    if maker is None or maker.supported:
        return None
    return next((unit for unit in cuts.units if unit.name == maker.follows), maker)


def _check_grid(cuts: Cuts, name: str, calibrated: bool) -> None:
    """Rule C4."""
    if cuts.is_legal(name, calibrated=calibrated):
        return
    value = cuts.source.values.get(name)
    where = f"tensor {name!r}"
    root = _root(cuts, name) if value is None else None
    if root is not None:
        raise NoSliceError(
            "the tensor's shape is not known",
            where=where,
            expected="a tensor of known shape",
            found=f"none behind {root.label} {root.name!r}: {root.brief}",
            remedy="Cut before that node",
        )
    if value is None or 0 in value.shape:
        raise CutError(
            "the tensor's shape is not known",
            where=where,
            expected="a tensor of known shape",
            found="none" if value is None else f"the shape {list(value.shape)}",
            remedy="Cut before the node that makes it",
        )
    raise CutError(
        "the tensor is not on a known grid",
        where=where,
        expected="the output of a QuantizeLinear or DequantizeLinear",
        found=f"{value.dtype} values between quantisers",
        remedy="Cut at a tensor next to it that midwire inspect lists, or give --calibrate",
    )
