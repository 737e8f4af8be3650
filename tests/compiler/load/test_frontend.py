# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from midwire.compiler.errors import ModelError
from midwire.compiler.load import infer
from midwire.compiler.load.constants import Context
from midwire.compiler.load.frontend import load_model
from midwire.compiler.load.normalise import normalise
from midwire.compiler.select.support import import_all

ModelFile = Callable[..., Path]

MLP = """
g (float[N, 3] x) => (float[N, 2] y)
<float[3, 2] w = {1, 2, 3, 4, 5, 6}, float[2] b = {0.5, -0.5}>
{ h = MatMul(x, w)
  s = Add(h, b)
  y = Relu(s) }
"""


def refuse(path: Path, sentence: str) -> None:
    """Loading must fail with just this message, in which FILE stands for the path."""
    with pytest.raises(ModelError) as caught:
        load_model(path)
    assert str(caught.value).replace(str(path), "FILE") == sentence


# What is not a model


def test_missing_file(tmp_path: Path) -> None:
    refuse(
        tmp_path / "no.onnx",
        "FILE: no such file; expected an ONNX model, a file that ends in .onnx; found nothing. "
        "Check the path.",
    )


def test_folder(tmp_path: Path) -> None:
    (tmp_path / "a.onnx").touch()
    refuse(
        tmp_path,
        "FILE: this is a folder; expected an ONNX model, a file that ends in .onnx; "
        "found a folder with a.onnx. Give the file inside it.",
    )


def test_not_onnx(model_file: ModelFile) -> None:
    refuse(
        model_file(b"<html>404</html>"),
        "FILE: not an ONNX model, or a truncated one; expected an ONNX protobuf message; "
        "found 16 bytes that are no such message. Check that the file is complete: compare its "
        "SHA-256 with where it came from.",
    )


def test_empty_file(model_file: ModelFile) -> None:
    refuse(
        model_file(b""),
        "FILE: not an ONNX model, or a truncated one; expected an ONNX protobuf message; "
        "found an empty file. Check that the file is complete: compare its SHA-256 with where it "
        "came from.",
    )


def test_another_message(model_file: ModelFile) -> None:
    refuse(
        model_file(onnx.ModelProto(producer_name="x")),
        "FILE: not an ONNX model, or a truncated one; expected a model with a graph, nodes, "
        "outputs, an IR version and an opset; found none of: a graph, nodes, outputs, an IR "
        "version, an opset. Check that the file is complete: compare its SHA-256 with where it "
        "came from.",
    )


def test_every_truncation_is_refused(model_file: ModelFile) -> None:
    raw = model_file(MLP).read_bytes()
    for length in range(len(raw)):
        with pytest.raises(ModelError):
            load_model(model_file(raw[:length]))


def test_name_that_is_not_text(model_file: ModelFile) -> None:
    raw = model_file(MLP.replace("MatMul(x, w)", "MatMul(qqqq, w)").replace("] x", "] qqqq"))
    refuse(
        model_file(raw.read_bytes().replace(b"qqqq", b"q\xffqq")),
        r"FILE: a name in the model is not text; expected names in UTF-8; found b'q\xffqq'. "
        "Check that the file is complete: compare its SHA-256 with where it came from.",
    )


# External data


def external(path: Path, location: str) -> Path:
    """Say that the weights of the model lie in another file."""
    model = onnx.load(path)
    tensor = model.graph.initializer[0]
    tensor.ClearField("raw_data")
    tensor.ClearField("float_data")
    tensor.data_location = TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value=location)
    path.write_bytes(model.SerializeToString())
    return path


def test_external_data(model_file: ModelFile, tmp_path: Path) -> None:
    weights = np.arange(6, dtype=np.float32).reshape(3, 2)
    (tmp_path / "w.bin").write_bytes(weights.tobytes())
    source = load_model(external(model_file(MLP), "w.bin"))
    np.testing.assert_array_equal(source.initialisers["w"], weights)


def test_external_data_missing(model_file: ModelFile) -> None:
    refuse(
        external(model_file(MLP), "w.bin"),
        "FILE: tensor 'w': external data is missing or not usable; expected the file 'w.bin' "
        "beside the model; found no such file. Copy the model together with its external data "
        "files.",
    )


@pytest.mark.parametrize("location", ["../secret", "/etc/passwd", "link"])
def test_external_data_outside(model_file: ModelFile, tmp_path: Path, location: str) -> None:
    (tmp_path / "link").symlink_to("/etc/passwd")
    refuse(
        external(model_file(MLP), location),
        "FILE: tensor 'w': external data is missing or not usable; expected a file in the "
        f"model's folder; found {location!r}. Copy the model together with its external data "
        "files.",
    )


FUNCTION = """
g (float[N, 3] x) => (float[N, 3] y) { y = own.plus(x) }
<opset_import: ["" : 13], domain: "own">
plus (a) => (b) { c = Constant<value = float[3] {1, 2, 3}>() b = Add(a, c) }
"""


@pytest.mark.parametrize("location", ["w.bin", "../secret"])
def test_external_data_of_a_local_function(
    model_file: ModelFile, tmp_path: Path, location: str
) -> None:
    (tmp_path / "w.bin").write_bytes(np.array([4, 5, 6], np.float32).tobytes())
    model = onnx.load(model_file(FUNCTION, imports=', "own" : 1'))
    tensor = model.functions[0].node[0].attribute[0].t
    tensor.ClearField("float_data")
    tensor.data_location = TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value=location)
    path = model_file(model)
    if location == "w.bin":
        source = load_model(path)
        constant = Context(source).const(source.nodes[0].output[0])
        assert constant is not None and constant.values.tolist() == [4, 5, 6]
    else:
        refuse(
            path,
            "FILE: tensor '': external data is missing or not usable; expected a file in the "
            f"model's folder; found {location!r}. Copy the model together with its external data "
            "files.",
        )


def test_external_data_of_a_sparse_tensor(model_file: ModelFile) -> None:
    model = onnx.load(model_file(MLP))
    values = numpy_helper.from_array(np.ones(1, np.float32), "values")
    values.ClearField("raw_data")
    values.data_location = TensorProto.EXTERNAL
    values.external_data.add(key="location", value="/etc/passwd")
    indices = numpy_helper.from_array(np.zeros(1, np.int64), "indices")
    sparse = helper.make_sparse_tensor(values, indices, [2])
    node = helper.make_node("Constant", [], ["c"], sparse_value=sparse)
    model.graph.node.insert(0, node)
    refuse(
        model_file(model),
        "FILE: tensor 'values': external data is missing or not usable; expected a file in the "
        "model's folder; found '/etc/passwd'. Copy the model together with its external data "
        "files.",
    )


# Models that are not legal


def test_checker(model_file: ModelFile) -> None:
    model = onnx.load(model_file(MLP))
    model.graph.node[2].op_type = "Rectify"
    path = model_file(model)
    with pytest.raises(ModelError) as caught:
        load_model(path)
    message = str(caught.value)
    assert message.startswith(
        f"{path}: the ONNX checker refuses the model; expected a legal ONNX model; found No Op "
        "registered for Rectify with domain_version of 13 ==> Context: "
    )
    assert message.endswith(". Export the model again, or repair the node that is named.")


def test_dynamic_shape(model_file: ModelFile) -> None:
    refuse(
        model_file("g (float[N, 3, H, W] x) => (float[N, 3, H, W] y) { y = Relu(x) }"),
        "input 'x': the model leaves dimensions open; expected numbers for all dimensions but the "
        "first (the batch); found [1, 3, H, W]. Bind them with --shape x=1,3,N,N, a number for "
        "each N, or with samples (--calibrate).",
    )


def test_open_dimensions_of_all_inputs_at_once(model_file: ModelFile) -> None:
    refuse(
        model_file(
            "g (float[N, H] x, float[2] m, float[N, L, 3] z) => (float[N, M] y) { y = Relu(x) }"
        ),
        "inputs 'x', 'z': the model leaves dimensions open; expected numbers for all dimensions "
        "but the first (the batch); found [1, H] and [1, L, 3]. Bind them with --shape x=1,N "
        "--shape z=1,N,3, a number for each N, or with samples (--calibrate).",
    )


def without_shape(model: onnx.ModelProto) -> None:
    model.graph.input[0].type.tensor_type.ClearField("shape")


def with_a_sequence(model: onnx.ModelProto) -> None:
    sequence = helper.make_tensor_sequence_value_info("q", TensorProto.FLOAT, [1])
    model.graph.input.append(sequence)


def in_a_circle(model: onnx.ModelProto) -> None:
    model.graph.node[0].input[0] = "y"


def made_twice(model: onnx.ModelProto) -> None:
    model.graph.node[1].output[0] = "h"


def with_a_name_twice(model: onnx.ModelProto) -> None:
    model.graph.initializer[1].name = "w"
    model.graph.node[1].input[1] = "w"


def made_by_nobody(model: onnx.ModelProto) -> None:
    model.graph.node[1].input[0] = "lost"


@pytest.mark.parametrize(
    ("spoil", "sentence"),
    [
        (
            without_shape,
            (
                "input 'x': the model leaves dimensions open; expected numbers for all dimensions "
                "but the first (the batch); found no shape. Bind them with --shape x=1,3,48,192, "
                "a number for each N, or with samples (--calibrate)."
            ),
        ),
        (
            with_a_sequence,
            (
                "input 'q': the input is not a tensor; expected tensors; found sequence_type. "
                "Export the model with tensors as inputs."
            ),
        ),
        (
            in_a_circle,
            (
                "FILE: the graph has a cycle; expected a graph whose nodes can be put in order; "
                "found nodes that wait for each other: MatMul, Add, Relu. Export the model again."
            ),
        ),
        (
            made_twice,
            (
                "FILE: tensor 'h': two nodes make the same tensor; expected one producer for each "
                "tensor; found a second one, node 'Add'. Export the model again."
            ),
        ),
        (
            with_a_name_twice,
            (
                "FILE: the ONNX checker refuses the model; expected a legal ONNX model; found w "
                "initializer name is not unique. Export the model again, or repair the node that "
                "is named."
            ),
        ),
        (
            made_by_nobody,
            (
                "FILE: node 'Add': a node reads a tensor that nothing makes; expected inputs that "
                "are model inputs, initialisers or outputs of nodes; found 'lost'. Export the "
                "model again."
            ),
        ),
    ],
)
def test_a_graph_that_is_not_whole(
    spoil: Callable[[onnx.ModelProto], None], sentence: str, model_file: ModelFile
) -> None:
    model = onnx.load(model_file(MLP))
    spoil(model)
    refuse(model_file(model), sentence)


def test_initialiser_of_wrong_size(model_file: ModelFile) -> None:
    model = onnx.load(model_file(MLP))
    model.graph.initializer[0].dims[0] = 4
    refuse(
        model_file(model),
        "FILE: the ONNX checker refuses the model; expected a legal ONNX model; found TensorProto "
        "(tensor name: w) float_data size (6) is too small for the declared shape (8 float values "
        "required). Export the model again, or repair the node that is named.",
    )


@pytest.mark.parametrize("opset", [6, 99])
def test_opset(model_file: ModelFile, opset: int) -> None:
    newest = onnx.defs.onnx_opset_version()
    refuse(
        model_file(MLP, opset),
        f"FILE: the opset is not supported; expected an opset from 7 to {newest}; found opset "
        f"{opset}. Export the model with opset 13 or later, or convert it with "
        "onnx.version_converter.",
    )


# What loading makes of a model


def test_batch_is_bound(model_file: ModelFile) -> None:
    source = load_model(model_file(MLP))
    assert source.name == "net"
    assert [(v.name, v.shape, v.dtype) for v in source.inputs] == [("x", (1, 3), "float32")]
    assert {n: source.values[n].shape for n in ("h", "s", "y")} == dict.fromkeys("hsy", (1, 2))
    assert len(source.sha256) == 64


def test_batch_symbol_elsewhere(model_file: ModelFile) -> None:
    source = load_model(
        model_file("g (float[N, 4] x, float[2, N, 4] s) => (float[2, N, 4] y) { y = Add(x, s) }")
    )
    assert source.values["y"].shape == (2, 1, 4)


def test_equal_opset_imports(model_file: ModelFile) -> None:
    """Converters of scikit-learn import the default domain twice, under either name."""
    model = onnx.load(model_file(MLP))
    for domain in ("", "ai.onnx"):
        model.opset_import.append(onnx.helper.make_opsetid(domain, 13))
    source = load_model(model_file(model))
    assert [(e.domain, e.version) for e in source.model.opset_import] == [("", 13)]


def test_no_import_of_the_default_domain(model_file: ModelFile) -> None:
    """As converters of boosted trees write it; what is written out is of that domain."""
    node = helper.make_node(
        "Scaler", ["x"], ["y"], domain="ai.onnx.ml", offset=[1.0, 2.0], scale=[0.5, 0.25]
    )
    x, y = (helper.make_tensor_value_info(n, TensorProto.FLOAT, ["N", 2]) for n in "xy")
    opsets = [helper.make_opsetid("ai.onnx.ml", 1)]
    model = helper.make_model(helper.make_graph([node], "g", [x], [y]), opset_imports=opsets)
    source = load_model(model_file(model))
    assert [n.op_type for n in source.nodes] == ["Sub", "Mul"]
    assert source.opset == 17


def test_contradictory_opset_imports(model_file: ModelFile) -> None:
    model = onnx.load(model_file(MLP))
    model.opset_import.append(onnx.helper.make_opsetid("", 14))
    refuse(
        model_file(model),
        "FILE: the opsets are not clear; expected one version of the default domain, and one of "
        "each other; found ai.onnx 13, ai.onnx 14. Export the model again.",
    )


@pytest.mark.parametrize("opset", [7, 9, 13, 17, 21])
def test_opsets(model_file: ModelFile, opset: int) -> None:
    assert load_model(model_file(MLP, opset)).opset == opset


def test_initialisers_listed_as_inputs(model_file: ModelFile) -> None:
    model = onnx.load(model_file(MLP, opset=8, ir=3))
    model.graph.input.append(helper.make_tensor_value_info("w", TensorProto.FLOAT, [3, 2]))
    model.graph.input.append(helper.make_tensor_value_info("b", TensorProto.FLOAT, [2]))
    source = load_model(model_file(model))
    assert [v.name for v in source.inputs] == ["x"]
    assert source.constants == {"w", "b"}


def test_nodes_are_sorted_and_named(model_file: ModelFile) -> None:
    model = onnx.load(model_file(MLP))
    nodes = list(model.graph.node)
    nodes[0].name = nodes[1].name = "layer"
    del model.graph.node[:]
    model.graph.node.extend(nodes[::-1])
    source = load_model(model_file(model))
    assert [n.name for n in source.nodes] == ["layer", "layer#2", "Relu_2"]
    assert [n.op_type for n in source.nodes] == ["MatMul", "Add", "Relu"]


def test_many_nodes_of_one_name() -> None:
    """Each has its number at once: a search among all before it takes longer than a test may."""
    nodes = [helper.make_node("Relu", [f"t{i}"], [f"t{i + 1}"], "a") for i in range(100_000)]
    ends = [helper.make_tensor_value_info(n, TensorProto.FLOAT, [1]) for n in ("t0", "t100000")]
    graph = helper.make_graph(nodes, "g", ends[:1], ends[1:])
    model = normalise(Path("net.onnx"), helper.make_model(graph))
    assert model.graph.node[-1].name == "a#100000"


@pytest.mark.parametrize("text", [MLP, FUNCTION], ids=["model", "function"])
def test_long_domain_name(model_file: ModelFile, text: str) -> None:
    model = onnx.load(model_file(text, imports=', "own" : 1'))
    nodes = [*model.graph.node, *(n for function in model.functions for n in function.node)]
    imports = [*model.opset_import, *(e for f in model.functions for e in f.opset_import)]
    for entry in (*nodes, *imports):
        entry.domain = entry.domain or "ai.onnx"
    source = load_model(model_file(model))
    assert {n.domain for n in source.nodes} == {""}


def test_shape_arithmetic(model_file: ModelFile) -> None:
    source = load_model(
        model_file(
            """
            g (float[N, 4, 2, 2] x) => (float[N, M] y)
            <int64 zero = {0}, int64[1] axes = {0}, int64[1] rest = {-1}>
            { shape = Shape(x)
              batch = Gather(shape, zero)
              first = Unsqueeze(batch, axes)
              target = Concat<axis = 0>(first, rest)
              y = Reshape(x, target) }
            """
        )
    )
    assert source.values["y"].shape == (1, 16)
    assert source.folded["target"].tolist() == [1, -1]
    assert {"shape", "target"} <= source.constants


BLOCKS = """
g (float[N, 3] x) => (float[N, 3] y, int64[M] a)
<int64[1] n = {40}>
{ a = ConstantOfShape<value = int64[1] {1}>(n)
  b = ConstantOfShape<value = int64[1] {2}>(n)
  c = ConstantOfShape<value = int64[1] {3}>(n)
  s = Shape(x)
  t = Identity(s)
  d = Gather(c, t)
  y = Relu(x) }
"""


def test_folded_constants_are_bounded_together(
    model_file: ModelFile, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is folded first has the room; the rest stays as nodes, and a shape is always known."""
    monkeypatch.setattr(infer, "MAX_ELEMENTS", 90)
    source = load_model(model_file(BLOCKS))
    assert {name: array.size for name, array in source.folded.items()} == {"a": 40, "t": 2}
    assert {"a", "b", "c", "s", "t", "d"} <= source.constants


def test_sizes_that_are_compared(model_file: ModelFile) -> None:
    """A class token as PyTorch exports it: its Expand takes the sizes that are not -1."""
    text = """
    g (float[N, 2, 3] x) => (float[N, 3, 3] y)
    <float[1, 1, 3] token = {1, 2, 3}, int64[3] want = {1, -1, -1}, int64[1] rank = {3},
     int64 minus = {-1}>
    { ones = ConstantOfShape<value = int64[1] {1}>(rank)
      unknown = Mul(ones, minus)
      same = Equal(want, unknown)
      sizes = Where(same, ones, want)
      tokens = Expand(token, sizes)
      y = Concat<axis = 1>(tokens, x) }
    """
    assert load_model(model_file(text)).values["y"].shape == (1, 3, 3)


def test_a_constant_node_says_the_factors_of_a_resize(model_file: ModelFile) -> None:
    """Here behind what ONNX's own inference of the whole model does not know."""
    text = """
    g (float[N, 4, 3, 3] x) => (float[N, 2, 6, 6] y)
    { full = Shape(x)
      axis = Constant<value = int64[1] {1}>()
      channels = Gather(full, axis)
      two = Constant<value = int64[1] {2}>()
      half = Div(channels, two)
      zero = Constant<value = int64[1] {0}>()
      some = Slice(x, zero, half, axis)
      scales = Constant<value = float[4] {1, 1, 2, 2}>()
      y = Resize<mode = "nearest">(some, , scales) }
    """
    assert load_model(model_file(text)).values["y"].shape == (1, 2, 6, 6)


def test_sizes_that_are_rounded_in_float(model_file: ModelFile) -> None:
    """As PyTorch exports a resize to whole patches; and a Range of scalars, for a mask of sizes."""
    text = """
    g (float[N, 6, 2] x) => (float[N, M, K] y)
    <float seven = {7}, float four = {4}, int64[1] axis = {0}, int64[1] minus = {-1},
     int64[1] one = {1}, int64 begin = {0}, int64 step = {3}>
    { patches = Div(seven, four)
      most = Ceil(patches)
      size = Cast<to = 7>(most)
      rows = Unsqueeze(size, axis)
      target = Concat<axis = 0>(one, minus, rows)
      a = Reshape(x, target)
      end = Mul(size, step)
      places = Range(begin, end, size)
      y = Gather<axis = 1>(a, places) }
    """
    source = load_model(model_file(text))
    assert source.values["a"].shape == (1, 6, 2)
    assert source.values["y"].shape == (1, 3, 2)


def test_folded_constants_are_those_that_are_read(model_file: ModelFile) -> None:
    assert sorted(load_model(model_file(BLOCKS)).folded) == ["a"]


def test_computed_constants_are_bounded_together(
    model_file: ModelFile, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(infer, "MAX_COMPUTED", 100)
    refuse(
        model_file(BLOCKS),
        "node 'ConstantOfShape_2' (ConstantOfShape): the constants that nodes compute are too "
        "large; expected at most 104 elements in all of them together; found 120 or more. Store "
        "the constants in the model, as onnxsim and onnxslim do.",
    )


def test_stale_output_shape(model_file: ModelFile) -> None:
    source = load_model(model_file(MLP.replace("float[N, 2] y", "float[8, 2] y")))
    assert source.values["y"].shape == (1, 2)


def test_local_function(model_file: ModelFile) -> None:
    text = """
    g (float[N, 3] x) => (float[N, 3] y) { y = own.twice(x) }
    <opset_import: ["" : 13], domain: "own">
    twice (a) => (b) { b = Add(a, a) }
    """
    source = load_model(model_file(text, imports=', "own" : 1'))
    assert [n.op_type for n in source.nodes] == ["Add"]


def test_other_domains_are_kept(model_file: ModelFile) -> None:
    model = onnx.load(model_file(MLP))
    model.graph.node[2].domain, model.graph.node[2].op_type = "onnx.brevitas", "IntQuant"
    source = load_model(model_file(model))
    assert source.values["y"].shape == (1, 2)
    verdict = import_all(source)[2]
    assert not verdict.supported
    assert verdict.reason.startswith(
        "operator onnx.brevitas.IntQuant is not supported (supported: "
    )


def test_unknown_shape_is_no_error(model_file: ModelFile) -> None:
    source = load_model(
        model_file(
            "g (float[N, 3] x) => (int64[2, M] z, float[N, 3] y) { z = NonZero(x) y = Relu(x) }"
        )
    )
    assert "z" not in source.values
    assert source.values["y"].shape == (1, 3)


def test_random_numbers_are_not_constant(model_file: ModelFile) -> None:
    source = load_model(
        model_file(
            "g (float[N, 3] x) => (float[N, 3] y) "
            "{ r = RandomNormal<shape = [1, 3]>() y = Add(x, r) }"
        )
    )
    assert "r" not in source.constants


def test_subgraph_reads(model_file: ModelFile) -> None:
    source = load_model(
        model_file(
            """
            g (float[N, 3] x, bool c) => (float[N, 3] y)
            { h = Relu(x)
              y = If (c) <
                then_branch = a () => (float[N, 3] p) { p = Add(h, h) },
                else_branch = b () => (float[N, 3] q) { q = Add(x, h) } > }
            """
        )
    )
    assert sorted(source.activations(source.nodes[1])) == ["c", "h", "x"]


# Real models


LOOKED_UP = {"magika_bytes": 2048 * 257 * 64}
"""Multiply-accumulates of one-hot products, which are look-ups and multiply nothing."""


@pytest.mark.models
def test_real_models_load(models: Path) -> None:
    for path in sorted(models.glob("*/model.onnx")):
        facts = json.loads(path.with_name("facts.json").read_text())
        # Where height and width are not fixed, the reference inputs bind them.
        source = load_model(path, samples=path.with_name("ref.npz"))
        assert source.name == path.parent.name
        assert len({source.in_file(node) for node in source.nodes}) == facts["nodes"]
        support = import_all(source)
        if facts["macs"] is not None:
            spared = LOOKED_UP.get(path.parent.name, 0)
            assert sum(verdict.macs for verdict in support) == facts["macs"] - spared, path
        computed = {n for node in source.nodes for n in node.output} - source.constants
        assert computed <= set(source.values), path
