# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""Blocks of vision transformers as exporters write them, from ONNX to exact RTL.

A block normalises, attends with several heads, adds, normalises, and adds what a perceptron with a
GELU makes. Exporters differ in how heads are split, where the scale is, and how a mask is written.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import numpy_helper

from midwire.compiler.pipeline import Compiled, Options, compile_model
from midwire.hw.formats.npz import read_npz
from midwire.hw.kernels.reference import Reference
from midwire.hw.session import open_session
from midwire.sim.verify import verify

Array = np.ndarray[Any, Any]

SEED = 20261127
LENGTH, WIDTH, HEADS = 5, 8, 2
DEPTH = WIDTH // HEADS


def heads(x: str, y: str, perm: str = "0, 2, 1, 3") -> str:
    return f"{y}_rows = Reshape ({x}, rows) {y} = Transpose <perm = [{perm}]> ({y}_rows)\n"


EACH = heads("a", "q") + heads("b", "k", "0, 2, 3, 1") + heads("c", "v")
ALL = "m = MatMul (h, w_all) n = Add (b_all, m)\n"
UNBOUND = (
    ALL + "r = Reshape (n, thirds) p = Transpose <perm = [2, 0, 3, 1, 4]> (r)\n"
    "q1, k1, v1 = Split <axis = 0> (p, ones)\n"
    "q = Squeeze (q1, i0) k2 = Squeeze (k1, i0) v = Squeeze (v1, i0)\n"
    "k = Transpose <perm = [0, 1, 3, 2]> (k2)\n"
)
SEQUENCE_FIRST = (
    "h0 = Transpose <perm = [1, 0, 2]> (h) m = MatMul (h0, w_all) n = Add (b_all, m)\n"
    "r = Reshape (n, of_rows) r1 = Unsqueeze (r, i0)\n"
    "r2 = Transpose <perm = [3, 1, 2, 0, 4]> (r1) p = Squeeze (r2, i3)\n"
    + "".join(
        f"{x}1 = Gather <axis = 0> (p, at{n}) {x}2 = Reshape ({x}1, of_heads)\n"
        f"{x}3 = Transpose <perm = [1, 0, 2]> ({x}2) {x} = Unsqueeze ({x}3, i0)\n"
        for n, x in enumerate(("q", "kt", "v"))
    )
    + "k = Transpose <perm = [0, 1, 3, 2]> (kt)\n"
)
GATHERED = (
    ALL + "r = Reshape (n, thirds) p = Transpose <perm = [2, 0, 3, 1, 4]> (r)\n"
    "q = Gather <axis = 0> (p, at0) k1 = Gather <axis = 0> (p, at1)\n"
    "v = Gather <axis = 0> (p, at2)\n"
    "k = Transpose <perm = [0, 1, 3, 2]> (k1)\n"
)
PROJECTED = {
    "three layers": (
        "a1 = MatMul (h, w_q) a = Add (a1, b_q) b1 = MatMul (h, w_k) b = Add (b_k, b1)\n"
        "c1 = MatMul (h, w_v) c = Add (c1, b_v)\n" + EACH
    ),
    "one layer, split": ALL + "a, b, c = Split <axis = -1> (n, widths)\n" + EACH,
    "one layer, sliced": (
        ALL
        + "a = Slice (n, i0, i8, i2) b = Slice (n, i8, i16, i2) c = Slice (n, i16, i24, i2)\n"
        + EACH
    ),
    "one layer, unbound": UNBOUND,
    "one layer, gathered": GATHERED,
    "one layer, the sequence first": SEQUENCE_FIRST,
}
ROOTS = "qs = Mul (q, root) ks = Mul (k, root) s = MatMul (qs, ks)\n"
SCALED = {
    "multiplied": "s0 = MatMul (q, k) s = Mul (s0, scale)\n",
    "divided": "s0 = MatMul (q, k) s = Div (s0, divisor)\n",
    "the queries": "qs = Mul (q, scale) s = MatMul (qs, k)\n",
    "both by roots": "root = Sqrt (scale)\n" + ROOTS,
    "from shapes": (
        "sizes = Shape (q) size = Gather (sizes, last) real = Cast <to = 1> (size)\n"
        "d0 = Sqrt (real) d1 = Div (unit, d0) root = Sqrt (d1)\n" + ROOTS
    ),
}
MASKED = {
    "none": "t = Softmax <axis = -1> (s)\n",
    "padding": "s1 = Add (s, padding) t = Softmax <axis = -1> (s1)\n",
    "causal": "s1 = Add (s, causal) t = Softmax <axis = -1> (s1)\n",
    "chosen": "s1 = Where (stays, s, lowest) t = Softmax <axis = -1> (s1)\n",
}
BLOCK = """
g (float[N, 5, 8] x) => (float[N, 5, 8] y) {
x0 = Add (x, positions)
h = LayerNormalization <axis = -1> (x0, gain, shift)
{ATTENTION}
u0 = MatMul (t, v)
u1 = Transpose <perm = [0, 2, 1, 3]> (u0)
u2 = Reshape (u1, joined)
{TAIL}
}
"""
TAIL = """u = MatMul (u2, w_o)
x1 = Add (x0, u)
h1 = LayerNormalization <axis = -1> (x1, gain, shift)
f = MatMul (h1, w_up)
f1 = Div (f, two) f2 = Erf (f1) f3 = Add (f2, unit) f4 = Mul (f, f3) f5 = Mul (f4, half)
f6 = MatMul (f5, w_down)
y = Add (x1, f6)"""
TAIL_OF_ROWS = (
    "u3 = Reshape (u2, matrix) u4 = Gemm (u3, w_o, b_q) u = Reshape (u4, joined)\n"
    + (TAIL[TAIL.index("x1 =") :])
)
FUSED = (
    "a = MatMul (h, w_q) b = MatMul (h, w_k) c = MatMul (h, w_v)\n"
    "u2 = Attention <q_num_heads = 2, kv_num_heads = 2> (a, b, c, stays)\n"
)


def constants() -> dict[str, Array]:
    """All that a block may read."""
    rng = np.random.default_rng(SEED)

    def matrix(rows: int, columns: int) -> Array:
        return (rng.normal(0, 1, (rows, columns)) / np.sqrt(rows)).astype(np.float32)

    def vector(size: int) -> Array:
        return rng.normal(0, 0.1, size).astype(np.float32)

    stays = np.tril(np.ones((LENGTH, LENGTH), bool))
    integers = {f"i{n}": [n] for n in (0, 2, 3, 8, 16, 24)} | {
        "rows": [0, LENGTH, HEADS, DEPTH],
        "thirds": [0, LENGTH, 3, HEADS, DEPTH],
        "of_rows": [LENGTH, 1, 3, WIDTH],
        "of_heads": [LENGTH, HEADS, DEPTH],
        "matrix": [LENGTH, WIDTH],
        "joined": [1, LENGTH, WIDTH],
        "widths": [WIDTH] * 3,
        "ones": [1] * 3,
    }
    numbers = {
        "scale": DEPTH**-0.5,
        "divisor": DEPTH**0.5,
        "two": 2**0.5,
        "unit": 1,
        "half": 0.5,
        "lowest": np.finfo(np.float32).min,
        "padding": np.where(np.arange(LENGTH) < LENGTH - 1, 0, -10000).reshape(1, 1, 1, LENGTH),
        "causal": np.where(stays, 0, -np.inf),
    }
    return {
        **{name: matrix(WIDTH, WIDTH) for name in ("w_q", "w_k", "w_v", "w_o")},
        **{name: vector(WIDTH) for name in ("b_q", "b_k", "b_v", "shift")},
        "w_all": matrix(WIDTH, 3 * WIDTH),
        "b_all": vector(3 * WIDTH),
        "w_up": matrix(WIDTH, 2 * WIDTH),
        "w_down": matrix(2 * WIDTH, WIDTH),
        "gain": 1 + vector(WIDTH),
        "positions": vector(LENGTH * WIDTH).reshape(1, LENGTH, WIDTH),
        "stays": stays,
        "last": np.array(3, np.int64),
        **{f"at{n}": np.array(n, np.int64) for n in range(3)},
        **{name: np.array(value, np.float32) for name, value in numbers.items()},
        **{name: np.array(value, np.int64) for name, value in integers.items()},
    }


def block(attention: str, opset: int = 17, tail: str = TAIL) -> onnx.ModelProto:
    text = BLOCK.replace("{ATTENTION}", attention).replace("{TAIL}", tail)
    if "Attention" in attention:
        begin, end = text.index("u0 ="), text.index("u = ")
        text = text[:begin] + text[end:]
    graph = onnx.parser.parse_graph(text)
    read = {name for node in graph.node for name in node.input}
    graph.initializer.extend(
        numpy_helper.from_array(array, name) for name, array in constants().items() if name in read
    )
    opsets = [onnx.helper.make_opsetid("", opset)]
    return onnx.helper.make_model(graph, opset_imports=opsets, ir_version=8 if opset < 23 else 11)


def spelled(projected: str, scaled: str, masked: str, tail: str = TAIL) -> onnx.ModelProto:
    return block(PROJECTED[projected] + SCALED[scaled] + MASKED[masked], tail=tail)


BLOCKS: dict[str, Callable[[], onnx.ModelProto]] = {
    "three layers": lambda: spelled("three layers", "multiplied", "padding"),
    "split": lambda: spelled("one layer, split", "divided", "none"),
    "sliced": lambda: spelled("one layer, sliced", "from shapes", "chosen"),
    "unbound": lambda: spelled("one layer, unbound", "both by roots", "causal"),
    "gathered": lambda: spelled("one layer, gathered", "multiplied", "none"),
    "sequence first": lambda: spelled(
        "one layer, the sequence first", "the queries", "none", TAIL_OF_ROWS
    ),
    "queries": lambda: spelled("three layers", "the queries", "causal"),
    "fused": lambda: block(FUSED, 23),
}

LONG = pytest.mark.sweep
"""Every block is simulated in the sweep, and one with all that is hard in the default tests."""


def compiled(model: onnx.ModelProto, folder: Path) -> Compiled:
    rng = np.random.default_rng([SEED, 1])
    samples = rng.normal(0, 1, (16, 1, LENGTH, WIDTH)).astype(np.float32)
    np.savez(folder / "samples.npz", in0=samples)
    path = folder / "block.onnx"
    path.write_bytes(model.SerializeToString())
    done = compile_model(
        path, folder / "bundle", Options(calibrate=folder / "samples.npz", max_error=10)
    )
    assert done.bundle.manifest.slice["macs_share"] == 1.0
    least = done.worst
    print(f"seed {SEED}: {least.sqnr.text if least else 'nothing'} in the slice")
    assert least is not None and least.sqnr.level > 20
    return done


@pytest.mark.usefixtures("no_rtl")
@pytest.mark.parametrize("name", BLOCKS)
def test_a_block_is_one_slice(name: str, tmp_path: Path) -> None:
    """``slice.onnx`` and reference agree, and little is lost."""
    bundle = compiled(BLOCKS[name](), tmp_path).bundle
    golden = read_npz(bundle.path("golden.npz"))["in0"]
    (want,) = Reference.of_bundle(bundle).run_wire([golden])
    session = open_session(bundle.path("slice.onnx"))
    got = [session.run(None, {"wire_in0": wire})[0] for wire in golden]
    np.testing.assert_array_equal(np.stack(got), want)


@pytest.mark.usefixtures("no_nic")
@pytest.mark.parametrize(
    "name",
    [pytest.param(name, marks=() if name == "unbound" else LONG) for name in BLOCKS],
)
def test_a_block_in_rtl(name: str, tmp_path: Path) -> None:
    """With pauses on both sides, and in the predicted cycles."""
    bundle = compiled(BLOCKS[name](), tmp_path).bundle
    samples = tmp_path / "samples.npz"
    found = verify(bundle, inputs=samples, vectors=3, stall=0.3, seed=SEED)
    assert (found.rtl_mismatches, found.onnx_mismatches) == (0, 0)
    assert found.cycles_per_inference == bundle.manifest.cycles_per_inference
    assert found.latency_cycles == bundle.manifest.latency_cycles
