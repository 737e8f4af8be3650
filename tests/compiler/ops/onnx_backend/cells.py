# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""What recurrent layers give for all inputs and weights within bounds: rules N12 to N14 and
N18, step by step, with half a unit wherever they round.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from .interval import Array, Interval

Attributes = Mapping[str, Any]
Inputs = Sequence[Interval | None]
Sums = Sequence[Interval]
"""For each gate its products with ``x`` or with ``h``, a bias included."""

Over = Callable[[Interval], Sums]
"""Those with what is given for ``h``."""

States = tuple[Interval, Interval]
"""The hidden one, and an LSTM's cell's."""


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


def _lstm_step(by: _Rounding, over_x: Sums, over: Over, h: Interval, c: Interval) -> States:
    """Rule N13; gates i, o, f, c."""
    sums = [p.plus(q) for p, q in zip(over_x, over(h), strict=True)]
    i, o, f = (by.curve(_sigmoid, acc) for acc in sums[:3])
    c = by.state(f.times(c).plus(i.times(by.curve(np.tanh, sums[3]))))
    return by.state(o.times(by.curve(np.tanh, c))), c


def _gru_step(by: _Rounding, over_x: Sums, over: Over, h: Interval, c: Interval) -> States:
    """Rule N14 with the reset behind the product; gates z, r, n."""
    over_h = over(h)
    z, r = (by.curve(_sigmoid, p.plus(q)) for p, q in zip(over_x[:2], over_h[:2], strict=True))
    n = by.curve(np.tanh, over_x[2].plus(r.times(over_h[2])))
    return _between(by, z, n, h), c


def _gru_step_of_reset(by: _Rounding, over_x: Sums, over: Over, h: Interval, c: Interval) -> States:
    """Rule N14 with the reset before the product."""
    over_h = over(h)
    z, r = (by.curve(_sigmoid, p.plus(q)) for p, q in zip(over_x[:2], over_h[:2], strict=True))
    n = by.curve(np.tanh, over_x[2].plus(over(by.state(r.times(h)))[2]))
    return _between(by, z, n, h), c


def _between(by: _Rounding, z: Interval, n: Interval, h: Interval) -> Interval:
    """n + z * (h - n) rises with z or falls: at the ends of z it is a mean of the two."""
    ends = [n.scaled(1 - at).plus(h.scaled(at)) for at in (z.lo, z.hi)]
    return by.state(Interval.at(*(end for each in ends for end in (each.lo, each.hi))))


def _rnn_step(by: _Rounding, over_x: Sums, over: Over, h: Interval, c: Interval) -> States:
    """Rule N18."""
    return by.curve(np.tanh, over_x[0].plus(over(h)[0])), c


def _layer(step: Any, gates: int, attributes: Attributes, inputs: Inputs) -> list[Interval]:
    """All states (steps, directions, batch, units), and the last ones without the steps, also of
    the cell.
    """
    x = inputs[0]
    assert x is not None
    each = [_sequence(step, gates, attributes, inputs, k) for k in range(x.lo.shape[1])]
    return [_joined(parts) for parts in zip(*each, strict=True)]


def _joined(parts: Sequence[Interval]) -> Interval:
    """Sequences of a batch, which is the last axis but one."""
    lo, hi = (np.concatenate([getattr(x, end) for x in parts], axis=-2) for end in ("lo", "hi"))
    return Interval(lo, hi)


def _sequence(
    step: Any, gates: int, attributes: Attributes, inputs: Inputs, number: int
) -> list[Interval]:
    """The same of one sequence."""
    x, w, r, b, _, *first = [*inputs, *[None] * (7 - len(inputs))][:7]
    assert x is not None and w is not None and r is not None
    assert not {"activations", "clip", "input_forget"} & set(attributes)
    directions, _, units = r.lo.shape
    every, last, cells = [], [], []
    for at in range(directions):
        grid = attributes["layers"][at]["grid"]
        by = _Rounding(0.5 ** (grid["bits"] + 1), 0.5 ** grid["steps"])
        h, c = (
            Interval.at(np.zeros(units)) if state is None else state[at][number] for state in first
        )
        biases = Interval.at(np.zeros(2 * gates * units)) if b is None else b[at]
        own = biases.reshaped((2, gates, units))
        order = range(len(x.lo))
        backwards = at == 1 or attributes.get("direction") == b"reverse"
        found = {}

        def over(h: Interval, r: Interval = r[at], bias: Interval = own[1]) -> Sums:
            sums = r.applied(h).reshaped((gates, units)).plus(bias)
            return [sums[k] for k in range(gates)]

        for t in reversed(order) if backwards else order:
            over_x = w[at].applied(x[t][number]).reshaped((gates, units)).plus(own[0])
            h, c = step(by, [over_x[k] for k in range(gates)], over, h, c)
            found[t] = h
        every.append(Interval.stacked([found[t] for t in order]))
        last.append(h)
        cells.append(c)
    states = Interval.stacked(every)
    turned = Interval(states.lo.swapaxes(0, 1), states.hi.swapaxes(0, 1))
    whole = turned.reshaped((len(x.lo), directions, 1, units))
    ends = (Interval.stacked(states).reshaped((directions, 1, units)) for states in (last, cells))
    return [whole, *ends]


def lstm(attributes: Attributes, inputs: Inputs) -> list[Interval]:
    """Outputs Y, Y_h and Y_c of an LSTM."""
    return _layer(_lstm_step, 4, attributes, inputs)


def gru(attributes: Attributes, inputs: Inputs) -> list[Interval]:
    """Outputs Y and Y_h of a GRU."""
    linear = attributes.get("linear_before_reset", 0)
    return _layer(_gru_step if linear else _gru_step_of_reset, 3, attributes, inputs)


def rnn(attributes: Attributes, inputs: Inputs) -> list[Interval]:
    """Outputs Y and Y_h of an RNN."""
    return _layer(_rnn_step, 1, attributes, inputs)
