# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""Where a model can be cut: sets of tensors that every path from the inputs to the outputs crosses.

C1. Only *live* units count: those that an output depends on and that do not just make constants.
C2. A *cut* parts the units in two: those before it need nothing of those behind it. Its tensors are
    all that are made before it, or are inputs of the model, and read behind it, or are outputs of
    the model. A request carries exactly these: nothing passes by a cut.
C3. Its tensors name a cut: the units before it are those that its tensors depend on.
C4. A cut is *legal* if each tensor's shape is known and its integers are: in a quantised model the
    grid must be known, or calibration must choose one; in a float model, calibration does. Tensors
    of several elements to a byte are none: their integers cross behind DequantizeLinear.
C5. A *slice* lies between two different cuts, the first before the second: the units that are
    before the second one only. No path leaves it and comes back. A tensor of both cuts passes
    through it as a copy.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import accumulate

from ...hw.numeric import IntType, QType, ends_of
from ..ir.graph import Value
from ..load.source import PACKED, Source
from .indices import Indices
from .support import NodeSupport

_FLOATS = ("float16", "float32", "float64")

MOST_TENSORS = 16
"""Tensors of a cut, at most, where midwire chooses; a user may name as many as the wire format
numbers (:data:`~midwire.hw.formats.bundle.MAX_TENSORS`).
"""


@dataclass(frozen=True)
class Cut:
    """A cut (rule C2).

    Attributes
    ----------
    tensors : names, the model's inputs first, then in the order in which they are made
    before : indices of the units before it, in :attr:`Cuts.units`
    legal : rule C4, without calibration of a quantised model
    """

    tensors: tuple[str, ...]
    before: Indices
    legal: bool

    @property
    def position(self) -> int:
        """Number of live units before it."""
        return len(self.before)


@dataclass(frozen=True, eq=False)
class Cuts:
    """A model as selection sees it: live units, the tensors between them, and their grids.

    Attributes
    ----------
    source : the model
    units : the live units (rule C1), in topological order
    grids : the known grid of each tensor
    quantised : whether the model brings grids for its activations
    """

    source: Source
    units: tuple[NodeSupport, ...]
    grids: Mapping[str, QType]
    quantised: bool

    @cached_property
    def makers(self) -> Mapping[str, int]:
        """The unit that makes each tensor; inputs of the model have none."""
        return {name: index for index, unit in enumerate(self.units) for name in unit.outputs}

    @cached_property
    def readers(self) -> Mapping[str, tuple[int, ...]]:
        """The units that read each tensor."""
        return _readers(self.units)

    @cached_property
    def tensors(self) -> tuple[str, ...]:
        """The tensors that are read or are outputs of the model, in order."""
        made = [value.name for value in self.source.inputs]
        made += [name for unit in self.units for name in unit.outputs]
        return tuple(n for n in made if n in self.readers or n in self.source.outputs)

    def before(self, tensors: Iterable[str]) -> Indices:
        """The units that tensors depend on (rule C3)."""
        found: set[int] = set()
        needed = list(tensors)
        while needed:
            index = self.makers.get(needed.pop())
            if index is not None and index not in found:
                found.add(index)
                needed.extend(self.units[index].inputs)
        return Indices(found)

    def crossing(self, before: Collection[int]) -> tuple[str, ...]:
        """The tensors of the cut behind some units (rule C2)."""

        def is_behind(name: str) -> bool:
            readers = self.readers.get(name, ())
            return name in self.source.outputs or any(r not in before for r in readers)

        return tuple(
            name
            for name in self.tensors
            if (name not in self.makers or self.makers[name] in before) and is_behind(name)
        )

    def cut(self, before: Iterable[int]) -> Cut:
        """The cut behind some units, which must include all that they depend on."""
        inside = Indices(before)
        tensors = self.crossing(inside)
        return Cut(tensors, inside, all(self.is_legal(name) for name in tensors))

    def is_legal(self, name: str, *, calibrated: bool = False) -> bool:
        """Rule C4 for one tensor."""
        value = self.source.values.get(name)
        if value is None or 0 in value.shape or value.dtype in PACKED:
            return False
        chosen = value.dtype in _FLOATS and (calibrated or not self.quantised)
        return name in self.grids or chosen

    @cached_property
    def macs(self) -> int:
        """Multiply-accumulates of the model: those of the live units."""
        return self._macs_before[-1]

    @cached_property
    def _macs_before(self) -> tuple[int, ...]:
        return tuple(accumulate((unit.macs for unit in self.units), initial=0))

    def macs_of(self, indices: Indices) -> int:
        """Multiply-accumulates of some units."""
        whole = indices.range
        if whole is None:
            return sum(self.units[index].macs for index in indices)
        return self._macs_before[whole.stop] - self._macs_before[whole.start]

    def macs_between(self, first: Cut, second: Cut) -> int:
        """Multiply-accumulates of the units that are before the second cut only."""
        return self.macs_of(second.before - first.before)

    @cached_property
    def in_order(self) -> tuple[Cut, ...]:
        """The cuts of up to :data:`MOST_TENSORS` tensors that the units' own order goes through."""
        return self.along(range(len(self.units)))

    def along(self, order: Sequence[int]) -> tuple[Cut, ...]:
        """The same for another topological order."""
        place = {index: position for position, index in enumerate(order)}
        ends = {
            name: max((place[reader] for reader in self.readers.get(name, ())), default=-1) + 1
            for name in self.tensors
        }
        ends.update(dict.fromkeys(self.source.outputs, len(order) + 1))
        rank = {name: index for index, name in enumerate(self.tensors)}
        crossing = [name for name in self.tensors if name not in self.makers]
        found: list[Cut] = []
        before = Indices()
        for position in range(len(order) + 1):
            if position:
                before |= Indices(order[position - 1 : position])
                made = self.units[order[position - 1]].outputs
                crossing += [name for name in made if name in ends]
            crossing = [name for name in crossing if ends[name] > position]
            if 0 < len(crossing) <= MOST_TENSORS:
                legal = all(self.is_legal(name) for name in crossing)
                tensors = tuple(sorted(crossing, key=rank.__getitem__))
                found.append(Cut(tensors, before, legal))
        return tuple(found)

    @cached_property
    def cuts(self) -> tuple[Cut, ...]:
        """The cuts of one tensor, in order: every order of the units goes through them."""
        return tuple(cut for cut in self.in_order if len(cut.tensors) == 1)


def find_cuts(source: Source, support: Sequence[NodeSupport]) -> Cuts:
    """The units between which a model can be cut."""
    units = tuple(
        unit for unit in support if not unit.constant and not source.live.isdisjoint(unit.sources)
    )
    quantised = any(piece.op.grid is not None for unit in units for piece in unit.pieces)
    return Cuts(source, units, _grids(source, units), quantised)


def _readers(units: Sequence[NodeSupport]) -> dict[str, tuple[int, ...]]:
    found: dict[str, list[int]] = {}
    for index, unit in enumerate(units):
        for name in unit.inputs:
            found.setdefault(name, []).append(index)
    return {name: tuple(indices) for name, indices in found.items()}


def _grids(source: Source, units: Sequence[NodeSupport]) -> dict[str, QType]:
    """The known grids: forwards from quantisers through what keeps them, then back to integers.

    Backwards, an integer tensor has the grid of the DequantizeLinear that it goes to, through
    views; if it goes to two that differ, it has none. What look-ups read means itself: its grid is
    the narrowest of step 1 that holds all integers that any of them tells apart.
    """
    grids: dict[str, QType] = {}
    for piece in (piece for unit in units for piece in unit.pieces):
        for index, name in enumerate(piece.outputs):
            grid = piece.op.made_grid(index)
            if grid is None and piece.op.keeps(index) and len(piece.inputs) == 1:
                grid = grids.get(piece.inputs[0])
            if grid is not None:
                grids[name] = grid
    readers = _readers(units)
    for unit in reversed(units):
        for name in unit.inputs:
            value = source.values.get(name)
            if name in grids or value is None or "int" not in value.dtype:
                continue
            found = {_wanted(units[index], name, grids) for index in readers[name]}
            grid = _within(_shared(found), value)
            # An output of the model is all of its type, and what is beyond a grid would be lost.
            if grid is not None and not (name in source.outputs and _is_narrow(grid, value)):
                grids[name] = grid
    return grids


def _shared(found: set[QType | None]) -> QType | None:
    """The grid that serves all readers: the one that all want, or where all want integers as such
    one that holds them all. None if there is none.
    """
    grids = [grid for grid in found if grid is not None]
    if not grids or len(grids) < len(found):
        return None
    if len(grids) == 1:
        return grids[0]
    if any((grid.scale, grid.zero_point) != (1.0, 0) for grid in grids):
        return None
    held = IntType.holding(min(grid.lo for grid in grids), max(grid.hi for grid in grids))
    return QType(held.bits, held.signed, 1.0)


def _within(grid: QType | None, value: Value) -> QType | None:
    """A grid of step 1 without the integers that a tensor's type has not; others as they are."""
    ends = ends_of(value.dtype)
    if grid is None or (grid.scale, grid.zero_point) != (1.0, 0) or ends is None:
        return grid
    held = IntType.holding(max(grid.lo, ends[0]), min(grid.hi, ends[1]))
    return QType(held.bits, held.signed, 1.0)


def _is_narrow(grid: QType, value: Value) -> bool:
    """Whether a tensor's own type has integers beyond a grid."""
    ends = ends_of(value.dtype)
    return ends is not None and (ends[0] < grid.lo or ends[1] > grid.hi)


def _wanted(verdict: NodeSupport, name: str, grids: Mapping[str, QType]) -> QType | None:
    """The grid that a reader of integers takes them to be on."""
    found: set[QType | None] = set()
    for piece in verdict.pieces:
        if name not in piece.inputs:
            continue
        if piece.op.rounds:
            found.add(None)
        elif piece.op.grid is not None or piece.op.integers is not None:
            found.add(piece.op.grid or piece.op.integers)
        else:
            found.update(grids.get(n) if piece.op.keeps_grid else None for n in piece.outputs)
    return found.pop() if len(found) == 1 else None
