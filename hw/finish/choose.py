# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""The cheapest finisher that is proven to give the correctly rounded values (rules N4, N6, N7)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from ..numeric import Affine, DomainError, Function, QType, UndecidedError
from ..timing.cost import Cost
from .base import Finisher, FinishError, Range
from .direct import Direct
from .fit import eased, fit_requantiser
from .steps import Steps, steps
from .table import MAX_TABLE_BITS, Table
from .thresholds import MAX_THRESHOLDS, PARALLEL, Thresholds

Ranges = Sequence[Sequence[Range]]
"""For each channel, the closed range of each of its terms."""

EASED_ABOVE = 8
"""Bits of a grid above which slopes may be rounded: scales hardly ever have an exact fit there."""


def finish(
    functions: Sequence[Function],
    ranges: Ranges,
    out: QType,
    *,
    adjustable: bool = False,
    wide: bool = False,
    price: Callable[[Cost], float],
) -> Finisher:
    """The cheapest finisher that equals the exact functions over the whole range.

    Parameters
    ----------
    functions : one for each channel
    ranges : for each channel, one closed range for each term
    out : type of the result
    adjustable : whether the slopes of affine functions are midwire's to choose (those of weights
        that it quantises): what is proven is then the function with :func:`.fit.eased` slopes
    wide : whether a grid before or behind it has more than ``EASED_ABOVE`` bits: given slopes that
        have no exact fit are then eased too
    price : what is least for the cheapest, of the cost of one lane that serves all channels in turn

    Raises
    ------
    FinishError
        If no kind is exact within its limits; gives each kind's reason.
    """
    if len(functions) != len(ranges):
        raise ValueError(f"{len(functions)} functions but {len(ranges)} ranges")
    channels = _Channels.of(functions, ranges, out, price)
    if all(_is_identity(f, r, out) for f, r in channels.kinds):
        return channels.direct()
    found: list[Finisher] = []
    reasons: list[str] = []
    affine = [f for f in functions if isinstance(f, Affine)]
    if len(affine) == len(functions):
        try:
            finisher, meant = _multiply_shift(affine, ranges, out, adjustable)
            found.append(finisher)
            # Where slopes were rounded, all finishers are of the rounded ones (N7).
            channels = _Channels.of(meant, ranges, out, price)
        except FinishError as error:
            reasons.append(f"multiply-shift: {error}")
    else:
        reasons.append("multiply-shift: the function is not affine")
    try:
        found += channels.stepped(channels.price(found[0]) if found else None)
    except FinishError as error:
        reasons.append(f"thresholds and tables: {error}")
    if not found and wide and not adjustable and len(affine) == len(functions):
        return finish(functions, ranges, out, adjustable=True, price=price)
    if not found:
        raise FinishError("no finisher is exact. " + "; ".join(reasons))
    return min(found, key=channels.price)


def _multiply_shift(
    functions: Sequence[Affine], ranges: Ranges, out: QType, adjustable: bool
) -> tuple[Finisher, Sequence[Affine]]:
    """Fitted as they are; or, where the slopes are ours to choose, with slopes that have a fit.
    Gives the functions that it computes too.

    On wide grids they hardly ever have one by themselves, and the search is long.
    """
    if not (adjustable and out.bits > EASED_ABOVE):
        try:
            return fit_requantiser(functions, ranges, out), functions
        except FinishError:
            if not adjustable:
                raise
    changed = eased(functions, ranges, out)
    return fit_requantiser(changed, ranges, out), changed


def _is_identity(function: Function, ranges: Sequence[Range], out: QType) -> bool:
    """Whether an affine function gives every accumulator of its range back."""
    if not isinstance(function, Affine) or function.scales != (out.step,):
        return False
    ((lo, hi),) = ranges
    # It rises by 1 everywhere but where it is clamped or rounded, so both ends tell.
    whole = function.offset == -out.step * out.zero_point
    return whole and function.exact([lo], out) == lo and function.exact([hi], out) == hi


_Kind = tuple[Function, tuple[Range, ...]]


@dataclass(frozen=True)
class _Channels:
    """Channels that are alike are looked at once.

    Attributes
    ----------
    kinds : functions and ranges, each once
    rows : the kind of each channel
    span : for each term, the range over all channels
    worth : price of a cost
    """

    kinds: tuple[_Kind, ...]
    rows: tuple[int, ...]
    span: tuple[Range, ...]
    out: QType
    worth: Callable[[Cost], float]

    @classmethod
    def of(
        cls,
        functions: Sequence[Function],
        ranges: Ranges,
        out: QType,
        worth: Callable[[Cost], float],
    ) -> _Channels:
        """Of functions and ranges, one a channel."""
        each = [(f, tuple(r)) for f, r in zip(functions, ranges, strict=True)]
        kinds = {kind: index for index, kind in enumerate(dict.fromkeys(each))}
        spans = zip(*(r for _, r in kinds), strict=True)
        span = tuple((min(lo for lo, _ in s), max(hi for _, hi in s)) for s in spans)
        return cls(tuple(kinds), tuple(kinds[kind] for kind in each), span, out, worth)

    def price(self, finisher: Finisher) -> float:
        """The price of a lane that serves all channels in turn."""
        return self.worth(finisher.unit(1, self.span, self.out.integers).cost)

    def direct(self) -> Direct:
        """Accumulators as they are."""
        ((low, high),) = self.span
        return Direct(len(self.rows), low, high)

    def stepped(self, least: float | None) -> list[Finisher]:
        """Thresholds, a table, or neither where it is plain that they cost more than ``least``.

        Raises FinishError if neither is within its limits.
        """
        if len(self.span) > 1:
            raise FinishError(
                f"they have one accumulator, and the function has {len(self.span)}; put a grid "
                "between the sum and the function that is not affine"
            )
        ((low, high),) = self.span
        bits = (high - low).bit_length()
        tabled = bits <= MAX_TABLE_BITS
        if least is not None:
            tabled = tabled and self._table_price(bits) < least
            most_steps = min((1 << self.out.bits) - 1, high - low)
            few = most_steps <= PARALLEL and most_steps * bits < least
            if not (tabled or few):
                return []
        found = self._steps(1 << MAX_TABLE_BITS if tabled else MAX_THRESHOLDS)
        if tabled and all((s.table == np.arange(s.lo, s.hi + 1)).all() for s in found):
            return [self.direct()]
        finishers: list[Finisher] = []
        if max(len(s.starts) for s in found) <= MAX_THRESHOLDS:
            finishers.append(Thresholds.of(found).take(self.rows))
        if tabled:
            finishers.append(self._table(found))
        return finishers

    def _steps(self, most: int) -> list[Steps]:
        """The steps of every kind."""
        found = []
        for function, ((low, high),) in self.kinds:
            try:
                each = steps(function, (low, high), self.out, most)
            except (DomainError, UndecidedError) as error:
                raise FinishError(str(error)) from error
            if each is None:
                raise FinishError(
                    f"over accumulators from {low} to {high} the function has more than {most} "
                    f"steps, and they have more than {MAX_TABLE_BITS} bits; round before it to a "
                    f"grid of at most {MAX_TABLE_BITS} bits"
                )
            found.append(each)
        return found

    def _table_price(self, bits: int) -> float:
        """What a table costs before its entries are known, at most."""
        tables = 1 if len(self.kinds) == 1 else len(self.rows)
        return self.worth(Cost(roms=((self.out.bits, tables << bits),)))

    def _table(self, found: Sequence[Steps]) -> Table:
        """A table over the range of all channels; what a channel cannot reach is filled up."""
        ((low, high),) = self.span
        tables = [np.pad(s.table, (s.lo - low, high - s.hi), mode="edge") for s in found]
        table = Table(len(tables), low, np.stack(tables))
        if len(tables) == 1:
            return replace(table, count=len(self.rows))
        return table.take(self.rows)
