# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""FIFO depths at joins: no deeper than the interval needs, proven in RTL."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from midwire.compiler.ir.dataflow import Dataflow, verify
from midwire.compiler.map import balance as module
from midwire.compiler.map.assemble import assemble
from midwire.compiler.map.balance import balance
from midwire.compiler.map.implement import implement
from midwire.compiler.map.targets import TARGETS
from midwire.compiler.pipeline import Options, compile_model
from midwire.hw.timing.components import ScheduleDeadlock
from midwire.hw.timing.steady import least_depths
from midwire.sim.verify import verify as prove

Lower = Callable[..., Any]
XCUP = TARGETS["xcup"]

# One branch is a 3 x 3 window, which waits for rows; the other is a wire.
RESIDUAL = """
g (float[N, 2, 5, 5] x) => (float[N, 3] y)
<float[2, 2, 3, 3] w = {W}, float[2, 2, 3, 3] v = {W}, float[2, 3] m = {1, -2, 3, 0, 1, 2}>
{ a = Conv <pads = [1, 1, 1, 1]> (x, w)
  b = Relu (a)
  c = Conv <pads = [1, 1, 1, 1]> (b, v)
  d = Add (c, x)
  e = Relu (d)
  f = Conv <pads = [1, 1, 1, 1]> (e, w)
  g1 = Add (f, e)
  p = GlobalAveragePool (g1)
  q = Flatten (p)
  y = MatMul (q, m) }
""".replace("{W}", "{" + ", ".join(["1", "-0.5", "0.25"] * 12) + "}")


# The join is far quicker than what follows it: 9 passes of 2 x 4 steps for each of 64 pixels.
HEAVY = """
g (float[N, 2, 8, 8] x) => (float[N, 9, 8, 8] y)
<float[2, 2, 1, 1] w = {1, 0.5, -1, 2}, float[9, 2, 2, 2] v = {V}>
{ a = Conv (x, w)
  b = Add (a, x)
  y = Conv <pads = [0, 0, 1, 1]> (b, v) }
""".replace("{V}", "{" + ", ".join(["1", "-0.5", "0.25"] * 24) + "}")

TURNS = """
g (float[N, 3, 4, 8] x) => (float[N, 1, 4, 8] y)
<int64[1] a = {0}, int64[1] b = {1}, int64[1] c = {2}, int64[1] d = {3}, int64[1] one = {1}>
{ t = Relu (x)
  q, k, v = Split <axis = 1> (t)
  u = Transpose <perm = [0, 1, 3, 2]> (k)
  s = MatMul (q, u)
  w = Softmax (s)
  y = MatMul (w, v) }
"""
SPLIT = "q, k, v = Split <axis = 1> (t)"
TURN = r"(split|slice)_\d+$"
SLICES = "q = Slice (t, a, b, one) k = Slice (t, b, c, one) v = Slice (t, c, d, one)"


def folded(model: str, interval: int, lower: Lower) -> Dataflow:
    low = lower(model)
    chosen = implement(low.integers, XCUP, interval, strict=False, strategy="folded")
    return assemble(low.integers, low.rounded, chosen)


@pytest.fixture
def flow_of(lower: Lower) -> Callable[[int], Dataflow]:
    """The residual net, folded for an interval."""

    def run(interval: int) -> Dataflow:
        return folded(RESIDUAL, interval, lower)

    return run


def joins(flow: Dataflow) -> dict[str, int | None]:
    return {
        "{}.{} -> {}.{}".format(*c.source, *c.sink): c.depth
        for c in flow.channels
        if re.search(r"_add_\d+$", c.sink[0])
    }


@pytest.mark.parametrize("interval", [1, 60, 2000])
def test_depths_are_closed_and_uneven(interval: int, flow_of: Callable[[int], Dataflow]) -> None:
    flow = flow_of(interval)
    assert set(joins(flow).values()) == {None}
    done = balance(flow)
    assert verify(done.flow) == []
    depths = joins(done.flow)
    short = [depth for name, depth in depths.items() if "fork" in name]
    # Two 3 x 3 windows with a pad of 1 each hold back at least two rows and two pixels (of 5, and
    # of 2 channels over the lanes).
    lanes = done.flow.inputs[0].lanes
    assert short[0] is not None and short[0] >= (2 * 5 + 2) * 2 // lanes
    # Depths that are known do not change, and give the same cycles.
    again = balance(done.flow)
    assert joins(again.flow) == depths
    assert (again.latency_cycles, again.cycles_per_inference) == (
        done.latency_cycles,
        done.cycles_per_inference,
    )


def test_a_slow_layer_makes_no_memory_larger(lower: Lower) -> None:
    """Cheap, add, heavy: far less than a tensor of 128 beats waits at the join."""
    flow = folded(HEAVY, 10**6, lower)
    done = balance(flow)
    assert done.cycles_per_inference == 64 * 9 * 8
    depths = [depth for depth in joins(done.flow).values() if depth]
    assert len(depths) == 1 and depths[0] <= 16
    # Nobody waits for an interval that is longer than the best.
    slow = balance(flow, 10 * done.cycles_per_inference)
    assert slow.latency_cycles == done.latency_cycles
    assert sum(depth or 0 for depth in joins(slow.flow).values()) <= sum(depths)


@pytest.mark.parametrize("parts", [SPLIT, SLICES])
def test_what_has_turns_has_fifos_behind_it(parts: str, lower: Lower) -> None:
    """A reader that is as fast as the interval on the average need not keep up with each turn."""
    flow = folded(TURNS.replace(SPLIT, parts), 128, lower)
    done = balance(flow, 128)
    assert done.cycles_per_inference == max(stage.built.cycles for stage in flow.stages) == 128
    behind = {c.source: c.depth for c in done.flow.channels if re.search(TURN, c.source[0])}
    assert 0 < sum(depth or 0 for depth in behind.values()) <= 32
    wires = tuple(replace(c, depth=0) if c.source in behind else c for c in flow.channels)
    wired = balance(replace(flow, channels=wires), 128)
    assert wired.latency_cycles > done.latency_cycles


def test_a_depth_too_small_is_a_deadlock(flow_of: Callable[[int], Dataflow]) -> None:
    """The schedule would see it: the wire fills up before the windows can begin."""
    flow = balance(flow_of(60)).flow
    shallow = replace(
        flow,
        channels=tuple(
            replace(c, depth=1) if (c.depth or 0) > 1 and "fork" in c.source[0] else c
            for c in flow.channels
        ),
    )
    with pytest.raises(ScheduleDeadlock):
        balance(shallow)


@pytest.mark.usefixtures("no_nic")
@pytest.mark.parametrize("rate", [None, 4e5])
def test_cycles_and_results_are_those_of_the_rtl(
    rate: float | None, model_file: Callable[..., Path], tmp_path: Path
) -> None:
    seed = 11
    print(f"seed {seed}")
    rng = np.random.default_rng(seed)
    samples = rng.uniform(-1, 1, (8, 1, 2, 5, 5)).astype(np.float32)
    np.savez(tmp_path / "samples.npz", x=samples)
    options = Options(calibrate=tmp_path / "samples.npz", rate=rate)
    bundle = compile_model(model_file(RESIDUAL), tmp_path / "bundle", options).bundle
    found = prove(bundle, vectors=8, stall=0.5, seed=seed)
    assert (found.rtl_mismatches, found.onnx_mismatches) == (0, 0)
    assert found.cycles_per_inference == bundle.manifest.cycles_per_inference
    assert found.latency_cycles == bundle.manifest.latency_cycles
    if rate is not None:
        assert found.cycles_per_inference <= bundle.manifest.clock_mhz * 1e6 / rate


def test_a_schedule_is_solved_once_whatever_the_weights(
    lower: Lower, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Other weights, the same cycles: nothing is searched for again. Another interval is."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    solved: list[int] = []

    def count(*arguments: Any) -> Any:
        solved.append(1)
        return least_depths(*arguments)

    monkeypatch.setattr(module, "least_depths", count)
    text = HEAVY.replace("{1, 0.5, -1, 2}", "{3, 0.75, -2, 0.1}")
    first, again = (balance(folded(each, 1, lower)) for each in (HEAVY, text))
    assert len(solved) == 1
    assert first.flow.channels == again.flow.channels
    assert (first.latency_cycles, first.cycles_per_inference, first.spans) == (
        again.latency_cycles,
        again.cycles_per_inference,
        again.spans,
    )
    slow = balance(folded(HEAVY, 1, lower), 2 * first.cycles_per_inference)
    assert len(solved) == 2 and slow.cycles_per_inference == first.cycles_per_inference
