# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""Random small networks, drawn by hypothesis: one operator of any configuration, or a few.

A network grows from its inputs. Every layer takes a tensor that is there and adds one: windows with
any kernel, stride, dilation, pads and groups, products with constants, arithmetic of two streams
(which makes residuals and branches), parts, orders, curves. What is drawn is text and seeds: a
failure prints all of it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import onnx
from hypothesis import strategies as st
from onnx import numpy_helper

Array = np.ndarray[Any, Any]
Draw = Callable[[st.SearchStrategy[Any]], Any]
Shape = tuple[int, ...]


@dataclass(frozen=True)
class Constant:
    """Weights by their seed: about as large as keeps a layer's results near its inputs.

    Attributes
    ----------
    name, shape : of the initialiser
    kind : "float32"; "int8" for weights on a grid; "scale" for a grid's steps, above zero
    dead : whether the first channel is zero
    """

    name: str
    shape: Shape
    kind: str
    seed: int
    dead: bool = False

    def array(self) -> Array:
        """The values."""
        rng = np.random.default_rng(self.seed)
        values: Array
        if self.kind == "int8":
            values = rng.integers(-128, 128, self.shape).astype(np.int8)
        elif self.kind == "scale":
            values = np.asarray(rng.uniform(0.2, 1, self.shape) / 512, np.float32)
        else:
            size = math.sqrt(math.prod(self.shape[1:]) or 1)
            values = (rng.standard_normal(self.shape) / size).astype(np.float32)
        if self.dead:
            values[0] = 0
        return values


@dataclass(frozen=True)
class Recipe:
    """A network, and how it is built.

    Attributes
    ----------
    text : the graph in ONNX's text form; ``constants`` are its other initialisers
    bits : width of what midwire quantises; 0 where the model brings its grids
    low, high : range of the samples that it is calibrated on
    strategy : as the compiler's
    pick : which of the implementations that are on offer for a node is built: the price's choice if
        0, else ``pick * (position of the node + 1)``, modulo how many there are
    """

    text: str
    constants: tuple[Constant, ...]
    bits: int
    low: float
    high: float
    strategy: str
    pick: int

    def __repr__(self) -> str:
        parts = [f"Recipe(bits={self.bits}, range=({self.low}, {self.high}), {self.strategy}"]
        parts += [f", pick={self.pick})\n{self.text}"]
        parts += [f"\n  {constant}" for constant in self.constants]
        return "".join(parts)

    def model(self) -> onnx.ModelProto:
        """The network, its shapes inferred."""
        header = '<ir_version: 10, opset_import: ["" : 21]>\n'
        model = onnx.parser.parse_model(header + self.text)
        model.graph.initializer.extend(
            numpy_helper.from_array(constant.array(), constant.name) for constant in self.constants
        )
        return onnx.shape_inference.infer_shapes(model, strict_mode=True, data_prop=True)


@dataclass
class Net:
    """A network that grows."""

    draw: Draw
    gridded: bool
    nodes: list[str] = field(default_factory=list)
    constants: list[Constant] = field(default_factory=list)
    tensors: list[tuple[str, Shape]] = field(default_factory=list)
    used: set[str] = field(default_factory=set)
    numbers: int = 0

    def new(self, letter: str) -> str:
        """An unused name."""
        self.numbers += 1
        return f"{letter}{self.numbers}"

    def integer(self, low: int, high: int) -> int:
        """One of a range, both ends included."""
        return int(self.draw(st.integers(low, high)))

    def chance(self) -> bool:
        """Yes or no; no is simpler."""
        return bool(self.draw(st.booleans()))

    def constant(self, shape: Shape, kind: str = "float32") -> str:
        """A new initialiser."""
        dead = kind == "float32" and len(shape) > 1 and self.integer(0, 7) == 7
        name = self.new("k")
        self.constants.append(Constant(name, shape, kind, self.integer(0, 999), dead))
        return name

    def weights(self, shape: Shape, axis: int = 0) -> str:
        """Weights: float, or int8 with a scale for each channel or for all."""
        if not self.gridded:
            return self.constant(shape)
        ints = self.constant(shape, "int8")
        each = self.chance()
        scale = self.constant((shape[axis],) if each else (), "scale")
        name = self.new("w")
        spelled = f" <axis = {axis}>" if each else ""
        self.nodes.append(f"{name} = DequantizeLinear{spelled} ({ints}, {scale})")
        return name

    def node(self, call: str, shape: Shape, *reads: str, letter: str = "t") -> tuple[str, Shape]:
        """A node of one output, whose inputs that are tensors are ``reads``."""
        name = self.new(letter)
        self.nodes.append(f"{name} = {call}")
        self.used.update(reads)
        return self.grown(name, shape)

    def grown(self, name: str, shape: Shape) -> tuple[str, Shape]:
        """The tensor, on a grid of its own where the model brings them."""
        if self.gridded:
            name = self.grid(name)
        self.tensors.append((name, shape))
        return name, shape

    def grid(self, name: str) -> str:
        """QuantizeLinear and DequantizeLinear, with any type and an awkward scale."""
        kind, low, high = self.draw(st.sampled_from(GRIDS))
        # Wide grids of other scales seldom have an exact multiplier, and are refused.
        steps = SCALES if high - low < 256 else SCALES[:2]
        scale = self.draw(st.sampled_from(steps)) * (256 / (high - low + 1))
        zero = self.integer(max(low, -9), min(high, 9)) if self.chance() else 0
        q, d, s, z = (self.new(letter) for letter in "qdsz")
        self.nodes += [
            f"{s} = Constant <value = float {{{scale!r}}}> ()",
            f"{z} = Constant <value = {kind} {{{zero}}}> ()",
            f"{q} = QuantizeLinear ({name}, {s}, {z})",
            f"{d} = DequantizeLinear ({q}, {s}, {z})",
        ]
        return d


GRIDS = (("int8", -128, 127), ("uint8", 0, 255), ("int16", -32768, 32767))
SCALES = (0.0625, 0.03125, 0.0123, 0.01, 0.0333, 0.0171717)

Layer = Callable[[Net, str, Shape], bool]
"""Adds to a net what reads a tensor of a shape; False if it does not suit."""


def _window(net: Net, spatial: Sequence[int]) -> tuple[list[int], dict[str, list[int]], list[int]]:
    """Kernel, attributes, and the sizes that come out."""
    kernel, sizes = [], []
    rank = len(spatial)
    attributes: dict[str, list[int]] = {"strides": [], "dilations": [], "pads": [0] * 2 * rank}
    for axis, size in enumerate(spatial):
        k, stride, dilation = net.integer(1, 4), net.integer(1, 3), net.integer(1, 2)
        begin, end = (net.integer(0, k - 1) if net.chance() else 0 for _ in range(2))
        if size + begin + end < (k - 1) * dilation + 1:
            k = dilation = 1
            begin = end = 0
        kernel.append(k)
        attributes["strides"].append(stride)
        attributes["dilations"].append(dilation)
        attributes["pads"][axis], attributes["pads"][axis + rank] = begin, end
        sizes.append((size + begin + end - (k - 1) * dilation - 1) // stride + 1)
    return kernel, attributes, sizes


def _text(attributes: dict[str, Any]) -> str:
    return ", ".join(f"{name} = {value}" for name, value in attributes.items())


def _image(shape: Shape) -> bool:
    return len(shape) in (3, 4, 5)


def conv(net: Net, x: str, shape: Shape) -> bool:
    """Dense, grouped or depthwise, on sequences, images and volumes."""
    if not _image(shape):
        return False
    channels = shape[1]
    kernel, attributes, sizes = _window(net, shape[2:])
    divisors = [d for d in range(1, channels + 1) if channels % d == 0]
    group = net.draw(st.sampled_from(divisors))
    out = group * net.integer(1, max(1, 6 // group))
    w = net.weights((out, channels // group, *kernel))
    bias = f", {net.constant((out,))}" if not net.gridded and net.chance() else ""
    call = f"Conv <group = {group}, {_text(attributes)}> ({x}, {w}{bias})"
    net.node(call, (1, out, *sizes), x)
    return True


def pool(net: Net, x: str, shape: Shape) -> bool:
    """Maximum, average, over windows or all of an image."""
    if not _image(shape):
        return False
    whole = net.draw(st.sampled_from(["", "GlobalAveragePool", "GlobalMaxPool"]))
    if whole:
        net.node(f"{whole} ({x})", (*shape[:2], *(1 for _ in shape[2:])), x)
        return True
    kernel, attributes, sizes = _window(net, shape[2:])
    attributes = {"kernel_shape": kernel, **attributes}
    if net.chance():
        if any(d > 1 for d in attributes["dilations"]) and any(attributes["pads"]):
            return False  # ONNX Runtime pads those wrongly
        net.node(f"MaxPool <{_text(attributes)}> ({x})", (*shape[:2], *sizes), x)
        return True
    if any(d > 1 for d in attributes.pop("dilations")):
        return False
    call = f"AveragePool <count_include_pad = 1, {_text(attributes)}> ({x})"
    net.node(call, (*shape[:2], *sizes), x)
    return True


CURVES = ("Relu", "LeakyRelu", "HardSwish", "Sigmoid", "Tanh", "Abs", "Neg", "Elu", "Softplus")


def curve(net: Net, x: str, shape: Shape) -> bool:
    """A function of each element."""
    net.node(f"{net.draw(st.sampled_from(CURVES))} ({x})", shape, x)
    return True


def constant(net: Net, x: str, shape: Shape) -> bool:
    """Arithmetic with a constant for each channel."""
    if not _image(shape):
        return False
    kind = net.draw(st.sampled_from(["Add", "Mul", "Sub"]))
    k = net.constant((shape[1], *(1 for _ in shape[2:])))
    operands = f"{k}, {x}" if net.chance() else f"{x}, {k}"
    net.node(f"{kind} ({operands})", shape, x)
    return True


def pair(net: Net, x: str, shape: Shape) -> bool:
    """Arithmetic of two streams: a residual, the end of a branch, a gate."""
    others = [name for name, other in net.tensors if other == shape and name != x]
    if not others:
        return False
    y = net.draw(st.sampled_from(others))
    kind = net.draw(st.sampled_from(["Add", "Mul"]))
    net.node(f"{kind} ({x}, {y})", shape, x, y)
    return True


def concat(net: Net, x: str, shape: Shape) -> bool:
    """Channels of two streams."""
    others = [
        (name, other)
        for name, other in net.tensors
        if len(other) > 1 and other[2:] == shape[2:] and len(other) == len(shape) and name != x
    ]
    if not others:
        return False
    y, other = net.draw(st.sampled_from(others))
    net.node(f"Concat <axis = 1> ({x}, {y})", (1, shape[1] + other[1], *shape[2:]), x, y)
    return True


def split(net: Net, x: str, shape: Shape) -> bool:
    """Two branches."""
    if not _image(shape) or shape[1] % 2:
        return False
    a, b = net.new("t"), net.new("t")
    net.nodes.append(f"{a}, {b} = Split <axis = 1, num_outputs = 2> ({x})")
    net.used.add(x)
    half = (1, shape[1] // 2, *shape[2:])
    net.grown(a, half)
    net.grown(b, half)
    return True


def order(net: Net, x: str, shape: Shape) -> bool:
    """Axes in another order, or blocks between depth and space."""
    if len(shape) == 3:
        net.node(f"Transpose <perm = [0, 2, 1]> ({x})", (1, shape[2], shape[1]), x)
        return True
    if not _image(shape):
        return False
    _, c, *_, h, w = shape
    if len(shape) == 4 and h % 2 == w % 2 == 0 and net.chance():
        net.node(f"SpaceToDepth <blocksize = 2> ({x})", (1, 4 * c, h // 2, w // 2), x)
    elif len(shape) == 4 and c % 4 == 0 and net.chance():
        net.node(f"DepthToSpace <blocksize = 2> ({x})", (1, c // 4, 2 * h, 2 * w), x)
    else:
        perm = net.draw(st.permutations(range(1, len(shape))))
        net.node(f"Transpose <perm = {[0, *perm]}> ({x})", (1, *(shape[axis] for axis in perm)), x)
    return True


def dense(net: Net, x: str, shape: Shape) -> bool:
    """A product with a matrix: of a vector, after flattening if need be, or of the rows."""
    if len(shape) > 3:
        size = math.prod(shape)
        flat = net.new("f")
        net.nodes.append(f"{flat} = Flatten ({x})")
        net.used.add(x)
        x, shape = flat, (1, size)
    if shape[-1] > 64:
        return False
    out = net.integer(1, 6)
    if len(shape) == 2 and net.chance():
        net.node(f"Gemm <transB = 1> ({x}, {net.weights((out, shape[-1]))})", (1, out), x)
    else:
        w = net.weights((shape[-1], out), axis=1)
        net.node(f"MatMul ({x}, {w})", (*shape[:-1], out), x)
    return True


def softmax(net: Net, x: str, shape: Shape) -> bool:
    """Over any axis; one of a net, for the definition has one number of bits."""
    if any("Softmax" in node for node in net.nodes):
        return False
    net.node(f"Softmax <axis = {net.integer(1, len(shape) - 1)}> ({x})", shape, x)
    return True


LAYERS: tuple[Layer, ...] = (
    conv,
    conv,
    pool,
    curve,
    constant,
    pair,
    concat,
    split,
    order,
    dense,
    softmax,
)
"""Convolutions have the most parameters, so they come twice."""

LARGEST = 400
"""Elements of a tensor that further layers still read."""


@st.composite
def recipes(draw: Draw, most: int = 6) -> Recipe:
    """Networks of one to ``most`` layers."""
    net = Net(draw, gridded=draw(st.booleans()))
    rank = net.integer(1, 3)
    most_pixels = 6 if rank < 3 else 4
    shape = (1, net.integer(1, 6), *(net.integer(1, most_pixels) for _ in range(rank)))
    inputs = [(net.new("x"), shape) for _ in range(1 + (net.integer(0, 3) == 3))]
    sources = [net.grown(name, shape)[0] for name, _ in inputs]
    if len(inputs) > 1:
        kind = draw(st.sampled_from(["Add", "Mul"]))
        net.node(f"{kind} ({', '.join(sources)})", shape, *sources)
    for _ in range(net.integer(1, most)):
        near = [tensor for tensor in net.tensors if math.prod(tensor[1]) <= LARGEST]
        # The newest first: chains are simpler than branches.
        x, found = draw(st.sampled_from(near[::-1]))
        if not draw(st.sampled_from(LAYERS))(net, x, found):
            curve(net, x, found)
    made = [tensor for tensor in net.tensors if tensor[0] not in sources]
    ends = [tensor for tensor in made if tensor[0] not in net.used]
    if net.integer(0, 3) == 3:
        ends += [tensor for tensor in made[-3:] if tensor not in ends][:1]
    declared, results = (", ".join(_declared(*t) for t in ts) for ts in (inputs, ends))
    low, high = draw(st.sampled_from([(-1.0, 1.0), (0.0, 6.0), (-0.2, 3.0)]))
    return Recipe(
        text=f"g ({declared}) => ({results})\n{{ " + "\n  ".join(net.nodes) + " }",
        constants=tuple(net.constants),
        bits=0 if net.gridded else draw(st.sampled_from([8, 4, 2, 3, 5, 6, 7, 10, 12, 16])),
        low=low,
        high=high,
        strategy=draw(st.sampled_from(["auto", "folded", "unrolled", "loadable"])),
        pick=net.integer(0, 99),
    )


def _declared(name: str, shape: Shape) -> str:
    return f"float[{', '.join(map(str, shape))}] {name}"
