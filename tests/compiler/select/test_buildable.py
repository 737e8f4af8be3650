# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from midwire.compiler.errors import CompilerBug, CutError
from midwire.compiler.ir.graph import Graph
from midwire.compiler.load.frontend import load_model
from midwire.compiler.map.fuse import Obstacle, fuse
from midwire.compiler.quantise.insert import missing_grids, quantise
from midwire.compiler.select import buildable
from midwire.compiler.select.buildable import plan
from midwire.compiler.select.inspection import inspect_model
from midwire.hw.numeric import QType

# Channels lie innermost in the stream, so a sum that nothing has rounded cannot be multiplied by a
# factor a row: each is supported, but not after each other without a grid between them.
CROSSED = f"""agraph (float[1, 2, 4, 4] x) => (float[1, 1, 4, 4] y) <
    float[3, 2, 1, 1] w = {{{", ".join(["0.5"] * 6)}}},
    float[1, 3, 1, 1] u = {{0.25, 0.25, 0.25}},
    float[4, 1] v = {{1.0, 2.0, 3.0, 4.0}}
> {{
    a = Conv(x, w)
    b = MaxPool <kernel_shape = [1, 1]> (a)
    c = Add(b, b)
    d = Mul(c, v)
    y = Conv(d, u)
}}"""


QUANTISED = CROSSED.replace("float[3, 2, 1, 1] w =", "float s = {0.5}, int8 z = {0}, FLOAT w =")
for change in (
    ("FLOAT w", "float[3, 2, 1, 1] w"),
    ("a = Conv(x, w)", "h = QuantizeLinear(x, s, z) i = DequantizeLinear(h, s, z) a = Conv(i, w)"),
    ("c = ", "m = QuantizeLinear(b, s, z) n = DequantizeLinear(m, s, z) c = "),
    ("(b, b)", "(n, n)"),
    ("y = ", "e = QuantizeLinear(d, s, z) o = DequantizeLinear(e, s, z) y = "),
    ("(d, u)", "(o, u)"),
):
    QUANTISED = QUANTISED.replace(*change)


@pytest.mark.parametrize("calibrated", [False, True])
def test_a_grid_makes_two_nodes_fit(calibrated: bool, model_file: Callable[[str], Path]) -> None:
    """Where midwire places the grids."""
    chosen = plan(load_model(model_file(CROSSED)), calibrated=calibrated).selection
    assert (chosen.inputs, chosen.outputs) == (("x",), ("y",))
    assert chosen.graph.apart == {"c"}
    assert missing_grids(chosen.graph) == ["x", "a", "c", "d", "y"]
    assert plan(load_model(model_file(QUANTISED)), calibrated=True).selection.graph.apart == {"c"}


# Parts of one grid meet in the order that they come in, with rows innermost; those of several have
# channels innermost, where a factor a row does not fit behind them.
JOINED = """agraph (float[1, 2, 4, 4] x) => (float[1, 8, 4] y) <
    float[1, 2, 1, 1] w = {0.5, 0.25},
    int64[3] s = {1, 4, 4},
    FACTORS v = {1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0}
> {
    a = Conv(x, w)
    b = Reshape(a, s)
    c = Relu(b)
    d = Sigmoid(b)
    e = Concat <axis = 1> (c, d)
    y = Mul(e, v)
}"""


@pytest.mark.parametrize("factors", ["float[4]", "float[8, 1]"])
@pytest.mark.parametrize("scales", [(0.5, 0.25), (0.5, 0.5)])
def test_nodes_fit_whatever_grids_data_gives(
    factors: str, scales: tuple[float, float], model_file: Callable[[str], Path]
) -> None:
    text = JOINED.replace("FACTORS", factors)
    if factors == "float[4]":
        text = text.replace(", 5.0, 6.0, 7.0, 8.0", "")
    chosen = plan(load_model(model_file(text)), calibrated=True).selection
    assert (chosen.inputs, chosen.outputs) == (("x",), ("y",))
    assert chosen.graph.apart == {"e"}
    grids = dict(zip(("c", "d"), scales, strict=True))
    fuse(quantise(chosen.graph, lambda name: QType(8, True, grids.get(name, 1.0)), 8))


def test_a_node_that_does_not_fit_its_neighbours_is_left_out(
    model_file: Callable[[str], Path],
) -> None:
    """Where the model brings the grids, and has none between the two."""
    path = model_file(QUANTISED)
    chosen = plan(load_model(path))
    assert (chosen.selection.inputs, chosen.selection.outputs) == (("h",), ("n",))
    refused = [verdict for verdict in chosen.support if not verdict.supported]
    assert [verdict.op_type for verdict in refused] == ["Add"]
    assert refused[0].reason.startswith("expected a constant that differs along axis 1 only")
    assert inspect_model(path)["slice"]["outputs"] == ["n"]


@pytest.mark.parametrize("sources", [("elsewhere",), ()])
def test_planning_ends_where_nobody_can_be_left_out(
    sources: tuple[str, ...], model_file: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A node that the model does not have would be chosen again for ever."""
    source = load_model(model_file(CROSSED))
    found = Obstacle(sources, "expected a miracle")
    monkeypatch.setattr(buildable, "unmappable", lambda graph: found)
    named = repr(sources[0]) if sources else "without a source"
    with pytest.raises(CompilerBug, match=rf"^node {named} cannot be built and .*: expected a mi"):
        plan(source)


def test_every_round_of_planning_leaves_a_node_out(
    model_file: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever cannot be built, there are at most as many rounds as supported nodes."""
    source = load_model(model_file(CROSSED))
    rounds: list[str] = []

    def first(graph: Graph) -> Obstacle:
        rounds.append(graph.nodes[0].name)
        return Obstacle(graph.nodes[0].sources, "expected a miracle")

    monkeypatch.setattr(buildable, "unmappable", first)
    with pytest.raises(CutError):
        plan(source)
    assert 1 < len(rounds) <= len(source.nodes)


UNQUANTISED_SUM = """
g (float[1, 2, 2, 2] x) => (float[1, 2, 2, 2] y)
<float s = {0.5}, int8 z = {0}, int8[2, 2, 1, 1] w = {1, 2, 3, 4}>
{ a = QuantizeLinear (x, s, z)
  b = DequantizeLinear (a, s, z)
  v = DequantizeLinear (w, s, z)
  c = Conv (b, v)
  d = QuantizeLinear (c, s, z)
  e = DequantizeLinear (d, s, z)
  f = Add (b, e)
  h = Conv (f, v)
  i = QuantizeLinear (h, s, z)
  y = DequantizeLinear (i, s, z) }
"""


def test_a_tensor_that_only_data_gives_a_grid_is_an_obstacle_without(
    model_file: Callable[[str], Path],
) -> None:
    """What inspect shows of a quantised model compiles as it is."""
    source = load_model(model_file(UNQUANTISED_SUM))
    chosen = plan(source)
    assert set(chosen.selection.outputs) <= {"b", "d", "e"}
    (refused,) = [verdict for verdict in chosen.support if not verdict.supported]
    assert refused.op_type == "Conv"
    assert refused.reason == (
        "expected quantised tensors, found the float tensor 'f', which only --calibrate gives a "
        "grid"
    )
    assert plan(source, calibrated=True).selection.outputs == ("y",)
