# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""One-hot rows times a matrix: what becomes a look-up, what does not, and to which bits."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

from midwire.compiler.load.frontend import load_model
from midwire.compiler.pipeline import Options, compile_model
from midwire.compiler.rewrite.rewriting import print_rewritten, rewrite
from midwire.compiler.select.cuts import find_cuts
from midwire.compiler.select.support import import_all
from midwire.hw.kernels.reference import Reference
from midwire.hw.numeric import QType
from midwire.hw.session import open_session
from midwire.sim.vectors import wire_inputs
from midwire.sim.verify import verify

ModelFile = Callable[..., Path]
Array = np.ndarray[Any, Any]

SEED = 20269

TABLE = "float[4, 2] w = {0.5, -1, 2, 0.25, -0.75, 1, 0, 3}"

EQUAL = f"""
g (int32[N, 3] x) => (float[N, 3, 2] y)
<{TABLE}, int64[3] column = {{1, 3, 1}}, int64[3] wide = {{1, 3, 4}},
 int32[1, 1, 4] places = {{0, 1, 2, 3}}>
{{ a = Reshape (x, column)
   b = Expand (a, wide)
   c = Equal (b, places)
   d = Cast <to = 1> (c)
   y = MatMul (d, w) }}
"""

OPERATOR = f"""
g (int64[N, 3] x) => (float[N, 3, 2] y)
<{TABLE}, int64 depth = {{4}}, float[2] values = {{0, 1}}>
{{ a = OneHot <axis = -1> (x, depth, values)
   y = MatMul (a, w) }}
"""

TEXTS = {
    "equal": """\
Embedding, spelled out in 4 nodes
  - b = Expand(a, wide)
  - c = Equal(b, places)
  - d = Cast<to = 1>(c)
  - y = MatMul(d, w)
  + y = Embedding<low = -1, wrap = 0>(a, MatMul_4::table)
""",
    "operator": """\
Embedding, spelled out in 2 nodes
  - a = OneHot<axis = -1>(x, 4, values)
  - y = MatMul(a, w)
  + y = Embedding<low = -1, wrap = 4>(x, MatMul_1::table)
""",
}

SPELLINGS = {
    "equal": EQUAL,
    "places first": EQUAL.replace("Equal (b, places)", "Equal (places, b)"),
    "no Expand": EQUAL.replace("b = Expand (a, wide)\n", "").replace("(b, places)", "(a, places)"),
    "places apart": EQUAL.replace("{0, 1, 2, 3}", "{7, -2, 30, 4}"),
    "a place twice": EQUAL.replace("{0, 1, 2, 3}", "{1, 0, 1, 3}"),
    "operator": OPERATOR,
    "integers": OPERATOR.replace("float[2] values", "int64[2] values").replace(
        "y = MatMul (a, w)", "b = Cast <to = 1> (a) y = MatMul (b, w)"
    ),
    "narrow": EQUAL.replace("g (int32[N, 3] x)", "g (uint8[N, 3] z)").replace(
        "{ a = R", "{ x = Cast <to = 6> (z) a = R"
    ),
}


@pytest.mark.parametrize("name", TEXTS)
def test_becomes(model_file: ModelFile, name: str) -> None:
    source = load_model(model_file(SPELLINGS[name]))
    assert print_rewritten(rewrite(source)) == TEXTS[name]


def test_the_cut_before_it_is_integers_of_few_bits(model_file: ModelFile) -> None:
    """A request carries indices: as many bits as tell the rows apart, and the sign apart."""
    grids = {}
    for name, text in SPELLINGS.items():
        source = load_model(model_file(text))
        cuts = find_cuts(source, import_all(source))
        (entry,) = source.inputs
        grids[name] = cuts.grids[entry.name]
        assert cuts.macs == 0 and all(unit.supported for unit in cuts.units)
    assert grids["equal"] == QType(4, True, 1.0)
    assert grids["places apart"] == QType(6, True, 1.0)
    assert grids["operator"] == QType(4, True, 1.0)
    assert grids["narrow"] == QType(3, False, 1.0)


def compiled(model_file: ModelFile, text: str, tmp_path: Path) -> tuple[Any, Array, Array]:
    """A bundle, samples with integers far beyond the table, and the model's results for them."""
    path = model_file(text)
    model = onnx.load(path)
    (entry,) = model.graph.input
    dtype = onnx.helper.tensor_dtype_to_np_dtype(entry.type.tensor_type.elem_type)
    info = np.iinfo(dtype)
    rng = np.random.default_rng(SEED)
    x = rng.integers(-6, 34, (40, 1, 3)).clip(info.min, info.max).astype(dtype)
    x[-1] = info.min, info.max, 4
    np.savez(tmp_path / "samples.npz", in0=x)
    options = Options(entry.name, "y", tmp_path / "samples.npz", hold_out=0)
    bundle = compile_model(path, tmp_path / "bundle", options).bundle
    session = open_session(path)
    wanted = [session.run(["y"], {entry.name: sample})[0] for sample in x]
    return bundle, x, np.stack(wanted)


@pytest.mark.parametrize("name", SPELLINGS)
def test_means_the_product(model_file: ModelFile, tmp_path: Path, no_nic: None, name: str) -> None:
    """Every integer of the input's type: beyond the table are zeros, as the product has them."""
    print(f"seed {SEED}")
    bundle, x, wanted = compiled(model_file, SPELLINGS[name], tmp_path)
    (out,) = bundle.manifest.outputs
    wires = wire_inputs(bundle, {"in0": x}, "samples")
    (got,) = Reference.of_bundle(bundle).run_wire(wires)
    for row, real in zip(got, wanted, strict=True):
        q = out.layout.from_stream(row, out.shape)
        np.testing.assert_array_equal(q, out.qtype.quantise(real))
    if name in TEXTS:
        found = verify(bundle, inputs=tmp_path / "samples.npz", vectors=4, stall=0.4, seed=SEED)
        assert found.passed


NEAR_MISSES = {
    "other values": OPERATOR.replace("{0, 1}", "{0, 2}"),
    "another axis": OPERATOR.replace("axis = -1", "axis = 1").replace("[N, 3] x", "[N, 4] x"),
    "reals": EQUAL.replace("int32[N, 3] x", "float[N, 3] x").replace(
        "int32[1, 1, 4] places", "float[1, 1, 4] places"
    ),
    "read elsewhere": OPERATOR.replace("y = MatMul (a, w)", "z = MatMul (a, w) s = ReduceSum(a)\n"
                                       "y = Add(z, s)"),
    "a row of places": EQUAL.replace("int32[1, 1, 4] places = {0, 1, 2, 3}",
                                     "int32[3, 4] places = {0, 1, 2, 3, 0, 1, 2, 3, 0, 1, 2, 3}"),
}  # fmt: skip


@pytest.mark.parametrize("name", NEAR_MISSES)
def test_another_product_is_none(model_file: ModelFile, name: str) -> None:
    found = rewrite(load_model(model_file(NEAR_MISSES[name])))
    # What compares reals with constants is a formula.
    assert {unit.operator for unit in found.units} <= {"", "Formula"}


def test_a_table_of_too_many_rows_is_none(model_file: ModelFile) -> None:
    """Places that lie far apart would make a table of mostly zeros."""
    text = EQUAL.replace("{0, 1, 2, 3}", "{0, 1, 2, 70000}")
    assert print_rewritten(rewrite(load_model(model_file(text)))) == ""


@pytest.mark.models
def test_bytes_of_a_file(models: Path) -> None:
    """2048 bytes and a table of 257 rows: 4096 bytes a request, where the one-hot has 526 336."""
    source = load_model(models / "magika_bytes" / "model.onnx")
    cuts = find_cuts(source, import_all(source))
    assert cuts.grids["bytes"] == QType(10, True, 1.0)
    rewritten = rewrite(source)
    (unit,) = (unit for unit in rewritten.units if unit.operator == "Embedding")
    assert [node.op_type for node in unit.sources] == ["Equal", "Cast", "MatMul"]
