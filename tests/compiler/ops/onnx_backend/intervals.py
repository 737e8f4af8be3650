# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""What a model gives for all inputs within bounds: interval arithmetic, node by node, in double.

An operator without a rule here gives the hull of its results at the corners of its inputs' box.
That is its exact image where each result rises or falls in each input (pools, sums, products and
quotients of elements, most curves, whatever moves elements). Elsewhere it is too narrow, never too
wide: a new operator that needs a rule fails a test, and does not pass one in silence.
"""

from __future__ import annotations

import itertools
import math
import warnings
from collections.abc import Callable, Mapping, Sequence
from fractions import Fraction
from typing import Any

import numpy as np
import onnx
from flint import arb
from onnx import helper
from onnx.reference import ReferenceEvaluator

from midwire.compiler.ir.written import parsed
from midwire.compiler.ops._formulas import substituted, unary_of
from midwire.compiler.ops._groups import GUARD_BITS

from .cells import gru, lstm, rnn
from .interval import Array, Interval

Run = Callable[[Sequence[Array | None]], list[Array]]
"""A node on arrays, in double."""


def runner(node: onnx.NodeProto, opset: int) -> Run:
    """The node by ONNX's reference implementation."""
    copy = onnx.NodeProto()
    copy.CopyFrom(node)
    for attribute in copy.attribute:
        if node.op_type == "Cast" and attribute.i in (1, 10, 16):
            attribute.i = onnx.TensorProto.DOUBLE
    imports = [
        helper.make_opsetid("", opset),
        *([helper.make_opsetid(node.domain, 1)] * bool(node.domain)),
    ]

    def run(arrays: Sequence[Array | None]) -> list[Array]:
        feeds = {
            name: array
            for name, array in zip(node.input, arrays, strict=True)
            if name and array is not None
        }
        kinds = [
            helper.make_tensor_value_info(n, helper.np_dtype_to_tensor_dtype(a.dtype), a.shape)
            for n, a in feeds.items()
        ]
        outs = [helper.make_empty_tensor_value_info(name) for name in node.output if name]
        alone = helper.make_model(
            helper.make_graph([copy], "node", kinds, outs), opset_imports=imports
        )
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return [np.asarray(found) for found in ReferenceEvaluator(alone).run(None, feeds)]

    return run


def image(
    node: onnx.NodeProto, inputs: Sequence[Interval | None], opset: int, chosen: Attributes
) -> list[Interval]:
    """The outputs of a node that have names, for its inputs; None for an input that is left out.
    ``chosen`` is what the compiler chose for normalisations and recurrent layers (rules N9 to N14
    and N18); of the node's result, its grid's ``step`` (N19).
    """
    rule = _RULES.get(node.op_type, _corners)
    attributes = {a.name: helper.get_attribute_value(a) for a in node.attribute}
    attributes["wanted"] = [bool(name) for name in node.output]
    attributes |= {"unit": 2.0 ** -chosen["bits"], "layers": chosen["layers"]}
    attributes["step"] = chosen.get("step", 0.0)
    return rule(runner(node, opset), attributes, inputs)


Attributes = Mapping[str, Any]
Inputs = Sequence[Interval | None]


def _corners(run: Run, attributes: Attributes, inputs: Inputs) -> list[Interval]:
    del attributes
    ends = [(None,) if x is None else (x.lo,) if x.is_point else (x.lo, x.hi) for x in inputs]
    found = [run(corner) for corner in itertools.product(*ends)]
    return [Interval.at(*arrays) for arrays in zip(*found, strict=True)]


def _resize(run: Run, attributes: Attributes, inputs: Inputs) -> list[Interval]:
    """Cubic weights fall below zero: each element of the image does what it does alone."""
    x, *others = inputs
    if attributes.get("mode") != b"cubic" or x is None:
        return _corners(run, attributes, inputs)
    rest = [None if other is None else other.lo for other in others]
    (middle,) = run([x.middle, *rest])
    off = np.zeros_like(middle)
    for place in np.ndindex(*x.lo.shape):
        alone = np.zeros_like(x.lo)
        alone[place] = x.radius[place]
        off += np.abs(run([alone, *rest])[0])
    return [Interval.at(middle - off, middle + off)]


def _turning(*at: Callable[[Attributes], float]) -> Any:
    """Of a curve that turns at some points: they matter where they lie within."""

    def rule(run: Run, attributes: Attributes, inputs: Inputs) -> list[Interval]:
        (x,) = inputs
        assert x is not None
        points = [x.lo, x.hi, *(x.middle * 0 + p(attributes) for p in at)]
        return [Interval.at(*(run([p.clip(x.lo, x.hi)])[0] for p in points))]

    return rule


def _within(low: float, high: float) -> Any:
    """Of a function that keeps the value of the nearest end outside of its domain."""

    def rule(run: Run, attributes: Attributes, inputs: Inputs) -> list[Interval]:
        (x,) = inputs
        assert x is not None
        return _corners(run, attributes, [x.clipped(low, high)])

    return rule


def _formula(run: Run, attributes: Attributes, inputs: Inputs) -> list[Interval]:
    """What the pattern of formulas makes: each element cut into parts, of which balls tell all."""
    del run
    formula = parsed(attributes["of"].decode())
    known = [each for each in inputs if each is not None]
    ends = np.broadcast_arrays(*(end for each in known for end in (each.lo, each.hi)))
    low, high = np.empty(ends[0].shape), np.empty(ends[0].shape)
    for place in np.ndindex(*low.shape):
        first, last, *numbers = (float(end[place]) for end in ends)
        values = {f"c{k}": Fraction(value) for k, value in enumerate(numbers[::2], 1)}
        function = unary_of(substituted(formula, values))
        parts = np.linspace(first, last, _PARTS + 1)
        found = [function.ball(arb(a).union(arb(b))) for a, b in itertools.pairwise(parts)]
        low[place] = np.nextafter(min(float(ball.lower()) for ball in found), -math.inf)
        high[place] = np.nextafter(max(float(ball.upper()) for ball in found), math.inf)
    return [Interval.at(low, high)]


_PARTS = 16


def _gelu_turns(attributes: Attributes) -> float:
    approximate = attributes.get("approximate", b"none") == b"tanh"
    return -0.7524614220710162 if approximate else -0.7517915246935645


def _bilinear(run: Run, attributes: Attributes, inputs: Inputs) -> list[Interval]:
    """Sums of products of the first two inputs; a third is added.

    |xy - x0 y0| <= |x0| ry + rx |y0| + rx ry for |x - x0| <= rx and |y - y0| <= ry.
    """
    del attributes
    x, y, *rest = inputs
    assert x is not None and y is not None
    added = [None if z is None else z.middle for z in rest]
    nothing = [None if z is None else 0 * z for z in added]
    (middle,) = run([x.middle, y.middle, *added])
    sizes = [
        (np.abs(x.middle), y.radius),
        (x.radius, np.abs(y.middle)),
        (x.radius, y.radius),
    ]
    radius = sum(np.abs(run([a, b, *nothing])[0]) for a, b in sizes)
    if rest and rest[0] is not None:
        radius = radius + np.abs(run([0 * x.middle, 0 * y.middle, rest[0].radius])[0])
    return [Interval(middle - radius, middle + radius)]


def _quotient(run: Run, attributes: Attributes, inputs: Inputs) -> list[Interval]:
    """Of elements; N19 rounds that of two computed ones, by a small part of a step."""
    (exact,) = _corners(run, attributes, inputs)
    computed = all(x is not None and not x.is_point for x in inputs)
    return [exact.widened(attributes["step"] / 2 ** (GUARD_BITS + 1)) if computed else exact]


def _shares(attributes: Attributes, x: Interval) -> Interval:
    """An element rises with itself and falls with the others; N9 is 3/4 of a unit off at most."""
    axis = attributes.get("axis", -1)
    top = x.hi.max(axis=axis, keepdims=True)
    low, high = np.exp(x.lo - top), np.exp(x.hi - top)

    def share(own: Array, others: Array) -> Array:
        rest = others.sum(axis=axis, keepdims=True) - others
        return own / (own + np.maximum(rest, 0))

    exact = Interval(share(low, high), share(high, low))
    return exact.widened(0.75 * attributes["unit"])


def _softmax(run: Run, attributes: Attributes, inputs: Inputs) -> list[Interval]:
    del run
    (x,) = inputs
    assert x is not None
    return [_shares(attributes, x)]


def _log_softmax(run: Run, attributes: Attributes, inputs: Inputs) -> list[Interval]:
    """Of a share that may be 0, as low as can be."""
    (shares,) = _softmax(run, attributes, inputs)
    with np.errstate(divide="ignore"):
        return [Interval(np.log(np.maximum(shares.lo, 0)), np.log(shares.hi))]


def _recurrent(cell: Any) -> Any:
    def rule(run: Run, attributes: Attributes, inputs: Inputs) -> list[Interval]:
        del run
        made = zip(attributes["wanted"], cell(attributes, inputs), strict=False)
        return [states for wanted, states in made if wanted]

    return rule


def _over_last(attributes: Attributes, shape: tuple[int, ...]) -> tuple[int, int]:
    """How many elements a group has, and how many axes follow the one that parameters lie along."""
    return math.prod(shape[attributes.get("axis", -1) % len(shape) :]), 0


def _over_channels(attributes: Attributes, shape: tuple[int, ...]) -> tuple[int, int]:
    """The same for groups of channels, one each where it does not say how many."""
    count = math.prod(shape[1:]) // attributes.get("num_groups", shape[1])
    return count, len(shape) - 2


def _normalisation(groups: Callable[..., tuple[int, int]], centred: bool = True) -> Any:
    """Layer normalisation by its definition; of mean squares where it is not centred.

    N10 and N11 round the quotient and the root: by less than a unit of either.
    """

    def rule(run: Run, attributes: Attributes, inputs: Inputs) -> list[Interval]:
        del run
        given, *parameters = inputs
        assert given is not None
        count, behind = groups(attributes, given.lo.shape)
        x = given.reshaped((-1, count))
        if centred:
            lows, highs = (v.sum(axis=1, keepdims=True) for v in (x.lo, x.hi))
            x = Interval(x.lo - (highs - x.hi + x.lo) / count, x.hi - (lows - x.lo + x.hi) / count)
        least, most = (
            np.sqrt((v**2).mean(axis=1, keepdims=True) + attributes.get("epsilon", 1e-5))
            for v in (x.least, x.most)
        )
        result = Interval.at(x.lo / least, x.lo / most, x.hi / least, x.hi / most)
        result = result.widened(attributes["unit"] * (1 + result.most)).reshaped(given.lo.shape)
        for parameter, join in zip(parameters, (np.multiply, np.add), strict=False):
            if parameter is not None:
                own = parameter.lo.reshape(*parameter.lo.shape, *[1] * behind)
                result = Interval.at(*(join(v, own) for v in (result.lo, result.hi)))
        return [result]

    return rule


def _over_norm(run: Run, attributes: Attributes, inputs: Inputs) -> list[Interval]:
    """Divided by an L1 or L2 norm: an element rises with itself, and its size falls with the sizes
    of the others. N15 rounds the quotient and the root: by less than a unit of either.
    """
    del run
    (x,) = inputs
    assert x is not None
    power = attributes.get("p", 2)
    axes = tuple(attributes.get("axes", [attributes.get("axis", -1)]))
    more = attributes.get("epsilon", 0.0)
    sizes = {end: v**power for end, v in (("least", x.least), ("most", x.most))}
    rest = {end: v.sum(axis=axes, keepdims=True) - v + more for end, v in sizes.items()}

    def over(own: Array, others: Array) -> Array:
        norm = np.power(np.abs(own) ** power + np.maximum(others, 0), 1 / power)
        return np.divide(own, norm, out=np.zeros_like(own), where=norm > 0)

    low = over(x.lo, np.where(x.lo < 0, rest["least"], rest["most"]))
    high = over(x.hi, np.where(x.hi < 0, rest["most"], rest["least"]))
    return [Interval(low, high).widened(attributes["unit"] * 2)]


def _of_sizes(run: Run, attributes: Attributes, inputs: Inputs) -> list[Interval]:
    """What rises with the size of each element: sums of sizes or squares, and roots of these."""
    del attributes
    x, *rest = inputs
    assert x is not None
    others = [None if y is None else y.lo for y in rest]
    return [Interval.at(run([x.least, *others])[0], run([x.most, *others])[0])]


_RULES: dict[str, Callable[[Run, Attributes, Inputs], list[Interval]]] = {
    "Abs": _turning(lambda _: 0.0),
    "Acos": _within(-1, 1),
    "Acosh": _within(1, math.inf),
    "Asin": _within(-1, 1),
    "Atanh": _within(-1, 1),
    "Conv": _bilinear,
    "ConvTranspose": _bilinear,
    "Cos": _turning(*(lambda _, k=k: k * math.pi for k in range(-9, 10))),
    "Cosh": _turning(lambda _: 0.0),
    "Div": _quotient,
    "Formula": _formula,
    "Gelu": _turning(_gelu_turns),
    "Gemm": _bilinear,
    "GRU": _recurrent(gru),
    "GroupNormalization": _normalisation(_over_channels),
    "HardSwish": _turning(lambda _: -1.5),
    "InstanceNormalization": _normalisation(_over_channels),
    "LSTM": _recurrent(lstm),
    "LayerNormalization": _normalisation(_over_last),
    "LogSoftmax": _log_softmax,
    "LpNormalization": _over_norm,
    "MatMul": _bilinear,
    "Mish": _turning(lambda _: -1.1924312145154906),
    "RMSNormalization": _normalisation(_over_last, centred=False),
    "RNN": _recurrent(rnn),
    "Resize": _resize,
    "ReduceL1": _of_sizes,
    "ReduceL2": _of_sizes,
    "ReduceSumSquare": _of_sizes,
    "Sin": _turning(*(lambda _, k=k: (k + 0.5) * math.pi for k in range(-9, 9))),
    "Softmax": _softmax,
    "Swish": _turning(lambda attributes: -1.2784645427610738 / attributes.get("alpha", 1.0)),
}
