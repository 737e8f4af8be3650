# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

import itertools
import random
from collections.abc import Callable
from pathlib import Path

import onnx
import pytest

from midwire.compiler.errors import CutError
from midwire.compiler.ir.graph import verify
from midwire.compiler.load.frontend import load_model
from midwire.compiler.load.source import Source
from midwire.compiler.select.cuts import Cut, Cuts, find_cuts
from midwire.compiler.select.largest import largest_slice
from midwire.compiler.select.selection import Selection, select
from midwire.compiler.select.support import import_all
from midwire.hw.numeric import QType

ModelFile = Callable[..., Path]

FLOAT = """
g (float[N, 4] x) => (float[N, 4] y)
<float[4, 4] w = {1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1}>
{ a = MatMul(x, w)
  b = Relu(a)
  c = Hardmax(b)
  d = MatMul(c, w)
  e = Relu(d)
  f = MatMul(e, w)
  s = Add(e, f)
  y = Hardmax(s) }
"""

QDQ = """
g (int8[N, 2, 4] x) => (int8[N, 8] y)
<float s = {0.5}, float r = {0.25}, int8 z = {3}, int64[2] t = {1, -1},
 int8[4, 4] k = {1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1}>
{ p = Transpose<perm = [0, 1, 2]>(x)
  a = DequantizeLinear(p, s, z)
  w = DequantizeLinear(k, r)
  b = MatMul(a, w)
  c = QuantizeLinear(b, r, z)
  d = Reshape(c, t)
  e = DequantizeLinear(d, r, z)
  f = Hardmax(e)
  y = QuantizeLinear(f, s, z) }
"""


def chosen(path: Path, from_: str | None = None, to: str | None = None, **more: bool) -> Selection:
    source = load_model(path)
    return select(source, import_all(source), from_, to, **more)


def refuse(path: Path, sentence: str, from_: str | None = None, to: str | None = None) -> None:
    with pytest.raises(CutError) as caught:
        chosen(path, from_, to)
    assert str(caught.value) == sentence


# Cuts


def cuts_by_removal(source: Source) -> set[str]:
    """Tensors without which no path leads from an input to an output: rule C2 by definition."""
    reach: set[str] = set()

    def reachable(without: str) -> bool:
        reach.clear()
        reach.update(v.name for v in source.inputs if v.name != without)
        for node in source.nodes:
            if reach & set(source.activations(node)):
                reach.update(name for name in node.output if name != without)
        return bool(reach & set(source.outputs))

    reachable("")
    return {name for name in set(reach) if not reachable(name)}


def random_model(rng: random.Random) -> onnx.ModelProto:
    """A graph of Add and Softmax with one input, branches, dead ends and one or two outputs."""
    names = ["x"]
    body = []
    for index in range(rng.randint(1, 14)):
        recent = names[-rng.randint(1, 4) :]
        reads = [rng.choice(recent) for _ in range(rng.randint(1, 2))]
        kind = "Add" if len(reads) == 2 else "Softmax"
        body.append(f"n{index} = {kind}({', '.join(reads)})")
        names.append(f"n{index}")
    outputs = {names[-1]} | ({rng.choice(names[1:])} if rng.random() < 0.3 else set())
    typed = ", ".join(f"float[N, 2] {name}" for name in sorted(outputs))
    text = f"g (float[N, 2] x) => ({typed}) {{ {' '.join(body)} }}"
    return onnx.parser.parse_model(f'<ir_version: 8, opset_import: ["" : 13]>\n{text}')


def test_cuts_of_random_graphs(model_file: ModelFile) -> None:
    seed = 20261
    print("seed", seed)
    rng = random.Random(seed)
    for _ in range(150):
        source = load_model(model_file(random_model(rng)))
        found = find_cuts(source, import_all(source))
        cuts = found.cuts
        assert {cut.tensors[0] for cut in cuts} == cuts_by_removal(source), source.model
        assert [cut.position for cut in cuts] == sorted({cut.position for cut in cuts})
        for cut in found.in_order:
            assert found.cut(found.before(cut.tensors)) == cut


def test_grids_at_cuts(model_file: ModelFile) -> None:
    source = load_model(model_file(QDQ))
    cuts = find_cuts(source, import_all(source))
    coarse, fine = QType(8, True, 0.5, 3), QType(8, True, 0.25, 3)
    assert cuts.quantised
    assert [(t, cuts.grids.get(t), cut.legal) for cut in cuts.cuts for t in cut.tensors] == [
        ("x", coarse, True),
        ("p", coarse, True),
        ("a", coarse, True),
        ("b", None, False),
        ("c", fine, True),
        ("d", fine, True),
        ("e", fine, True),
        ("f", None, False),
        ("y", coarse, True),
    ]


def test_integers_read_on_two_grids_have_none(model_file: ModelFile) -> None:
    source = load_model(
        model_file(
            """
            g (int8[N, 4] x) => (float[N, 4] y)
            <float s = {0.5}, float r = {0.25}>
            { a = DequantizeLinear(x, s)
              b = DequantizeLinear(x, r)
              y = Add(a, b) }
            """
        )
    )
    assert [c.legal for c in find_cuts(source, import_all(source)).cuts] == [False, False]


# The largest slice


def test_most_macs(model_file: ModelFile) -> None:
    selection = chosen(model_file(FLOAT))
    assert (selection.inputs, selection.outputs) == (("c",), ("s",))
    assert selection.macs_share == 2 / 3
    assert selection.edge == ("MatMul_0", "Relu_1", "Hardmax_2")
    assert selection.middle == ("MatMul_3", "Relu_4", "MatMul_5", "Add_6")
    assert selection.cloud == ("Hardmax_7",)
    assert selection.slice == {"inputs": ["c"], "outputs": ["s"], "macs_share": 2 / 3}
    assert verify(selection.graph) == []
    assert not selection.graph.qtypes


def test_quantised_slice_takes_views_at_both_ends(model_file: ModelFile) -> None:
    selection = chosen(model_file(QDQ))
    assert (selection.inputs, selection.outputs) == (("x",), ("e",))
    assert selection.graph.qtypes == {
        "x": QType(8, True, 0.5, 3),
        "e": QType(8, True, 0.25, 3),
    }
    assert selection.graph.values["x"].dtype == "int8"
    assert verify(selection.graph) == []


def test_slice_that_ends_at_integers(model_file: ModelFile) -> None:
    text = QDQ.replace("f = Hardmax(e)\n", "").replace("QuantizeLinear(f", "QuantizeLinear(e")
    selection = chosen(model_file(text))
    assert selection.outputs == ("y",)
    assert selection.cloud == ()


def test_one_end_given(model_file: ModelFile) -> None:
    path = model_file(FLOAT)
    assert chosen(path, from_="e").outputs == ("s",)
    assert chosen(path, to="b").inputs == ("x",)
    assert chosen(path, to="d").inputs == ("c",)


def test_both_ends_given(model_file: ModelFile) -> None:
    selection = chosen(model_file(FLOAT), "a", "b")
    assert (selection.inputs, selection.outputs, selection.macs_share) == (("a",), ("b",), 0.0)


def test_float_tensor_of_a_quantised_model_with_calibration(model_file: ModelFile) -> None:
    selection = chosen(model_file(QDQ), "a", "b", calibrated=True)
    assert selection.graph.qtypes == {"a": QType(8, True, 0.5, 3)}


# Errors


DEAD = FLOAT.replace("y = Hardmax(s)", "y = Hardmax(s) dead = Relu(s)")
LONG_NAME = QDQ.replace("b", "bias_add").replace("e =", "elu =").replace("(e)", "(elu)")


@pytest.mark.parametrize(
    ("text", "from_", "to", "sentence"),
    [
        (
            LONG_NAME,
            "bias_ad",
            None,
            (
                "tensor 'bias_ad': the model has no such tensor; expected the name of a tensor. "
                "Perhaps 'bias_add' is meant."
            ),
        ),
        (
            FLOAT,
            "Relu_1",
            None,
            (
                "tensor 'Relu_1': the model has no such tensor; expected the name of a tensor; "
                "found the name of a node, whose output is 'b'. midwire inspect lists the cuts."
            ),
        ),
        (
            FLOAT,
            None,
            "w",
            (
                "tensor 'w': a constant cannot be cut at; expected a tensor that depends on the "
                "model's input; found a weight or a constant expression. midwire inspect lists the "
                "cuts."
            ),
        ),
        (
            FLOAT,
            None,
            "f",
            (
                "tensor 'f': not a cut: other tensors would have to be carried beside it; expected "
                "all tensors that are made before a place in the model and read behind it; found "
                "also live there: 'e'. Name them all, --to e,f, or cut elsewhere; midwire inspect "
                "lists the cuts."
            ),
        ),
        (
            DEAD,
            None,
            "dead",
            (
                "tensor 'dead': not a cut: no output of the model depends on it; expected a tensor "
                "that an output depends on; found a dead end. midwire inspect lists the cuts."
            ),
        ),
        (
            FLOAT,
            "e",
            "d",
            (
                "--from 'e' --to 'd': --to stands before --from; expected tensors that are "
                "computed from the first ones; found the reverse order. Exchange the two names."
            ),
        ),
        (
            FLOAT,
            "e",
            "e",
            (
                "--from 'e' --to 'e': nothing lies between --from and --to; expected two different "
                "cuts; found the same one twice. midwire inspect lists the cuts."
            ),
        ),
        (
            FLOAT,
            "x",
            "y",
            (
                "--from 'x' --to 'y': 2 of 8 nodes between --from and --to are not supported; "
                "expected supported nodes only; found Hardmax 'Hardmax_2' and 1 more: "
                "operator Hardmax is not supported. Choose a smaller slice; "
                "midwire inspect shows the largest supported one."
            ),
        ),
        (
            QDQ,
            None,
            "b",
            (
                "tensor 'b': the tensor is not on a known grid; expected the output of a "
                "QuantizeLinear or DequantizeLinear; found float32 values between quantisers. Cut "
                "at a tensor next to it that midwire inspect lists, or give --calibrate."
            ),
        ),
        (
            FLOAT,
            " , ",
            None,
            (
                "--from: no tensor is named; expected names of tensors, separated by commas; found "
                "' , '. midwire inspect lists the cuts."
            ),
        ),
    ],
    ids=[
        "no such tensor",
        "name of a node",
        "constant",
        "not a cut",
        "dead end",
        "reversed",
        "nothing between",
        "unsupported inside",
        "off the grid",
        "no names",
    ],
)
def test_ends_that_are_refused(
    text: str, from_: str | None, to: str | None, sentence: str, model_file: ModelFile
) -> None:
    refuse(model_file(text), sentence, from_, to)


def test_no_slice(model_file: ModelFile) -> None:
    path = model_file("g (float[N, 4] x) => (float[N, 4] y) { y = Hardmax(x) }", name="sine.onnx")
    refuse(
        path,
        "sine: no slice with multiply-accumulates can be compiled; expected supported nodes with "
        "work to do between two cuts; found Hardmax "
        "'Hardmax_0': operator Hardmax is not supported. midwire "
        "inspect lists every node and every cut.",
    )


def test_more_tensors_than_the_wire_format_numbers(model_file: ModelFile) -> None:
    """Refused before the model is compiled to a bundle that cannot hold them."""
    refuse(
        model_file(FLOAT),
        "--to: too many tensors for a cut; expected at most 255: the wire format numbers no more; "
        "found 256. midwire inspect lists the cuts.",
        to=",".join(f"t{index}" for index in range(256)),
    )


# Sets of tensors


@pytest.mark.parametrize("names", ["e,f", "f , e", ["e", "f"], ("e,f",)])
def test_several_tensors(model_file: ModelFile, names: str | list[str]) -> None:
    source = load_model(model_file(FLOAT))
    selection = select(source, import_all(source), names, "s")
    assert (selection.inputs, selection.outputs) == (("e", "f"), ("s",))
    assert selection.middle == ("Add_6",)
    selection = select(source, import_all(source), "c", names)
    assert (selection.inputs, selection.outputs) == (("c",), ("e", "f"))
    assert selection.cloud == ("Add_6", "Hardmax_7")
    assert verify(selection.graph) == []


def test_a_tensor_with_a_comma_in_its_name(model_file: ModelFile) -> None:
    model = onnx.load(model_file(FLOAT))
    for node in model.graph.node:
        for names in (node.input, node.output):
            names[:] = ["e,1" if name == "e" else name for name in names]
    source = load_model(model_file(model))
    assert select(source, import_all(source), ["e,1", "f"], "s").inputs == ("e,1", "f")
    assert select(source, import_all(source), "d", "e,1").outputs == ("e,1",)


def test_a_tensor_passes_through_the_slice(model_file: ModelFile) -> None:
    """In both sets: the cloud adds ``e`` to what the slice makes of it."""
    selection = chosen(model_file(FLOAT), "e", "e,f")
    assert (selection.inputs, selection.outputs) == (("e",), ("e", "f"))
    assert selection.middle == ("MatMul_5",)
    assert verify(selection.graph) == []


def test_too_many_names(model_file: ModelFile) -> None:
    refuse(
        model_file(FLOAT),
        "tensor 'd': not a cut: nothing behind it reads that tensor; expected tensors that are "
        "read behind all of them, or are outputs of the model; found one that only leads to 'e'. "
        "Leave it out.",
        from_="d,e",
    )


HEADS = """
g (float[N, 4] x, float[N, 4] z) => (float[N, 4] y, float[N, 4] u)
<float[4, 4] w = {1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1}>
{ a = MatMul(x, w)
  b = MatMul(z, w)
  c = Add(a, b)
  d = MatMul(c, w)
  y = MatMul(d, w)
  t = Hardmax(d)
  u = MatMul(t, w) }
"""


def test_two_inputs_and_two_outputs(model_file: ModelFile) -> None:
    """One head is supported, the other behind its first node is not."""
    selection = chosen(model_file(HEADS))
    assert (selection.inputs, selection.outputs) == (("x", "z"), ("d", "y"))
    assert selection.macs_share == 4 / 5
    assert selection.cloud == ("Hardmax_5", "MatMul_6")
    assert verify(selection.graph) == []


def test_one_end_of_several_tensors(model_file: ModelFile) -> None:
    path = model_file(HEADS)
    assert chosen(path, from_="a,z").outputs == ("d", "y")
    assert chosen(path, to="c").inputs == ("x", "z")


def test_cuts_beside_each_other(model_file: ModelFile) -> None:
    refuse(
        model_file(HEADS),
        "--from 'z', 'a' --to 'x', 'b': --from and --to lie beside each other; expected a second "
        "cut that has all of the first one before it; found nodes that only the first one needs, "
        "for 'a'. Add to --to what is computed from those tensors, or cut earlier.",
        "a,z",
        "x,b",
    )


def brute_force(cuts: Cuts) -> tuple[int, int, int]:
    """The best (macs, -tensors, nodes) of all pairs of legal cuts around supported units."""
    count = len(cuts.units)
    needs = [cuts.before(unit.inputs) for unit in cuts.units]
    closed = [
        frozenset(subset)
        for size in range(count + 1)
        for subset in itertools.combinations(range(count), size)
        if all(needs[index] <= set(subset) for index in subset)
    ]
    found = [cut for cut in map(cuts.cut, closed) if cut.legal]
    best = (0, 0, 0)
    for first, second in itertools.product(found, repeat=2):
        inside = [cuts.units[index] for index in second.before - first.before]
        if first.before < second.before and all(unit.supported for unit in inside):
            macs = sum(unit.macs for unit in inside)
            best = max(best, (macs, -len(first.tensors) - len(second.tensors), len(inside)))
    return best


def test_the_choice_is_the_best_one(model_file: ModelFile) -> None:
    """Against all pairs of cuts, on small random graphs with unsupported nodes."""
    seed = 20262
    print("seed", seed)
    rng = random.Random(seed)
    several = 0
    for _ in range(120):
        source = load_model(model_file(random_heads(rng)))
        cuts = find_cuts(source, import_all(source))
        macs, tensors, nodes = brute_force(cuts)
        if not macs:
            continue
        found = largest_slice(cuts)
        assert found is not None
        first, second = found
        inside = [cuts.units[index] for index in second.before - first.before]
        assert all(unit.supported for unit in inside)
        assert sum(unit.macs for unit in inside) == macs
        assert len(first.tensors) + len(second.tensors) == -tensors
        assert len(inside) == nodes
        several += len(first.tensors) > 1 or len(second.tensors) > 1
    assert several > 20


def random_heads(rng: random.Random) -> onnx.ModelProto:
    """One or two inputs, one to three outputs, products and nodes that are not supported."""
    names = ["x", "z"][: rng.randint(1, 2)]
    inputs = ", ".join(f"float[N, 2] {name}" for name in names)
    body = []
    for index in range(rng.randint(3, 9)):
        kind = rng.choice(["MatMul", "MatMul", "Relu", "Add", "Hardmax"])
        reads = [rng.choice(names[-4:]) for _ in range(2 if kind == "Add" else 1)]
        reads += ["w"] if kind == "MatMul" else []
        body.append(f"n{index} = {kind}({', '.join(reads)})")
        names.append(f"n{index}")
    outputs = {names[-1], *(n for n in names[2:] if rng.random() < 0.2)}
    typed = ", ".join(f"float[N, 2] {name}" for name in sorted(outputs))
    text = f"g ({inputs}) => ({typed}) <float[2, 2] w = {{1, 2, 3, 4}}> {{ {' '.join(body)} }}"
    return onnx.parser.parse_model(f'<ir_version: 8, opset_import: ["" : 13]>\n{text}')


def test_at_most_sixteen_tensors(model_file: ModelFile) -> None:
    """Twenty heads, each with work to do: fifteen of them, and their common stem."""
    heads = "".join(f"h{i} = MatMul(a, w) y{i} = Hardmax(h{i}) " for i in range(20))
    outputs = ", ".join(f"float[N, 4] y{i}" for i in range(20))
    ones = ", ".join(["1"] * 16)
    text = f"g (float[N, 4] x) => ({outputs}) <float[4, 4] w = {{{ones}}}> {{ a = MatMul(x, w) "
    selection = chosen(model_file(text + heads + "}"))
    assert selection.inputs == ("x",)
    assert selection.outputs == ("a", *(f"h{i}" for i in range(15)))


def test_narrow_cuts_are_not_worse_than_those_in_order(
    model_file: ModelFile, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Rule L2, with a limit that small graphs run into, and tensors that are on no grid."""

    def is_legal(cuts: Cuts, name: str, *, calibrated: bool = False) -> bool:
        return not name.endswith("3")

    monkeypatch.setattr(Cuts, "is_legal", is_legal)
    for module in ("cuts", "largest"):
        monkeypatch.setattr(f"midwire.compiler.select.{module}.MOST_TENSORS", 2)
    seed = 20264
    print("seed", seed)
    rng = random.Random(seed)
    narrow = 0
    for _ in range(150):
        source = load_model(model_file(random_heads(rng)))
        cuts = find_cuts(source, import_all(source))
        pairs = [
            (first, last)
            for first, last in itertools.combinations(cuts.in_order, 2)
            if first.legal
            and last.legal
            and all(cuts.units[i].supported for i in last.before - first.before)
        ]
        least = max((macs_of(cuts, *pair) for pair in pairs), default=0)
        found = largest_slice(cuts)
        if found is None:
            assert least == 0
            continue
        assert all(len(cut.tensors) <= 2 and cut.legal for cut in found)
        assert macs_of(cuts, *found) >= least
        narrow += brute_force(cuts)[0] > macs_of(cuts, *found)
    assert narrow > 5


def macs_of(cuts: Cuts, first: Cut, last: Cut) -> int:
    return sum(cuts.units[index].macs for index in last.before - first.before)


def test_a_large_model_is_chosen_from_quickly(model_file: ModelFile) -> None:
    """A thousand nodes in blocks with a shortcut, every tenth block with one that is not
    supported: the longest run of blocks between two of those.
    """
    body, last = [], "x"
    for block in range(250):
        kind = "Hardmax" if block % 10 == 9 and block != 109 else "Softmax"
        body.append(
            f"a{block} = MatMul({last}, w) b{block} = {kind}(a{block}) "
            f"c{block} = MatMul(b{block}, w) d{block} = Add(c{block}, {last})"
        )
        last = f"d{block}"
    ones = ", ".join(["1"] * 4)
    text = f"g (float[N, 2] x) => (float[N, 2] {last}) <float[2, 2] w = {{{ones}}}>"
    source = load_model(model_file(f"{text} {{ {' '.join(body)} }}"))
    support = import_all(source)
    selection = select(source, support)
    assert (selection.inputs, selection.outputs) == (("d98", "b99"), ("d118", "a119"))


# Real models


@pytest.mark.models
@pytest.mark.parametrize(
    "name",
    [
        "resnet8_int8",
        "kws_dscnn_int8",
        "ad_autoencoder_int8",
        "vww_mobilenetv1_int8",
        "mnist8_cnn",
        "resnet8_fp32",
        "net_anomaly_ae",
    ],
)
def test_real_models_have_a_large_slice(models: Path, name: str) -> None:
    selection = chosen(models / name / "model.onnx")
    assert selection.macs_share >= 0.95
    assert verify(selection.graph) == []
    assert set(selection.graph.qtypes) == (
        {*selection.inputs, *selection.outputs} if name.endswith("int8") else set()
    )
