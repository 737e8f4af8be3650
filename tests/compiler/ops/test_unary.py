# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""Operators that are functions of one number: where they turn, what is exact, what is refused."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from flint import arb, ctx

from midwire.compiler.errors import ModelError
from midwire.compiler.load.frontend import load_model
from midwire.compiler.ops import OPERATORS, REGISTRY
from midwire.compiler.ops._model import one_node, weights
from midwire.compiler.ops.unary import UnaryOp
from midwire.compiler.pipeline import Options, compile_model
from midwire.compiler.select.support import import_all
from midwire.hw.finish.steps import monotone, steps
from midwire.hw.numeric import Affine, DomainError, QType, Unary
from midwire.hw.numeric.unary import ball_of
from midwire.sim.verify import verify

CASES = {
    case.name: case.model
    for operator in OPERATORS
    if issubclass(operator, UnaryOp)
    for case in operator.cases()
}
SHAPE = (1, 4)


@pytest.fixture
def function_of(tmp_path: Path) -> Any:
    """The function that a one-node model is."""

    def run(model: onnx.ModelProto) -> Unary:
        path = tmp_path / "net.onnx"
        path.write_bytes(model.SerializeToString())
        (support,) = import_all(load_model(path))
        (node,) = support.nodes
        assert isinstance(node.op, UnaryOp) and not node.op.affine
        return node.op.function

    return run


@pytest.mark.parametrize("name", CASES)
def test_steps_are_right_at_every_accumulator(name: str, function_of: Any) -> None:
    """N6: the turns and what is known to be rational, over grids with and without ties."""
    function = function_of(CASES[name])
    for scale, offset in ((Fraction(1, 16), Fraction(0)), (Fraction(3, 70), Fraction(9, 7))):
        positive = name in ("sqrt", "log", "pow_root", "pow_fraction")
        whole = Affine((scale,), offset).then(function)
        low, high = (0, 255) if positive else (-150, 150)
        for out in (QType(8, True, 1 / 32, 3), QType(4, False, 0.25), QType(12, True, 2.0**-9)):
            found = steps(whole, (low, high), out, 1000)
            assert found is not None
            wanted = [whole.exact([acc], out) for acc in range(low, high + 1)]
            np.testing.assert_array_equal(found.table, wanted)
        pieces = monotone(whole, (low, high))
        assert len(pieces) <= 4 + 2 * len(function.turns)


@pytest.mark.parametrize("name", CASES)
def test_balls_hold_what_is_exact(name: str, function_of: Any) -> None:
    function = function_of(CASES[name])
    exact = 0
    with ctx.workprec(80):
        for x in (Fraction(0), Fraction(1), Fraction(4, 9), Fraction(5), Fraction(-3)):
            try:
                value = function.rational(x)
            except DomainError:
                continue
            if value is not None:
                exact += 1
                assert function.ball(ball_of(x)).overlaps(ball_of(value))
    assert exact or name == "softplus"


@pytest.mark.parametrize("name", ["gelu", "gelu_tanh", "mish", "swish", "swish_steep"])
def test_it_turns_where_it_says(name: str, function_of: Any) -> None:
    """The slope has one sign before the turn and the other behind it, by balls around quotients."""
    function = function_of(CASES[name])
    ((low, high),) = function.turns
    with ctx.workprec(400):

        def slope(x: Fraction) -> arb:
            step = Fraction(1, 2**150)
            return function.ball(ball_of(x + step)) - function.ball(ball_of(x))

        down, up = (low, high) if name != "swish_steep" else (high, low)
        away = 1 if down == low else -1
        for distance in (0, Fraction(1, 9), Fraction(3)):
            assert slope(down - away * distance) < 0
            assert slope(up + away * distance) > 0


REFUSED = [
    ("Gelu", 20, {"approximate": "exp"}, "expected approximate to be none or tanh, found exp"),
    ("Celu", 12, {"alpha": -1.0}, "expected a positive alpha, found -1.0"),
    ("Selu", 13, {"gamma": 0.0}, "expected a positive gamma, found 0.0"),
    ("LeakyRelu", 16, {"alpha": float("inf")}, "expected a finite alpha, found inf"),
    ("HardSigmoid", 13, {"beta": float("nan")}, "expected a finite beta, found nan"),
    ("Swish", 24, {"alpha": float("-inf")}, "expected a finite alpha, found -inf"),
    ("Shrink", 9, {"lambd": -0.5}, "expected a lambd of at least 0, found -0.5"),
]


@pytest.mark.parametrize(("kind", "opset", "attributes", "reason"), REFUSED)
def test_refusals(
    kind: str, opset: int, attributes: dict[str, Any], reason: str, tmp_path: Path
) -> None:
    path = tmp_path / "net.onnx"
    model = one_node(kind, [SHAPE], SHAPE, opset=opset, **attributes)
    path.write_bytes(model.SerializeToString())
    (support,) = import_all(load_model(path))
    assert support.reason == reason


@pytest.mark.parametrize("kind", ["Sqrt", "Log"])
def test_what_is_not_defined_says_what_to_do(kind: str, tmp_path: Path) -> None:
    path = tmp_path / "net.onnx"
    graph = onnx.parser.parse_graph(
        f"""
        g (float[1, 4] x) => (float[1, 4] y) <float s = {{0.5}}, int8 z = {{3}}> {{
            q = QuantizeLinear (x, s, z)
            d = DequantizeLinear (q, s, z)
            f = {kind} (d)
            r = QuantizeLinear (f, s, z)
            y = DequantizeLinear (r, s, z)
        }}"""
    )
    model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 13)])
    path.write_bytes(model.SerializeToString())
    with pytest.raises(ModelError) as caught:
        compile_model(path, tmp_path / "bundle", Options())
    message = str(caught.value)
    assert (
        f"thresholds and tables: {kind} is not defined at -65.5, which its input's grid" in message
    )
    assert "holds; put a Relu or Clip before it" in message


def test_between_layers(tmp_path: Path, no_nic: None) -> None:
    """A convolution before it rounds for it; a factor a channel behind it goes into its tables."""
    del no_nic
    graph = onnx.parser.parse_graph(
        """
        g (float[1, 3, 5, 4] x) => (float[1, 4, 5, 4] y) {
            a = Conv <pads = [1, 1, 1, 1]> (x, w)
            b = LeakyRelu <alpha = 0.2> (a)
            c = Mul (b, k)
            d = Sigmoid (c)
            y = Conv (d, v)
        }"""
    )
    constants = {"w": weights(1, 4, 3, 3, 3), "v": weights(2, 4, 4, 1, 1), "k": weights(3, 4, 1, 1)}
    graph.initializer.extend(onnx.numpy_helper.from_array(a, n) for n, a in constants.items())
    model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 16)])
    path = tmp_path / "net.onnx"
    path.write_bytes(model.SerializeToString())
    samples = np.random.default_rng(5).normal(0, 2, (12, 1, 3, 5, 4)).astype(np.float32)
    np.savez(tmp_path / "samples.npz", in0=samples)
    options = Options(calibrate=tmp_path / "samples.npz")
    bundle = compile_model(path, tmp_path / "bundle", options).bundle
    kinds = [step.finishers[0].kind for step in bundle.manifest.steps]
    assert kinds == ["multiply_shift", "table", "table", "multiply_shift"]
    found = verify(bundle, vectors=4, stall=0.4, seed=1)
    assert (found.rtl_mismatches, found.onnx_mismatches) == (0, 0)
    assert found.cycles_per_inference == bundle.manifest.cycles_per_inference
    assert found.latency_cycles == bundle.manifest.latency_cycles


def test_hard_swish_and_leaky_relu_are_one_file_each() -> None:
    """The registry alone knows of them, what tests every operator included."""
    root = Path(__file__).parents[3]
    # What all ONNX operators do to a batch, what ONNX Runtime fuses, how exporters spell HardSwish
    # out, what operators of integers mean, since when ONNX has each, and the bounds of ONNX's own
    # tests, which must not come from what is tested.
    aside = {
        "compiler/load/batch_rules.py",
        "compiler/load/fused_operators.py",
        "compiler/load/qoperator.py",
        "compiler/rewrite/hard_swish.py",
        "tests/compiler/ops/onnx_backend/intervals.py",
        "tests/compiler/ops/onnx_backend/test_intervals.py",
        "tests/compiler/ops/test_opsets.py",
    }
    tops = ("compiler", "hw", "sim", "host", "tests/compiler/ops")
    sources = [path for top in tops for path in (root / top).rglob("*.py")]
    for name, kind in (("hard_swish", "HardSwish"), ("leaky_relu", "LeakyRelu")):
        assert REGISTRY[kind].__module__ == f"midwire.compiler.ops.{name}"
        knowing = {str(p.relative_to(root)) for p in sources if kind in p.read_text("utf-8")}
        own = {f"compiler/ops/{name}.py", "compiler/ops/__init__.py"}
        assert knowing - aside == own | {str(Path(__file__).relative_to(root))}
