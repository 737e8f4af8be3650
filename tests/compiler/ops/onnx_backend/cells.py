# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""What recurrent layers give for all inputs and weights within bounds: rules N12 to N14, step by
step, with half a unit wherever they round.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from .interval import Array, Interval

Attributes = Mapping[str, Any]
Inputs = Sequence[Interval | None]
Sums = list[tuple[Interval, Interval]]
"""For each gate its products with ``x`` and with ``h``, biases included."""


@dataclass(frozen=True)
class _Rounding:
    """Half a unit of states, and a unit of what a table is asked for: its rounding and a bias's."""

    half: float
    place: float

    def state(self, x: Interval) -> Interval:
        return x.widened(self.half)

    def curve(self, function: Callable[[Array], Array], x: Interval) -> Interval:
        """An entry of a table, which ends at 8; both functions rise."""
        asked = x.widened(self.place)
        ends = asked.clipped(-8, 8)
        both = Interval.at(asked.lo, asked.hi, ends.lo, ends.hi)
        return self.state(Interval(function(both.lo), function(both.hi)))


def _sigmoid(x: Array) -> Array:
    return np.asarray(1 / (1 + np.exp(-x)))


def _lstm_step(by: _Rounding, sums: Sums, h: Interval, c: Interval) -> tuple[Interval, Interval]:
    """Rule N13; gates i, o, f, c."""
    del h
    i, o, f = (by.curve(_sigmoid, p.plus(q)) for p, q in sums[:3])
    g = by.curve(np.tanh, sums[3][0].plus(sums[3][1]))
    c = by.state(f.times(c).plus(i.times(g)))
    return by.state(o.times(by.curve(np.tanh, c))), c


def _gru_step(by: _Rounding, sums: Sums, h: Interval, c: Interval) -> tuple[Interval, Interval]:
    """Rule N14; gates z, r, n."""
    z, r = (by.curve(_sigmoid, p.plus(q)) for p, q in sums[:2])
    n = by.curve(np.tanh, sums[2][0].plus(r.times(sums[2][1])))
    # n + z * (h - n) rises with z or falls: at the ends of z it is a mean of the two.
    ends = [n.scaled(1 - at).plus(h.scaled(at)) for at in (z.lo, z.hi)]
    return by.state(Interval.at(*(end for each in ends for end in (each.lo, each.hi)))), c


def _layer(step: Any, gates: int, attributes: Attributes, inputs: Inputs) -> list[Interval]:
    """All states (steps, directions, 1, units), and the last ones (directions, 1, units)."""
    x, w, r, b, _, *first = [*inputs, *[None] * (7 - len(inputs))][:7]
    assert x is not None and w is not None and r is not None
    directions, _, units = r.lo.shape
    every, last = [], []
    for at in range(directions):
        grid = attributes["layers"][at]["grid"]
        by = _Rounding(0.5 ** (grid["bits"] + 1), 0.5 ** grid["steps"])
        h, c = (Interval.at(np.zeros(units)) if state is None else state[at][0] for state in first)
        biases = Interval.at(np.zeros(2 * gates * units)) if b is None else b[at]
        own = biases.reshaped((2, gates, units))
        order = range(len(x.lo))
        backwards = at == 1 or attributes.get("direction") == b"reverse"
        found = {}
        for t in reversed(order) if backwards else order:
            over_x = w[at].applied(x[t][0]).reshaped((gates, units)).plus(own[0])
            over_h = r[at].applied(h).reshaped((gates, units)).plus(own[1])
            h, c = step(by, [(over_x[k], over_h[k]) for k in range(gates)], h, c)
            found[t] = h
        every.append(Interval.stacked([found[t] for t in order]))
        last.append(h)
    states = Interval.stacked(every)
    turned = Interval(states.lo.swapaxes(0, 1), states.hi.swapaxes(0, 1))
    whole = turned.reshaped((len(x.lo), directions, 1, units))
    return [whole, Interval.stacked(last).reshaped((directions, 1, units))]


def lstm(attributes: Attributes, inputs: Inputs) -> list[Interval]:
    """Outputs Y and Y_h of an LSTM."""
    return _layer(_lstm_step, 4, attributes, inputs)


def gru(attributes: Attributes, inputs: Inputs) -> list[Interval]:
    """Outputs Y and Y_h of a GRU with ``linear_before_reset``."""
    return _layer(_gru_step, 3, attributes, inputs)
