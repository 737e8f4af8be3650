# amaranth: UnusedElaboratable=no
# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""Every streaming component once under the shared cocotb bench: source pauses crossed with sink
pauses.

The other tests of this folder drive the same Verilog from C++, which is faster and goes wider; this
one checks the handshakes with cocotbext-axi, as a user's own bench would.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from amaranth.back import verilog
from amaranth.hdl import Shape

import midwire.hw
from midwire.hw.datapath.conv import FoldedConv, FoldedDepthwise
from midwire.hw.datapath.eltwise import EltwiseAdd, EltwiseScale
from midwire.hw.datapath.lanes import Adapter, Narrow, Widen
from midwire.hw.datapath.pool import FoldedPool
from midwire.hw.datapath.stream import AxisTop, Fifo, Fork, beat
from midwire.hw.kernels import integer as kernels
from midwire.hw.kernels.integer import Geometry
from midwire.hw.numeric import QType
from midwire.sim.runner import run_bench

Tensor = npt.NDArray[np.int64]
MakeRequantiser = Callable[..., Any]

ROM = Path(midwire.hw.__file__).parent / "verilog" / "mw_rom.v"
I8, U8, I4 = Shape(8, True), Shape(8, False), Shape(4, True)
SEED = 42


@dataclass
class Dut:
    """A component, its ports, tensors (N, ...) for each input and the right answer of each
    output.
    """

    component: Any
    inputs: Sequence[tuple[str, Shape, Tensor]]
    outputs: Sequence[tuple[str, Shape, Tensor]]
    files: Mapping[str, str]


def _random(shape: Shape, *size: int) -> Tensor:
    low = -(1 << (shape.width - 1)) if shape.signed else 0
    return np.random.default_rng(SEED).integers(low, low + (1 << shape.width), size)


def _mover(component: Any, outputs: Sequence[str] = ("o",), shape: Shape = I8) -> Dut:
    """A component that only moves a stream of 3 tensors of 24 elements."""
    x = _random(shape, 3, 24)
    return Dut(component, [("i", shape, x)], [(name, shape, x) for name in outputs], {})


def _conv(make: MakeRequantiser) -> Dut:
    rng = np.random.default_rng(SEED)
    geometry = Geometry(5, 4, (3, 3), (2, 1), pads=(0, 1, 1, 1))
    requantiser = make(rng, 6, [(-40000, 40000)], (8, True))
    weights = rng.integers(-8, 8, (6, 3, 3, 4))
    dut = FoldedConv(
        "conv",
        geometry,
        channels_in=4,
        channels_out=6,
        pe=3,
        simd=2,
        x=I8,
        weight=I4,
        out=I8,
        accumulator=(-40000, 40000),
        requantiser=requantiser,
        pad_value=5,
    )
    x = _random(I8, 3, 5, 4, 4)
    return Dut(dut, [("i", I8, x)], [("o", I8, dut.reference(x, weights))], dut.files(weights))


def _depthwise(make: MakeRequantiser) -> Dut:
    rng = np.random.default_rng(SEED)
    requantiser = make(rng, 4, [(-20000, 20000)], (8, False))
    weights = rng.integers(-8, 8, (4, 3, 3, 1))
    dut = FoldedDepthwise(
        "depthwise",
        Geometry(4, 5, (3, 3), pads=(1, 1, 1, 1)),
        channels=4,
        lanes=2,
        x=U8,
        weight=I4,
        out=U8,
        accumulator=(-20000, 20000),
        requantiser=requantiser,
        pad_value=128,
    )
    x = _random(U8, 3, 4, 5, 4)
    return Dut(dut, [("i", U8, x)], [("o", U8, dut.reference(x, weights))], dut.files(weights))


def _max_pool(make: MakeRequantiser) -> Dut:
    del make
    geometry = Geometry(5, 5, (3, 3), (2, 2), pads=(1, 1, 1, 1))
    dut = FoldedPool("pool", geometry, "max", channels=4, lanes=2, x=I8, pad_value=-128)
    x = _random(I8, 3, 5, 5, 4)
    return Dut(dut, [("i", I8, x)], [("o", I8, dut.reference(x))], dut.files)


def _mean_pool(make: MakeRequantiser) -> Dut:
    requantiser = make(np.random.default_rng(SEED), 4, [(-128 * 12, 127 * 12)], (8, True))
    geometry = Geometry(3, 4, (3, 4))
    dut = FoldedPool(
        "pool", geometry, "sum", channels=4, lanes=1, x=I8, requantiser=requantiser, out=I8
    )
    x = _random(I8, 4, 3, 4, 4)
    return Dut(dut, [("i", I8, x)], [("o", I8, dut.reference(x))], dut.files)


def _add(make: MakeRequantiser) -> Dut:
    requantiser = make(np.random.default_rng(SEED), 4, [(-128, 127), (0, 255)], (8, True))
    dut = EltwiseAdd("add", lanes=2, a=I8, b=U8, out=I8, requantiser=requantiser)
    a, b = _random(I8, 3, 3, 2, 4), _random(U8, 3, 3, 2, 4)
    wanted = dut.reference(a, b)
    return Dut(dut, [("a", I8, a), ("b", U8, b)], [("o", I8, wanted)], dut.files)


def _scale(make: MakeRequantiser) -> Dut:
    requantiser = make(np.random.default_rng(SEED), 6, [(-128, 127)], (4, True))
    dut = EltwiseScale("scale", lanes=3, x=I8, out=I4, requantiser=requantiser)
    x = _random(I8, 3, 2, 2, 6)
    wanted = kernels.requantise(requantiser, x)
    return Dut(dut, [("i", I8, x)], [("o", I4, wanted)], dut.files)


DUTS: dict[str, Callable[[MakeRequantiser], Dut]] = {
    "fifo": lambda make: _mover(Fifo(beat(I8, 2), 3)),
    "deep_fifo": lambda make: _mover(Fifo(beat(I8, 2), 40)),
    "fork": lambda make: _mover(Fork(beat(I4, 3), 2), ("o.0", "o.1"), I4),
    "widen": lambda make: _mover(Widen(I8, 2, 3)),
    "narrow": lambda make: _mover(Narrow(I8, 2, 4)),
    "adapter": lambda make: _mover(Adapter(U8, 4, 6), shape=U8),
    "conv": _conv,
    "depthwise": _depthwise,
    "max_pool": _max_pool,
    "mean_pool": _mean_pool,
    "add": _add,
    "scale": _scale,
}


def _bytes(shape: Shape, tensor: Tensor) -> npt.NDArray[np.uint8]:
    kind = QType(shape.width, shape.signed, 1.0).wire_dtype
    return np.ascontiguousarray(tensor.astype(kind)).view(np.uint8).reshape(len(tensor), -1)


@pytest.mark.parametrize("name", DUTS)
def test_component_under_crossed_pauses(name: str, tmp_path: Path, requantiser: Any) -> None:
    dut = DUTS[name](requantiser)
    top = AxisTop(dut.component, [p[0] for p in dut.inputs], [p[0] for p in dut.outputs])
    (tmp_path / "dut.v").write_text(verilog.convert(top, name="dut", emit_src=False))
    for file, text in dut.files.items():
        (tmp_path / file).write_text(text)
    run_bench(
        [tmp_path / "dut.v", ROM],
        "dut",
        [_bytes(shape, x) for _, shape, x in dut.inputs],
        [_bytes(shape, x) for _, shape, x in dut.outputs],
        images_dir=tmp_path,
        seed=SEED,
    )
