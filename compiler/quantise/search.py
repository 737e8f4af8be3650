# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""Which layer to widen, and the cheapest widths that keep a limit.

Both try: the slice is quantised and run in the exact reference, which is quick, on samples that
calibration did not see. No hardware is built.

The search for the cheapest widths (``--bits auto``) is bounded and greedy:

1. Each layer alone is narrowed from :data:`FINE` bits to :data:`COARSE`. What that adds to the
   noise at the model's outputs is the layer's share; a bit less is four times as much of it.
2. From 16 bits everywhere (fewer where there is no such hardware), the bit that saves most for the
   noise that it adds goes next, as long as the noise so predicted is within a target.
3. The widths are tried. Targets are bisected, :data:`ROUNDS` times, for the loosest whose widths
   keep the limit: what is returned was measured, not predicted.

Where nobody asked for a search that takes long, all layers get the same (:func:`alike`).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from ..errors import ModelError
from .loss import Measured
from .widths import LEAST, MOST, Layer, Widths

FINE, COARSE = 12, 8
"""Bits of all layers, and of one alone, when its share of the noise is measured."""

ROUNDS = 8
"""Widths that are tried in the third step, at most, besides 16 bits everywhere."""

TRIED = 12
"""Layers that are widened to find the one to blame, at most."""

WIDENED = 4
"""Bits that a layer is widened by, at most."""

TOPS = (MOST, 14, 12, 10, 8)
"""What the search begins with: the first that there is hardware for. A normalisation of very many
values of 16 bits has none."""

ALIKE = (11, 13, MOST)
"""Bits of all layers that are tried in turn, where a search would take too long. Scales above 8
bits are powers of two, which takes one of the bits back: 11 are four times as fine as 8."""

LADDER = (2, 4, 8, 12, 16)
"""Widths that are priced; between them, prices are interpolated."""

Try = Callable[[Widths], Measured]
"""Quantises a slice to widths and measures what that costs. May raise ModelError."""

Keeps = Callable[[Measured], bool]
"""Whether a loss is within the limits."""

Price = Callable[[int], float | None]
"""Of a layer's hardware at a width of :data:`LADDER`; None if there is no such hardware."""

Prices = Mapping[str, Price]
"""For each layer, by tensor, what its hardware costs. They take a while, so they are asked only for
widths that are reached."""


def noise_of(measured: Measured) -> float:
    """Noise power at the model's outputs over the signal's; at the slice's worst if the model's
    are not known.
    """
    if measured.accuracy is not None and measured.accuracy.relative_error is not None:
        return measured.accuracy.relative_error**2
    level = min((loss.sqnr.level for loss in measured.losses), default=math.inf)
    return float(10 ** (-level / 10))


@dataclass(frozen=True)
class Blame:
    """The layer to widen: its tensor, the widths with it widened, and what is lost then."""

    layer: str
    widths: Widths
    measured: Measured


def blame(layers: Sequence[Layer], widths: Widths, attempt: Try) -> Blame | None:
    """The layer without whose narrowness least is lost, found by widening each alone.

    ``layers`` in the order in which they are suspected; only :data:`TRIED` of them are tried. None
    if none of them can be widened.
    """
    best: Blame | None = None
    for layer in layers[:TRIED]:
        bits = min(MOST, widths.of(layer) + WIDENED)
        if bits == widths.of(layer):
            continue
        others = {name: n for name, n in widths.layers.items() if name not in layer.names}
        wider = Widths(widths.default, {**others, layer.tensor: bits})
        try:
            measured = attempt(wider)
        except ModelError:
            continue
        if best is None or noise_of(measured) < noise_of(best.measured):
            best = Blame(layer.tensor, wider, measured)
    return best


def cheapest(
    layers: Sequence[Layer], prices: Prices, quick: Try, attempt: Try, keeps: Keeps
) -> tuple[Widths, Measured]:
    """The cheapest widths that were found to keep the limits; the widest if none do.

    ``quick`` may measure on fewer samples: it only compares layers.
    """
    best = _first(TOPS, attempt)
    widest = best[0]
    if not keeps(best[1]):
        return best
    shares = _shares(layers, quick)
    # Of the output's noise power as it is predicted, which is far off where it comes in jumps, as a
    # decision tree's does: from the least that widths can be told apart by to the most.
    ends = (widest.default, LEAST)
    low, high = (_predicted(shares, dict.fromkeys(shares, bits)) for bits in ends)
    tried = {widest.text}
    for _ in range(ROUNDS):
        target = math.sqrt(low * high)
        widths = _greedy(dict.fromkeys(shares, widest.default), prices, shares, target)
        if widths.text in tried:
            measured = best[1] if widths.text == best[0].text else None
        else:
            tried.add(widths.text)
            measured = _attempted(widths, attempt)
        if measured is not None and keeps(measured):
            low, best = target, (widths, measured)
        else:
            high = target
    return best


def alike(attempt: Try, keeps: Keeps) -> tuple[Widths, Measured]:
    """The first of :data:`ALIKE` that keeps the limits, of all layers; the last if none does."""
    best = _first(ALIKE, attempt)
    for bits in ALIKE[ALIKE.index(best[0].default) + 1 :]:
        if keeps(best[1]):
            break
        widths = Widths(bits)
        measured = _attempted(widths, attempt)
        best = best if measured is None else (widths, measured)
    return best


def _first(candidates: Sequence[int], attempt: Try) -> tuple[Widths, Measured]:
    """The first width that there is hardware for, of all layers; the error of the last if none."""
    for bits in candidates[:-1]:
        measured = _attempted(Widths(bits), attempt)
        if measured is not None:
            return Widths(bits), measured
    widths = Widths(candidates[-1])
    return widths, attempt(widths)


def most_tried(layers: Sequence[Layer]) -> int:
    """How many widths :func:`cheapest` tries at most."""
    return 2 + len(layers) + ROUNDS


def _attempted(widths: Widths, attempt: Try) -> Measured | None:
    """What is lost at these widths; None where they have no exact hardware."""
    try:
        return attempt(widths)
    except ModelError:
        return None


def _shares(layers: Sequence[Layer], attempt: Try) -> dict[str, float]:
    """Noise that each layer adds at :data:`COARSE` bits."""
    base = noise_of(attempt(Widths(FINE)))
    found = {}
    for layer in layers:
        measured = _attempted(Widths(FINE, {layer.tensor: COARSE}), attempt)
        added = base if measured is None else noise_of(measured) - base
        # Where nothing is seen of it, it still counts a little: others hide it.
        found[layer.tensor] = max(added, base / len(layers), 1e-12)
    return found


def _predicted(shares: Mapping[str, float], bits: Mapping[str, int]) -> float:
    """Noise of some layers at some widths."""
    return sum(shares[tensor] * 4.0 ** (COARSE - width) for tensor, width in bits.items())


def _greedy(
    bits: dict[str, int], prices: Prices, shares: Mapping[str, float], target: float
) -> Widths:
    """Widths from ``bits`` on down, by tensor, for so much noise."""

    def noise(tensor: str, width: int) -> float:
        return _predicted(shares, {tensor: width})

    total = _predicted(shares, bits)
    while True:
        steps = []
        for tensor, width in bits.items():
            if width == LEAST:
                continue
            added = noise(tensor, width - 1) - noise(tensor, width)
            if total + added <= target:
                saved = price_at(prices[tensor], width) - price_at(prices[tensor], width - 1)
                steps.append((saved / added, tensor, added))
        if not steps:
            return _compact(bits)
        # A bit that saves nothing by itself may be one of several that do: any is better than none.
        _, tensor, added = max(steps)
        bits[tensor] -= 1
        total += added


def _compact(bits: Mapping[str, int]) -> Widths:
    """The same widths, those that most layers have as the default."""
    counts = sorted(bits.values())
    default = max(dict.fromkeys(counts), key=counts.count)
    return Widths(default, {name: width for name, width in bits.items() if width != default})


def price_at(price: Price, width: int) -> float:
    """A price at any width, straight between those of :data:`LADDER`; 0 if there are none."""
    lower = (step for step in reversed(LADDER) if step <= width and price(step) is not None)
    upper = (step for step in LADDER if step >= width and price(step) is not None)
    below, above = next(lower, None), next(upper, None)
    ends = [step for step in (below, above) if step is not None]
    known = [each for each in map(price, ends) if each is not None]
    if below is None or above is None or below == above:
        return known[0] if known else 0.0
    low, high = known
    return low + (width - below) / (above - below) * (high - low)
