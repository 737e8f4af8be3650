# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""A report's facts are those of the manifest; what does not fit is refused."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pytest

from midwire.hw.errors import BundleError
from midwire.hw.formats.bundle import Bundle
from midwire.sim.report.facts import ReportFacts, Resource, facts_of

from .conftest import POINT, layer


def test_occupancy_edges_and_shares(facts: Callable[..., ReportFacts]) -> None:
    found = facts()
    assert [found.occupancy(layer) for layer in found.layers] == [0.25, 0.5, 0.75, 1.0]
    assert found.slowest == 400
    assert [(e.tensor, e.source, e.sink) for e in found.edges] == [
        ("x", 0, 1),
        ("ya", 1, 2),
        ("yb", 2, 3),
        ("ya", 1, 3),
        ("yc", 3, 4),
        ("yd", 4, 5),
    ]
    assert found.resources == (
        Resource("LUT as logic", 1000, 8000),
        Resource("LUT as memory", 10, 8000),
        Resource("DSP blocks", 6, 12),
    )
    assert found.layers[1].relative_error == pytest.approx(10**-1.5)


def test_a_bundle_of_before_has_no_spans_and_fifos(
    facts: Callable[..., ReportFacts],
) -> None:
    old = [{k: v for k, v in layer("a").items() if k not in ("first_in", "last_out")}]
    found = facts(layers=tuple(old), fifos=(), device={})
    assert found.layers[0].span is None
    assert found.resources[0].of is None


@pytest.mark.parametrize(
    ("changes", "found"),
    [
        ({"layers": (layer("a", cycles=-1),)}, "ValueError: cycles must be a count, not -1"),
        (
            {"layers": (layer("a", sqnr_db=-math.inf),)},
            "ValueError: sqnr_db must be a number, not -inf",
        ),
        (
            {"layers": (layer("a", sqnr_db=float("nan")),)},
            "ValueError: sqnr_db must be a number, not nan",
        ),
        ({"layers": (layer("a", name="z"),)}, "KeyError: 'z'"),
        ({"layers": (layer("a", finishers="x"),)}, "TypeError: expected names, not 'x'"),
        ({"layers": ({"name": "a"},)}, "KeyError: 'kernel'"),
        (
            {"layers": tuple(layer(name) for name in "bacd")},
            "ValueError: layer 1 reads 'ya', which layer 2 makes",
        ),
        ({"fifos": ({"source": 3},)}, "TypeError: expected names, not [3]"),
        ({"layers": (7,)}, "TypeError: 'int' object is not subscriptable"),
    ],
)
def test_what_is_no_layer_is_refused(
    changes: dict[str, Any], found: str, bundle: Callable[..., Bundle]
) -> None:
    with pytest.raises(BundleError) as caught:
        facts_of(bundle(**changes))
    assert str(caught.value) == (
        "net.mw: the manifest's layers cannot be shown; expected layers, FIFOs and a device as "
        f"this version of midwire writes them; found {found}. Compile the bundle again."
    )


def test_points_of_the_front(facts: Callable[..., ReportFacts]) -> None:
    """Shares of a device of 8000 LUTs, 9 flip-flops, 12 DSP blocks and 4 block RAMs."""
    found = facts(resources={**RESOURCES, "lut": 70, "lutram": 10})
    first, second = found.front
    assert (first.interval, second.interval) == (40, 4000)
    assert first.share == pytest.approx(800 / 8000 + 5 / 9 + 6 / 12 + 1 / 4)
    assert found.own is not None and found.own.interval == 400
    assert found.own.share == pytest.approx(80 / 8000 + 1 / 9 + 1 / 12 + 1 / 4)
    assert facts(resources={"lut": 1}).own is None
    assert facts(device={}).front[0].share is None
    with pytest.raises(BundleError, match="dsp must be a count, not -1"):
        facts(pareto=({**POINT, "dsp": -1},))


RESOURCES = {"lut": 1, "lutram": 1, "ff": 1, "dsp": 1, "bram": 1}
