# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import onnx
import pytest

from midwire.compiler.errors import CutError
from midwire.compiler.ops import REGISTRY
from midwire.compiler.select.inspection import inspect_model
from midwire.compiler.select.listing import render
from midwire.host import cli

ModelFile = Callable[..., Path]

OPEN = {"ppocr_cls": {"x": (1, 3, 48, 192)}}
"""The model whose height and width are not fixed."""

NET = """
g (float[N, 4] x) => (float[N, 4] y)
<float[4, 4] w = {1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1}>
{ a = MatMul(x, w)
  b = Relu(a)
  c = Hardmax(b)
  y = Hardmax(c) }
"""


def text_of(report: dict[str, Any]) -> str:
    return render(report, 120)


def test_report(model_file: ModelFile) -> None:
    report = inspect_model(model_file(NET))
    assert json.loads(json.dumps(report)) == report
    assert [(n["name"], n["supported"], n["part"]) for n in report["nodes"]] == [
        ("MatMul_0", True, "slice"),
        ("Relu_1", True, "slice"),
        ("Hardmax_2", False, "cloud"),
        ("Hardmax_3", False, "cloud"),
    ]
    assert all(bool(n["reason"]) != n["supported"] for n in report["nodes"])
    assert report["slice"] == {
        "inputs": ["x"],
        "outputs": ["b"],
        "macs_share": 1.0,
        "nodes": 2,
        "largest": True,
    }
    assert report["macs"] == 16
    assert [(c["name"], c["bytes"], c["usable"]) for c in report["cuts"]] == [
        (name, 4, True) for name in "xabcy"
    ]


def test_report_for_people(model_file: ModelFile) -> None:
    text = text_of(inspect_model(model_file(NET)))
    assert text.startswith(
        "net: float, opset 13, 4 nodes (2 not supported), 16 multiply-accumulates\nNot supported"
    )
    assert text.index("operator Hardmax is not supported") < text.index("Largest slice")
    listed = " ".join(text.split("Supported operators: ")[1].split())
    assert listed.startswith(", ".join(sorted(REGISTRY)))
    assert "100.0 %" in text


def test_dead_nodes_do_not_count(model_file: ModelFile) -> None:
    """Neither in the whole nor in the share of it."""
    report = inspect_model(model_file(NET.replace("b = Relu", "dead = MatMul(x, w) b = Relu")))
    assert (report["macs"], report["slice"]["macs_share"]) == (16, 1.0)
    assert {node["name"]: node["macs"] for node in report["nodes"]}["MatMul_1"] == 16


def test_long_names_are_shortened_and_cuts_have_numbers_to_copy(model_file: ModelFile) -> None:
    name = "a" * 150 + "b" * 150
    path = model_file(renamed(name))
    report = inspect_model(path)
    text = text_of(report)
    assert f"{'a' * 20}...{'b' * 20}" in text and name[:60] not in text
    (cut,) = [cut for cut in report["cuts"] if cut["name"] == name]
    assert cut["index"] == "@2" and "│ @2 " in text
    by_number, by_name = (inspect_model(path, "@0", end)["slice"] for end in ("@2", name))
    assert by_number == by_name and by_number["outputs"] == [name]


def test_a_number_that_is_no_cut(model_file: ModelFile) -> None:
    with pytest.raises(CutError) as caught:
        inspect_model(model_file(NET), "@9")
    assert str(caught.value) == (
        "@9: there is no cut at that position; expected @0 to @4, where few enough tensors are "
        "alive to be carried; found more than 16 tensors, or no such place. Perhaps @4 or @3 is "
        "meant; midwire inspect lists the cuts."
    )


def renamed(name: str) -> onnx.ModelProto:
    """:data:`NET` with another name for its tensor b, which may be one that no text form has."""
    model = onnx.parser.parse_model('<ir_version: 8, opset_import: ["" : 13]>' + NET)
    for node in model.graph.node:
        for names in (node.input, node.output):
            names[:] = [name if old == "b" else old for old in names]
    return model


def test_a_tensor_that_is_called_like_a_number(model_file: ModelFile) -> None:
    path = model_file(renamed("@0"))
    assert inspect_model(path, to="@0")["slice"]["outputs"] == ["@0"]
    assert inspect_model(path, to="@1")["slice"]["outputs"] == ["a"]


def test_a_terminal_without_unicode(model_file: ModelFile) -> None:
    report = inspect_model(model_file(renamed("b\u00e9")))
    text = render(report, 120, "ascii")
    assert text.isascii() and "b\\xe9" in text and "+---" in text
    assert "\u00e9" in render(report, 120, "latin-1")
    assert "b\\u001b[31m" in text_of(inspect_model(model_file(renamed("b\x1b[31m"))))


def test_every_layer_with_work_is_listed(model_file: ModelFile) -> None:
    text = text_of(inspect_model(model_file(NET)))
    row = next(line for line in text.splitlines() if "MatMul_0" in line)
    assert [cell.strip() for cell in row.strip("│").split("│")] == [
        "MatMul_0",
        "MatMul",
        "16",
        "100.0 %",
        "slice",
    ]


def test_a_label_is_no_quantiser(model_file: ModelFile) -> None:
    """An integer output has a grid of its own; the model is no quantised one for that."""
    body = "{ h = Relu(x) z = ArgMax<axis = 1, keepdims = 0>(h) }"
    report = inspect_model(model_file("g (float[N, 4] x) => (int64[N] z) " + body))
    assert report["slice"]["outputs"] == ["z"] and not report["quantised"]


MIXED = """
g (float[N, 4] x) => (float[N, 2] y)
<float s = {0.5}, int8 z = {0}, int8[4, 3] w = {1, 2, 3, 4, 5, 6, 7, 8, 9, 1, 2, 3},
 float[3, 2] v = {1, 2, 3, 4, 5, 6}>
{ a = QuantizeLinear (x, s, z)
  b = DequantizeLinear (a, s, z)
  c = DequantizeLinear (w, s, z)
  d = MatMul (b, c)
  e = QuantizeLinear (d, s, z)
  f = DequantizeLinear (e, s, z)
  y = MatMul (f, v) }
"""


def test_float_layers_of_a_quantised_model_ask_for_samples(model_file: ModelFile) -> None:
    """The last layer has no range: the sentence says what would put it into the slice."""
    path = model_file(MIXED)
    report = inspect_model(path)
    assert report["slice"]["macs_share"] == 12 / 18
    assert report["calibrated"] == {"inputs": ["a"], "outputs": ["y"], "macs_share": 1.0}
    words = " ".join(text_of(report).split())
    assert (
        "Float tensors of this quantised model keep work outside, for nothing gives their range. "
        "midwire compile --calibrate SAMPLES does: 100.0 % of the multiply-accumulates are in the "
        "slice then, from a to y."
    ) in words
    assert inspect_model(path, to="f")["calibrated"] is None
    assert inspect_model(path, "a", "f")["calibrated"] is None
    assert inspect_model(model_file(NET))["calibrated"] is None


def test_a_quantised_model_without_a_slice_asks_for_samples_too(model_file: ModelFile) -> None:
    text = MIXED.replace("float[N, 2]", "float[N, 3]")
    report = inspect_model(model_file(text[: text.index("  d = ")] + "  y = MatMul (b, c) }"))
    assert report["candidates"] == [] and report["calibrated"]["macs_share"] == 1.0
    assert "--calibrate SAMPLES does: 100.0 %" in " ".join(text_of(report).split())


def test_no_slice_is_no_error(model_file: ModelFile) -> None:
    report = inspect_model(model_file("g (float[N, 4] x) => (float[N, 4] y) { y = Hardmax(x) }"))
    assert report["slice"]["inputs"] == [] and report["slice"]["macs_share"] == 0.0
    assert report["slice"]["reason"].startswith("net: no slice with multiply-accumulates can be")
    assert "No slice: " in text_of(report)


def test_nodes_that_leave_nothing_to_build_say_why(model_file: ModelFile) -> None:
    """They are right by themselves, and there is no slice without them."""
    text = """
    g (float[1, 4] x) => (float[1, 2] y)
    <float a = {0.1}, uint8 z = {128}, int8[4, 2] w = {1, 2, 3, 4, 5, 6, 7, 8},
     float[2, 2] b = {0.1, 0.2, 0.3, 0.4}>
    { q = QuantizeLinear (x, a, z)  d = DequantizeLinear (q, a, z)
      v = DequantizeLinear <axis = 0, block_size = 2> (w, b)
      m = MatMul (d, v)
      r = QuantizeLinear (m, a, z)  y = DequantizeLinear (r, a, z) }
    """
    report = inspect_model(model_file(text, 21, ir=10))
    reasons = {node["op"]: node["reason"] for node in report["nodes"] if not node["supported"]}
    assert report["slice"]["macs_share"] == 0.0
    assert reasons == {
        "MatMul": "expected quantised weights, found real ones, which only --calibrate gives a "
        "grid: it measures what that loses"
    }
    assert report["calibrated"]["macs_share"] == 1.0


def test_a_slice_between_names_is_not_called_the_largest(model_file: ModelFile) -> None:
    path = model_file(NET)
    assert "\nSlice\n" in text_of(inspect_model(path, "a", "b"))
    assert "\nLargest slice, and others\n" in text_of(inspect_model(path, "x"))
    assert "\nLargest slice, and others\n" in text_of(inspect_model(path, to="b"))


def test_wrong_names_are_errors(model_file: ModelFile) -> None:
    with pytest.raises(CutError, match="the model has no such tensor"):
        inspect_model(model_file(NET), from_="nowhere")


NONE = "g (float[N, 4] x) => (float[N, 4] y) { y = Hardmax(x) }"


@pytest.mark.parametrize(
    ("text", "words", "status"),
    [
        (NET, [], 0),
        (NET, ["--from", "@0", "--to", "b"], 0),
        (NONE, [], 1),
        (NET, ["--from", "c"], 1),  # nothing behind it is supported
        (NET, ["--from", "a", "--to", "y"], 1),  # some of it is not
        ("g () => () {", [], 1),
        (NET, ["--from", "nowhere"], 2),
        (NET, ["--to", "@7"], 2),
        (NET, ["--from", "b", "--to", "a"], 2),
        (NET, ["--shape", "x"], 2),
        (NET, ["--depth", "2"], 2),
    ],
)
def test_the_status_says_whether_there_is_a_slice(
    text: str,
    words: list[str],
    status: int,
    model_file: ModelFile,
    capsys: pytest.CaptureFixture[str],
) -> None:
    path = model_file(text if text.endswith("}") or text == NET else b"no model")
    for more in ([], ["--json"]):
        assert cli.main(["inspect", str(path), *words, *more]) == status
        out, err = capsys.readouterr()
        assert bool(out) == (status == 0 or bool(more) or text == NONE)
        assert err.startswith("error: ") == (status != 0 and text != NONE)
    found = json.loads(out)
    assert ("error" in found) or bool(found["candidates"]) == (status == 0)


FORK = """
g (float[N, 4] x) => (float[N, 4] y)
<float[4, 4] w = {1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1}>
{ a = MatMul(x, w)
  b = Relu(x)
  c = Add(a, b)
  y = Hardmax(c) }
"""


def test_sets_of_tensors(model_file: ModelFile) -> None:
    report = inspect_model(model_file(FORK))
    assert [(c["names"], c["position"], c["bytes"]) for c in report["set_cuts"]] == [
        (["x", "a"], 1, 8),
        (["a", "b"], 2, 8),
    ]
    assert all(cut["usable"] and cut["of"] == 4 for cut in report["set_cuts"])
    text = text_of(report)
    assert "Sets of tensors to cut at" in text and "│ a,b " in text


def test_both_ends_of_several_tensors(
    model_file: ModelFile, capsys: pytest.CaptureFixture[str]
) -> None:
    """Separated by commas, or the option again."""
    path = str(model_file(FORK))
    for ends in (["--from", "a,b"], ["--from", "a", "--from", "b"]):
        assert cli.main(["inspect", path, *ends, "--to", "c", "--json"]) == 0
        out, _ = capsys.readouterr()
        facts = json.loads(out)["slice"]
        assert (facts["inputs"], facts["outputs"], facts["nodes"]) == (["a", "b"], ["c"], 1)


def test_few_sets_are_shown(model_file: ModelFile) -> None:
    heads = " ".join(f"h{i} = Relu(a) y{i} = Hardmax(h{i})" for i in range(12))
    outputs = ", ".join(f"float[N, 4] y{i}" for i in range(12))
    ones = ", ".join(["1"] * 16)
    text = f"g (float[N, 4] x) => ({outputs}) <float[4, 4] w = {{{ones}}}> {{ a = MatMul(x, w)"
    shown = text_of(inspect_model(model_file(f"{text} {heads} }}")))
    assert "and 16 more; --json lists" in " ".join(shown.split())


@pytest.mark.models
def test_real_models(models: Path) -> None:
    for path in sorted(models.glob("*/model.onnx")):
        report = inspect_model(path, shapes=OPEN.get(path.parent.name))
        json.dumps(report)
        assert text_of(report)
        assert "failed" not in " ".join(node["reason"] for node in report["nodes"]), path
