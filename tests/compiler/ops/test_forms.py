# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""Every operator's cases in forms that a price would hardly choose: lanes that do not divide the
channels, and constants unrolled.

All cases of a form are one design with many ports, so that they share one build.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from midwire.compiler import ahead, pipeline
from midwire.compiler.ir.quant import QGraph
from midwire.compiler.map.balance import Balanced
from midwire.compiler.map.implement import implement
from midwire.compiler.map.targets import Target
from midwire.compiler.ops import OPERATORS
from midwire.compiler.ops.base import Case
from midwire.compiler.pipeline import Options, compile_model
from midwire.hw.kernels import conv, eltwise, pool
from midwire.hw.kernels.base import Implementation, Kernel
from midwire.hw.kernels.tree_ensemble import TreeEnsembleKernel

from .joined import Form, check

Array = np.ndarray[Any, Any]

CASES = {case.name: case for operator in OPERATORS for case in operator.cases()}
SEED = 20262


class Caught(Exception):
    """A compilation that got as far as it should."""


Choose = Callable[[QGraph, Target, int], Mapping[str, Implementation]]


def forms_of(
    cases: Sequence[Case], choose: Choose, folder: Path, patch: pytest.MonkeyPatch
) -> list[Form]:
    """Compile every case with implementations of one's own choice, without emitting."""
    found: list[Form] = []

    def catch(
        output: str, source: Any, selection: Any, integers: Any, balanced: Any, *_: Any
    ) -> Any:
        assert isinstance(balanced, Balanced)
        found.append(Form(case.name, integers, balanced.flow))
        raise Caught

    def chosen(graph: QGraph, target: Target, interval: int, **_: Any) -> Any:
        return choose(graph, target, interval)

    patch.setattr(pipeline, "emit", catch)
    patch.setattr(ahead, "implement", chosen)
    for case in cases:
        rng = np.random.default_rng(SEED)
        inputs = [value.name for value in case.model.graph.input]
        np.savez(folder / "samples.npz", **case.samples(rng, 8))  # type: ignore[arg-type]
        (folder / "net.onnx").write_bytes(case.model.SerializeToString())
        outputs = [value.name for value in case.model.graph.output]
        options = Options(inputs, outputs, folder / "samples.npz", case.bits, min_sqnr=-math.inf)
        with pytest.raises(Caught):
            compile_model(folder / "net.onnx", folder / "bundle", options)
    assert [form.name for form in found] == [case.name for case in cases]
    return found


def padded(graph: QGraph, target: Target, interval: int) -> Mapping[str, Implementation]:
    """For each node, the form with most ports of beats that are not full; else the first."""
    del target, interval
    chosen = {}
    for node in graph.nodes:
        outs = [graph.tensors[name].qtype.integers for name in node.outputs]
        offered = node.kernel.implementations(node.finishers, outs)
        chosen[node.name] = max(offered, key=_padded_ports)
    return chosen


def _divided(kernel: Kernel) -> bool:
    """Whether it takes channels some at a time, and has some that can be divided unevenly."""
    if isinstance(kernel, conv.ConvKernel):
        return max(kernel.channels, kernel.outputs) > 2
    if isinstance(kernel, eltwise.EltwiseKernel):
        return kernel.channels == kernel.depth > 2
    return isinstance(kernel, pool.PoolKernel) and kernel.channels > 2


def _padded_ports(built: Implementation) -> int:
    return sum(port.padded for port in (*built.inputs, *built.outputs))


@pytest.mark.usefixtures("no_rtl")
def test_lanes_that_do_not_divide(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """S1, A1 to A3: every number of lanes is on offer, and the odd ones are taken."""
    for module in (conv, eltwise, pool):
        monkeypatch.setattr(module, "lane_counts", lambda channels: range(1, channels + 1))
    forms = forms_of(list(CASES.values()), padded, tmp_path, monkeypatch)
    odd = [form for form in forms if any(_padded_ports(built) for built in form.stages)]
    able = [form for form in forms if any(_divided(node.kernel) for node in form.integers.nodes)]
    assert odd == able and len(odd) > 20
    check(odd, tmp_path, SEED)


def unrolled(graph: QGraph, target: Target, interval: int) -> Mapping[str, Implementation]:
    """Unrolled where there is such a form."""
    return implement(graph, target, interval, strict=False, strategy="unrolled")


def _unrolls(kernel: Kernel) -> bool:
    return bool(kernel.digits) or isinstance(kernel, TreeEnsembleKernel)


@pytest.mark.usefixtures("no_rtl")
def test_unrolled(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """K5: constants in logic, one vector every cycle. Trees have no other form, and no digits."""
    forms = forms_of(list(CASES.values()), unrolled, tmp_path, monkeypatch)
    found = [form for form in forms if any(b.strategy == "unrolled" for b in form.stages)]
    able = [form for form in forms if any(_unrolls(node.kernel) for node in form.integers.nodes)]
    assert found == able and len(found) > 4
    check(found, tmp_path, SEED)
