# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""Parts, budgets, and what does not fit."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from midwire.compiler.errors import FitError, OptionError
from midwire.compiler.map.assemble import assemble
from midwire.compiler.map.balance import balance
from midwire.compiler.map.budget import excess, fit, limited, parse_budget
from midwire.compiler.map.catalogue import PARTS, aimed_at
from midwire.compiler.map.front import Front
from midwire.compiler.map.implement import target_interval
from midwire.compiler.map.price import estimate
from midwire.compiler.map.targets import TARGETS
from midwire.compiler.pipeline import Options

NET = """
g (float[N, 8, 6, 6] x) => (float[N, 8, 6, 6] y)
<float[8, 8, 3, 3] w = {W}>
{ a = Conv <pads = [1, 1, 1, 1]> (x, w)
  y = Add (a, x) }
""".replace("{W}", "{" + ", ".join(["0.5", "-1", "0.25"] * 192) + "}")


@pytest.fixture
def lowered(lower: Callable[..., Any]) -> Any:
    return lower(NET)


def test_a_budget_is_read() -> None:
    assert parse_budget("lut=20_000, DSP=0") == {"lut": 20_000, "dsp": 0}


@pytest.mark.parametrize("text", ["", "lut", "lut=", "lut=-1", "luts=4", "lut=4,lut=5", "bram=1e3"])
def test_what_is_no_budget(text: str) -> None:
    with pytest.raises(OptionError) as raised:
        Options(budget=text)
    assert str(raised.value).startswith(
        "--budget: unusable budget; expected lut, ff, dsp, bram, each once, with a count, as in "
        "lut=20000,dsp=90; found '"
    )
    assert raised.value.usage


def test_a_budget_is_no_more_than_the_part_has() -> None:
    small = limited(PARTS["ecp5-25f"], {"dsp": 100, "lut": 1000})
    assert (small.device.dsp, small.device.lut, small.device.ff) == (28, 1000, 24_288)
    assert small.device.name == "ecp5-25f, dsp=28,lut=1000"
    assert limited(small, {}) is small


def test_parts_by_name() -> None:
    assert aimed_at(None, "XC7A35T") is PARTS["xc7a35t"]
    assert aimed_at("xc7", "xc7a35t").name == "xc7"
    assert aimed_at(None, None) is TARGETS["xcup"]
    for target in TARGETS.values():
        assert any(part.name == target.name for part in PARTS.values())
    with pytest.raises(OptionError, match=r"unknown part; .* ecp5-25f, .*'xc8'"):
        aimed_at(None, "xc8")
    with pytest.raises(OptionError, match="a part of ecp5, as --target says; found 'xcu50', which"):
        Options(target="ecp5", part="xcu50")


def test_luts_as_memory_are_luts() -> None:
    device = PARTS["xc7a35t"].device
    fitting = {"lut": 20_000, "lutram": 800, "ff": 0, "dsp": 90, "bram": 100}
    assert excess(fitting, device) == {}
    assert excess({**fitting, "lutram": 801, "bram": 104}, device) == {
        "lut": (20_801, 20_800),
        "bram": (104, 100),
    }


@pytest.mark.parametrize("dsp", [2, 8, 40, 160])
def test_the_fastest_that_fits(lowered: Any, dsp: int) -> None:
    """It fits with its FIFOs, and no faster point of the front does."""
    target = limited(TARGETS["xcup"], {"dsp": dsp})
    front = Front(lowered.integers, target, "folded")
    found = fit(lowered.integers, lowered.rounded, target, None, front, fastest=True)
    assert not excess(estimate(found.flow, target), target.device)
    assert found.cycles_per_inference >= 36
    faster = [n for n in front.intervals if n < found.cycles_per_inference]
    assert all(excess(front.at(n).resources, target.device) for n in faster)


def test_a_part_with_room_changes_no_rate(lowered: Any) -> None:
    target = PARTS["xcu250"]
    front = Front(lowered.integers, target, "folded")
    found = fit(lowered.integers, lowered.rounded, target, None, front)
    wanted = target_interval(lowered.integers, None, target.clock_mhz)
    assert front.least <= found.cycles_per_inference <= max(front.least, wanted) + 1


def test_a_rate_that_does_not_fit(lowered: Any) -> None:
    target = limited(TARGETS["xcup"], {"dsp": 4, "lut": 100_000})
    front = Front(lowered.integers, target)
    with pytest.raises(FitError) as raised:
        fit(lowered.integers, lowered.rounded, target, target.clock_mhz * 1e6 / 40, front)
    text = str(raised.value)
    assert text.startswith(
        "xcu50, dsp=4,lut=100000: the slice does not fit; expected at most 4 multipliers; found "
    )
    assert "too many (" in text and "; layer " in text
    assert text.endswith(
        "Leave --rate out for the fastest that fits, or choose a larger part, or a smaller slice "
        "(midwire inspect lists some)."
    )
    assert not raised.value.usage


def test_what_never_fits_says_by_how_much(lowered: Any) -> None:
    """What the cheapest hardware takes, found again where there is room for it."""
    target = limited(TARGETS["ecp5"], {"lut": 10, "bram": 0})
    front = Front(lowered.integers, target)
    with pytest.raises(FitError) as raised:
        fit(lowered.integers, lowered.rounded, target, None, front)
    built = front.at(front.intervals[-1]).built
    flow = balance(assemble(lowered.integers, lowered.rounded, built), front.intervals[-1]).flow
    over = excess(estimate(flow, target), target.device)
    needed = over["lut"][0]
    text = str(raised.value)
    assert f"found {needed:,} LUTs, {needed - 10:,} too many ({10 * (needed - 10)} %)" in text
    assert "by the estimate of the cheapest hardware; layer 'Conv_0' takes most of the" in text
    assert "Choose a larger part" in text
