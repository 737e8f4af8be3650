# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""Comparisons and choices: what function they are, what is none, and that hardware is exact."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from onnx.reference import ReferenceEvaluator

from midwire.compiler.load.frontend import load_model
from midwire.compiler.ops.piecewise import PiecewisePolynomial
from midwire.compiler.pipeline import Options, compile_model
from midwire.compiler.rewrite.rewriting import print_rewritten, rewrite
from midwire.compiler.select.support import import_all
from midwire.sim.verify import verify

ModelFile = Callable[..., Path]

SEED = 29

CONSTANTS = (
    "float zero = {0}, float one = {1}, float two = {2}, float none = {-1}, float tenth = {0.1}, "
    "float half = {0.5}, float[1, 6] ones = {1, 1, 1, 1, 1, 1}, float[6] each = {1, 2, 3, 4, 5, 6}"
)

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


def functions_of(path: Path) -> list[PiecewisePolynomial]:
    """The operators that a model is, none if it has others too."""
    found = rewrite(load_model(path))
    if {unit.operator for unit in found.units} != {"Piecewise"}:
        return []
    ops = [node.op for support in import_all(found.source) for node in support.nodes]
    return [op for op in ops if isinstance(op, PiecewisePolynomial)]


def function_of(path: Path) -> PiecewisePolynomial:
    """The one operator that a model is."""
    (op,) = functions_of(path)
    return op


@pytest.mark.parametrize("body", CHOICES.values(), ids=CHOICES)
def test_spellings(model_file: ModelFile, body: str) -> None:
    """One function of all nodes (two where one choice is made of another's result), with ONNX's own
    values, at breaks among them.
    """
    path = model_file(model(body), 16)
    ops = functions_of(path)
    assert 1 <= len(ops) <= 2
    tried = np.arange(-12, 12, dtype=np.float32).reshape(4, 6) / 8
    (wanted,) = ReferenceEvaluator(load_model(path).model).run(None, {"x": tried})
    values = [Fraction(float(v)) for v in tried.flat]
    for op in ops:
        values = [op.polynomials.rational(v) for v in values]
    got = np.array([float(v) for v in values]).reshape(tried.shape)
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
        pytest.param("z = Relu(x) c = Greater(x, z) y = Where(c, x, each)", id="other constants"),
        pytest.param("m = Cast<to = 9>(each) y = Where(m, x, zero)", id="a mask"),
        pytest.param("c = Greater(x, each) y = Where(c, one, none)", id="breaks of each element"),
        pytest.param("c = Greater(x, zero) e = Exp(x) y = Where(c, x, e)", id="a curve"),
        pytest.param("a = Mul(x, x) c = Greater(a, two) y = Where(c, x, a)", id="irrational"),
        pytest.param("c = Greater(x, zero) a = Div(one, x) y = Where(c, a, one)", id="a pole"),
        pytest.param(
            "a = Mul(x, x) b = Mul(a, x) c = Greater(x, zero) y = Where(c, b, x)", id="a cube"
        ),
        pytest.param(
            "".join(
                f"d{i} = Sub({'x' if not i else f'a{i - 1}'}, each1) a{i} = Abs(d{i}) "
                for i in range(8)
            ).replace("each1", "tenth")
            + "c = Greater(a7, zero) y = Where(c, a7, one)",
            id="too many breaks",
        ),
        pytest.param(
            "s0 = Sign(x) "
            + "".join(f"s{i + 1} = Mul(s{i}, s{i}) " for i in range(18))
            + "y = Mul(s18, one)",
            id="a power of 2^18",
        ),
    ],
)
def test_what_is_none(model_file: ModelFile, body: str) -> None:
    assert not functions_of(model_file(model(body), 16))


def test_text_form(model_file: ModelFile) -> None:
    text = print_rewritten(rewrite(load_model(model_file(model(CHOICES["exactly one"]), 16))))
    assert text == (
        "Piecewise, spelled out in 2 nodes\n"
        "  - c = Equal(x, 1)\n"
        "  - y = Where(c, 2, x)\n"
        "  + y = Piecewise<at = ['2'], breaks = ['1'], pieces = ['0 1', '0 1']>(x)\n"
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


def _initialisers(arrays: dict[str, np.ndarray[Any, Any]]) -> str:
    """Tensors as the text of a model has them."""
    return "".join(
        f", float[{', '.join(map(str, array.shape))}] {name} = "
        f"{{{', '.join(f'{v:.4f}' for v in array.ravel())}}}"
        for name, array in arrays.items()
    )
