# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""Formulas of one element, of comparisons and choices among others: what function they are, what is
none, and that hardware is exact.
"""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from onnx.reference import ReferenceEvaluator

from midwire.compiler.load.frontend import load_model
from midwire.compiler.ops.formula import ElementFormula
from midwire.compiler.pipeline import Options, compile_model
from midwire.compiler.rewrite.rewriting import print_rewritten, rewrite
from midwire.compiler.select.inspection import inspect_model
from midwire.compiler.select.support import import_all
from midwire.hw.formats.tensor import AnyArray
from midwire.hw.numeric import Affine
from midwire.sim.verify import verify

ModelFile = Callable[..., Path]

SEED = 29

CONSTANTS = (
    "float zero = {0}, float one = {1}, float two = {2}, float none = {-1}, float tenth = {0.1}, "
    "float half = {0.5}, float[1, 6] ones = {1, 1, 1, 1, 1, 1}, float[6] each = {1, 2, 3, 4, 5, 6}"
)

CURVES = {
    "elu": "e = Exp(x) f = Sub(e, one) g = Mul(f, half) c = Greater(x, zero) y = Where(c, x, g)",
    "softplus": "e = Exp(x) f = Add(e, one) g = Log(f) c = Greater(x, one) y = Where(c, x, g)",
    "mish": "s = Softplus(x) t = Tanh(s) y = Mul(x, t)",
    "swish of another width": "a = Mul(x, half) s = Sigmoid(a) y = Mul(s, x)",
    "softsign": "a = Abs(x) b = Add(a, one) y = Div(x, b)",
    "selu by its parts": "p = Relu(x) n = Min(x, zero) e = Exp(n) f = Sub(e, one) g = Mul(f, tenth)"
    " y = Add(p, g)",
    "a curve is compared": "e = Exp(x) c = Greater(e, two) y = Where(c, e, x)",
    "not defined on the other side": "c = Greater(x, zero) e = Log(x) y = Where(c, e, x)",
    "a pole on the other side": "c = Greater(x, zero) a = Div(one, x) y = Where(c, a, one)",
    "irrational": "a = Mul(x, x) c = Greater(a, two) y = Where(c, x, a)",
    "a cube": "a = Mul(x, x) b = Mul(a, x) c = Greater(x, zero) y = Where(c, b, x)",
    "thresholds of channels": "c = Greater(x, each) y = Where(c, one, none)",
    "slopes of channels": "a = Mul(x, each) c = Less(x, zero) y = Where(c, a, x)",
    "bounds of channels": "c = Greater(x, each) y = Where(c, each, x)",
    "curves of channels": "e = Exp(x) f = Sub(e, one) g = Mul(f, each) c = Greater(x, zero)"
    " y = Where(c, x, g)",
    "constants of channels": "z = Relu(x) c = Greater(x, z) y = Where(c, x, each)",
    "leaky relu as a maximum": "a = Mul(x, tenth) y = Max(x, a)",
}

CHOICES = {
    "signs": "c = GreaterOrEqual(x, zero) y = Where(c, one, none)",
    "constants as large as the tensor": "c = Greater(zero, x) y = Where(c, none, ones)",
    "a cast": "c = GreaterOrEqual(x, zero) f = Cast<to = 1>(c) g = Mul(f, two) y = Sub(g, one)",
    "not": "c = LessOrEqual(x, half) d = Not(c) y = Where(d, two, none)",
    "straight through": "s = Sign(x) d = Sub(s, x) y = Add(x, d)",
    "three levels": "c = Greater(x, half) d = Less(x, none) e = Where(d, none, zero)"
    " y = Where(c, one, e)",
    "exactly one": "c = Equal(x, one) y = Where(c, two, x)",
    "both": "c = Less(x, one) d = Less(none, x) e = And(c, d) y = Where(e, x, zero)",
    "either": "c = Less(one, x) d = Less(x, none) e = Or(c, d) y = Where(e, x, zero)",
    "one of two": "c = Less(none, x) d = Less(x, one) e = Xor(c, d) y = Where(e, x, zero)",
    "relu": "c = Greater(x, zero) y = Where(c, x, zero)",
    "relu by a product": "c = Greater(x, zero) f = Cast<to = 1>(c) y = Mul(x, f)",
    "falling": "a = Neg(x) c = Less(x, zero) y = Where(c, zero, a)",
    "a bend": "s = Mul(x, tenth) c = Less(x, zero) y = Where(c, s, x)",
    "hard tanh": "c = Greater(x, one) a = Where(c, one, x) d = Less(a, none) y = Where(d, none, a)",
    "hard sigmoid": "a = Mul(x, half) b = Add(a, half) c = Less(x, none) d = Where(c, zero, b)"
    " e = Greater(x, one) y = Where(e, one, d)",
    "a parabola": "a = Mul(x, x) b = Mul(a, half) c = Abs(x) d = Sub(c, half) e = Less(c, one)"
    " y = Where(e, b, d)",
}


def model(body: str, width: int = 6) -> str:
    return f"g (float[N, {width}] x) => (float[N, {width}] y) <{CONSTANTS}> {{ {body} }}"


def functions_of(path: Path) -> list[ElementFormula]:
    """The operators that a model is, none if it has others too."""
    found = rewrite(load_model(path))
    if {unit.operator for unit in found.units} != {"Formula"}:
        return []
    ops = [node.op for support in import_all(found.source) for node in support.nodes]
    return [op for op in ops if isinstance(op, ElementFormula)]


def function_of(path: Path) -> ElementFormula:
    """The one operator that a model is."""
    (op,) = functions_of(path)
    return op


def evaluated(op: ElementFormula, tried: AnyArray) -> AnyArray:
    """What an operator makes of the rows of an array."""
    through = [Affine((Fraction(1),), Fraction(0))] * tried.shape[1]
    functions = op.absorb(through, tried.shape, 1)
    rows = [
        [float(f.real([Fraction(float(v))])) for f, v in zip(functions, row, strict=True)]  # type: ignore[attr-defined]
        for row in tried
    ]
    return np.array(rows)


@pytest.mark.parametrize("body", (CHOICES | CURVES).values(), ids=CHOICES | CURVES)
def test_spellings(model_file: ModelFile, body: str) -> None:
    """One function of all nodes (two where one choice is made of another's result), with ONNX's own
    values, at breaks among them.
    """
    path = model_file(model(body), 16)
    ops = functions_of(path)
    assert 1 <= len(ops) <= 2
    tried = np.arange(-12, 12, dtype=np.float32).reshape(4, 6) / 8
    with np.errstate(all="ignore"):  # on the side that is not chosen
        (wanted,) = ReferenceEvaluator(load_model(path).model).run(None, {"x": tried})
    got = tried
    for op in ops:
        got = evaluated(op, got)
    np.testing.assert_allclose(got, np.asarray(wanted), rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize(
    ("name", "needs_table", "clamps"),
    [
        ("relu", False, True),
        ("hard tanh", False, True),
        ("hard sigmoid", False, False),
        ("falling", False, False),
        ("a bend", True, False),
        ("both", True, False),
        ("signs", False, False),
    ],
)
def test_a_bounded_line_is_a_clamp(
    model_file: ModelFile, name: str, needs_table: bool, clamps: bool
) -> None:
    ops = functions_of(model_file(model(CHOICES[name]), 16))
    assert {(op.needs_table, op.clamps) for op in ops} == {(needs_table, clamps)}


@pytest.mark.parametrize(
    ("name", "levels"),
    [
        ("signs", (-1, 1)),
        ("straight through", (-1, 0, 1)),
        ("three levels", (-1, 0, 1)),
        ("relu", ()),
    ],
)
def test_levels(model_file: ModelFile, name: str, levels: tuple[int, ...]) -> None:
    found = function_of(model_file(model(CHOICES[name]), 16)).levels
    assert found == tuple(map(Fraction, levels))


@pytest.mark.parametrize(
    "body",
    [
        pytest.param("m = Cast<to = 9>(each) y = Where(m, x, zero)", id="a mask"),
        pytest.param("e = Exp(x) f = Add(e, one) y = Log(f)", id="a chain"),
        pytest.param("a = Mul(x, x) b = Mul(a, x) y = Sub(x, b)", id="a polynomial"),
        pytest.param("a = Mul(x, each) y = Sub(x, a)", id="a line a channel"),
        pytest.param(
            "s0 = Sign(x) "
            + "".join(f"s{i + 1} = Mul(s{i}, s{i}) " for i in range(18))
            + "y = Mul(s18, one)",
            id="a power of 2^18",
        ),
        pytest.param("n = Log(none) y = Min(x, n)", id="a bound that is no number"),
        pytest.param("n = Log(none) y = Max(n, x)", id="a first bound that is no number"),
        pytest.param("i = Log(zero) y = Min(x, i)", id="a bound below all numbers"),
        pytest.param(
            "a = Add(x, each) s0 = Abs(a) "
            + "".join(f"s{i + 1} = Mul(s{i}, s{i}) " for i in range(14))
            + "y = Where(m, s14, zero) m = Greater(x, zero)",
            id="a power of 2^14 of what constants are added to",
        ),
    ],
)
def test_what_is_none(model_file: ModelFile, body: str) -> None:
    assert not functions_of(model_file(model(body), 16))


@pytest.mark.parametrize("first", ["ThresholdedRelu", "HardSigmoid", "Sign", "Relu"])
def test_powers_of_powers(model_file: ModelFile, first: str) -> None:
    """The first squares are one function, and the rest, whose power is too high, squares."""
    body = f"s0 = {first}(x) " + " ".join(f"s{i + 1} = Mul(s{i}, s{i})" for i in range(24))
    found = inspect_model(model_file(model(f"{body} y = Neg(s24)"), 16))
    assert found["nodes"][-2]["op"] == "Mul" and found["supported"] == len(found["nodes"])


def test_constants_whose_powers_are_too_long(model_file: ModelFile) -> None:
    """They are numbers in the formula only when channels are told apart, behind the pattern."""
    squares = "".join(f"s{i + 1} = Mul(s{i}, s{i}) " for i in range(5))
    body = f"s0 = Mul(x, tiny) {squares} m = Greater(x, zero) y = Where(m, s5, zero)"
    text = model(body).replace("float zero", "float[6] tiny = {1e-40, 1, 1, 1, 1, 1}, float zero")
    (support,) = import_all(rewrite(load_model(model_file(text, 16))).source)
    said = (
        "expected constants whose products and powers in the formula have at most 4096 bits, "
        "found longer ones; round the constants, or use lower powers"
    )
    assert said in str(support)


def test_text_form(model_file: ModelFile) -> None:
    text = print_rewritten(rewrite(load_model(model_file(model(CHOICES["exactly one"]), 16))))
    assert text == (
        "Formula, spelled out in 2 nodes\n"
        "  - c = Equal(x, 1)\n"
        "  - y = Where(c, 2, x)\n"
        "  + y = Formula<of = -2*positive(-1 + x) + -2*positive(-1*x + 1) + 2 + "
        "positive(-1 + x)*x + positive(-1*x + 1)*x>(x)\n"
    )


NETWORK = """
g (float[N, 4] x) => (float[N, 3] y)
<float zero = {0}, float one = {1}, float none = {-1}, float half = {0.5}, float tenth = {0.1}>
{ a = MatMul (x, w)
  b = Mul (a, gain)
  c = GreaterOrEqual (b, zero)
  d = Where (c, one, none)
  e = MatMul (d, v)
  f = Less (e, none)
  g = Mul (e, tenth)
  h = Sub (g, half)
  i = Where (f, h, e)
  y = MatMul (i, u) }
"""


@pytest.mark.usefixtures("no_nic")
def test_in_rtl(model_file: ModelFile, tmp_path: Path) -> None:
    """Signs go into the first layer's comparisons and are two bits to the second, whose own choice
    jumps, and is a table.
    """
    print(f"seed {SEED}")
    rng = np.random.default_rng(SEED)
    arrays: dict[str, np.ndarray[Any, Any]] = {
        "w": rng.normal(size=(4, 6)),
        "gain": rng.normal(size=6),
        "v": np.sign(rng.normal(size=(6, 5))),
        "u": rng.normal(size=(5, 3)),
    }
    text = NETWORK.replace(">\n{", _initialisers(arrays) + ">\n{")
    samples = tmp_path / "samples.npz"
    np.savez(samples, x=rng.normal(size=(24, 1, 4)).astype(np.float32))
    options = Options(calibrate=samples, min_sqnr=0.0)
    bundle = compile_model(model_file(text, 16), tmp_path / "bundle", options).bundle
    first, second, *_ = bundle.manifest.steps
    assert first.finishers[0].kind == "thresholds"
    assert second.kernel.parameters["x"] == {"bits": 2, "signed": True}
    found = verify(bundle, vectors=6, stall=0.4, seed=SEED)
    assert (found.rtl_mismatches, found.onnx_mismatches) == (0, 0)
    assert found.cycles_per_inference == bundle.manifest.cycles_per_inference
    assert found.latency_cycles == bundle.manifest.latency_cycles


CURVED = """
g (float[N, 4] x) => (float[N, 3] y)
<float zero = {0}, float one = {1}>
{ a = MatMul (x, w)
  c = Greater (a, zero)
  e = Exp (a)
  f = Sub (e, one)
  h = Mul (f, alpha)
  i = Where (c, a, h)
  j = MatMul (i, v)
  p = Softplus (j)
  t = Tanh (p)
  m = Mul (j, t)
  y = MatMul (m, u) }
"""


@pytest.mark.usefixtures("no_nic")
def test_curves_in_rtl(model_file: ModelFile, tmp_path: Path) -> None:
    """An ELU with an alpha a channel, and Mish, are a table each, and one rounding."""
    print(f"seed {SEED}")
    rng = np.random.default_rng(SEED)
    arrays: dict[str, np.ndarray[Any, Any]] = {
        "w": rng.normal(size=(4, 3)),
        "alpha": rng.uniform(0.2, 2, size=3),
        "v": rng.normal(size=(3, 4)),
        "u": rng.normal(size=(4, 3)),
    }
    text = CURVED.replace(">\n{", _initialisers(arrays) + ">\n{")
    samples = tmp_path / "samples.npz"
    np.savez(samples, x=rng.normal(size=(24, 1, 4)).astype(np.float32))
    options = Options(calibrate=samples, min_sqnr=20.0)
    bundle = compile_model(model_file(text, 16), tmp_path / "bundle", options).bundle
    kinds = [finisher.kind for step in bundle.manifest.steps for finisher in step.finishers]
    assert kinds.count("table") == 2
    found = verify(bundle, vectors=6, stall=0.4, seed=SEED)
    assert (found.rtl_mismatches, found.onnx_mismatches) == (0, 0)
    assert found.cycles_per_inference == bundle.manifest.cycles_per_inference
    assert found.latency_cycles == bundle.manifest.latency_cycles


def _initialisers(arrays: dict[str, np.ndarray[Any, Any]]) -> str:
    """Tensors as the text of a model has them."""
    return "".join(
        f", float[{', '.join(map(str, array.shape))}] {name} = "
        f"{{{', '.join(f'{v:.4f}' for v in array.ravel())}}}"
        for name, array in arrays.items()
    )
