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
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from amaranth.back import verilog

import midwire.hw
from midwire.hw.datapath.lanes import Adapter, Narrow, Widen
from midwire.hw.datapath.ranges import shape_for
from midwire.hw.datapath.stream import AxisTop, Fifo, Fork, beat
from midwire.hw.finish.base import Finisher
from midwire.hw.finish.direct import Direct
from midwire.hw.kernels.base import Kernel
from midwire.hw.kernels.conv import ConvKernel
from midwire.hw.kernels.eltwise import EltwiseKernel
from midwire.hw.kernels.geometry import Geometry
from midwire.hw.kernels.pool import PoolKernel
from midwire.hw.numeric import IntType, QType
from midwire.sim.runner import run_bench

Tensor = npt.NDArray[np.int64]
MakeRequantiser = Callable[..., Any]

MEMORIES = sorted((Path(midwire.hw.__file__).parent / "verilog").glob("mw_*.v"))
I8, U8, I4 = IntType(8, True), IntType(8, False), IntType(4, True)
SEED = 42


@dataclass
class Dut:
    """A component, its ports, tensors (N, ...) for each input and the right answer of each
    output.
    """

    component: Any
    inputs: Sequence[tuple[str, IntType, Tensor]]
    outputs: Sequence[tuple[str, IntType, Tensor]]
    files: Mapping[str, str]


MakeDut = Callable[[MakeRequantiser, Callable[..., Any]], Dut]


def _random(kind: IntType, *size: int) -> Tensor:
    return np.random.default_rng(SEED).integers(kind.lo, kind.hi + 1, size)


def _mover(component: Any, outputs: Sequence[str] = ("o",), kind: IntType = I8) -> Dut:
    """A component that only moves a stream of 3 tensors of 24 elements."""
    x = _random(kind, 3, 24)
    return Dut(component, [("i", kind, x)], [(name, kind, x) for name in outputs], {})


def _built(
    kernel: Kernel,
    finisher: Finisher,
    out: IntType,
    choose: Callable[..., Any],
    pe: int,
    simd: int,
    *xs: Tensor,
) -> Dut:
    """A kernel's implementation; beats of inputs are full."""
    built = choose(kernel, [finisher], [out], pe, simd)
    (terms,) = kernel.run(*(x.reshape(len(x), -1) for x in xs))
    return Dut(
        built.component("dut"),
        [
            (name, port.type, x)
            for name, port, x in zip(built.input_names, built.inputs, xs, strict=True)
        ],
        [("o", out, finisher.apply(*terms))],
        kernel.images(built, [finisher], "dut"),
    )


def _conv(make: MakeRequantiser, choose: Callable[..., Any]) -> Dut:
    rng = np.random.default_rng(SEED)
    geometry = Geometry((5, 4), (3, 3), (2, 1), pads=(0, 1, 1, 1))
    requantiser = make(rng, 6, [(-40000, 40000)], (8, True))
    weights = rng.integers(-8, 8, (6, 3, 3, 4))
    kernel = ConvKernel(geometry, 4, I8, weights, False, 5)
    return _built(kernel, requantiser, I8, choose, 3, 2, _random(I8, 3, 5, 4, 4))


def _padded_conv(make: MakeRequantiser, choose: Callable[..., Any]) -> Dut:
    """Pixels of 5 channels, 3 at a time: in the last lane of every other beat is noise (S1)."""
    rng = np.random.default_rng(SEED)
    requantiser = make(rng, 4, [(-20000, 20000)], (8, True))
    kernel = ConvKernel(
        Geometry((3, 4), (2, 2)), 5, I8, rng.integers(-8, 8, (4, 2, 2, 5)), False, 0
    )
    x = _random(I8, 3, 3, 4, 6)
    dut = _built(kernel, requantiser, I8, choose, 2, 3, x[..., :5])
    return replace(dut, inputs=[("i", I8, x)])


def _depthwise(make: MakeRequantiser, choose: Callable[..., Any]) -> Dut:
    rng = np.random.default_rng(SEED)
    requantiser = make(rng, 4, [(-20000, 20000)], (8, False))
    weights = rng.integers(-8, 8, (4, 3, 3, 1))
    kernel = ConvKernel(Geometry((4, 5), (3, 3), pads=(1, 1, 1, 1)), 4, U8, weights, True, 128)
    return _built(kernel, requantiser, U8, choose, 2, 2, _random(U8, 3, 4, 5, 4))


def _max_pool(make: MakeRequantiser, choose: Callable[..., Any]) -> Dut:
    del make
    geometry = Geometry((5, 5), (3, 3), (2, 2), pads=(1, 1, 1, 1))
    kernel = PoolKernel(geometry, 4, I8, "max", -128)
    return _built(kernel, Direct(4, -128, 127), I8, choose, 2, 2, _random(I8, 3, 5, 5, 4))


def _mean_pool(make: MakeRequantiser, choose: Callable[..., Any]) -> Dut:
    requantiser = make(np.random.default_rng(SEED), 4, [(-128 * 12, 127 * 12)], (8, True))
    kernel = PoolKernel(Geometry((3, 4), (3, 4)), 4, I8, "sum", 0)
    return _built(kernel, requantiser, I8, choose, 1, 1, _random(I8, 4, 3, 4, 4))


def _add(make: MakeRequantiser, choose: Callable[..., Any]) -> Dut:
    requantiser = make(np.random.default_rng(SEED), 4, [(-128, 127), (0, 255)], (8, True))
    kernel = EltwiseKernel((I8, U8), 3 * 2 * 4, 4, 4)
    a, b = _random(I8, 3, 3, 2, 4), _random(U8, 3, 3, 2, 4)
    return _built(kernel, requantiser, I8, choose, 2, 2, a, b)


def _scale(make: MakeRequantiser, choose: Callable[..., Any]) -> Dut:
    requantiser = make(np.random.default_rng(SEED), 6, [(-128, 127)], (4, True))
    kernel = EltwiseKernel((I8,), 2 * 2 * 6, 6, 6)
    return _built(kernel, requantiser, I4, choose, 3, 3, _random(I8, 3, 2, 2, 6))


def _moving(component: Callable[[], Any], *options: Any) -> MakeDut:
    return lambda make, choose: _mover(component(), *options)


DUTS: dict[str, MakeDut] = {
    "fifo": _moving(lambda: Fifo(beat(shape_for(I8), 2), 3)),
    "deep_fifo": _moving(lambda: Fifo(beat(shape_for(I8), 2), 40)),
    "fork": _moving(lambda: Fork(beat(shape_for(I4), 3), 2), ("o.0", "o.1"), I4),
    "widen": _moving(lambda: Widen(shape_for(I8), 2, 3)),
    "narrow": _moving(lambda: Narrow(shape_for(I8), 2, 4)),
    "adapter": _moving(lambda: Adapter(shape_for(U8), 4, 6), ("o",), U8),
    "conv": _conv,
    "padded_conv": _padded_conv,
    "depthwise": _depthwise,
    "max_pool": _max_pool,
    "mean_pool": _mean_pool,
    "add": _add,
    "scale": _scale,
}


def _bytes(kind: IntType, tensor: Tensor) -> npt.NDArray[np.uint8]:
    wire = QType(kind.bits, kind.signed, 1.0).wire_dtype
    return np.ascontiguousarray(tensor.astype(wire)).view(np.uint8).reshape(len(tensor), -1)


@pytest.mark.parametrize("name", DUTS)
def test_component_under_crossed_pauses(
    name: str, tmp_path: Path, requantiser: Any, built: Any
) -> None:
    dut = DUTS[name](requantiser, built)
    top = AxisTop(dut.component, [p[0] for p in dut.inputs], [p[0] for p in dut.outputs])
    (tmp_path / "dut.v").write_text(verilog.convert(top, name="dut", emit_src=False))
    for file, text in dut.files.items():
        (tmp_path / file).write_text(text)
    run_bench(
        [tmp_path / "dut.v", *MEMORIES],
        "dut",
        [_bytes(kind, x) for _, kind, x in dut.inputs],
        [_bytes(kind, x) for _, kind, x in dut.outputs],
        images_dir=tmp_path,
        seed=SEED,
    )
