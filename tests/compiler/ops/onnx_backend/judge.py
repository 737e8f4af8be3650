# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""Compile a node test and compare: exactly with ``slice.onnx``, and with what the test expects
within what quantisation can do to it.

The bound is derived. Inputs lie between the test's data and what their grids make of them, half a
step away; weights likewise. Interval arithmetic takes these through the model as midwire loads it:
what is written out, or found in several nodes, has grids inside. It adds half a step where a tensor
inside has a grid, and half a step of the output. That the loaded model means what the test's does
is compared too, for the interval has to hold what the test expects.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx

from midwire.compiler.errors import CalibrationError, LossError, ModelError
from midwire.compiler.load.source import Source, reads
from midwire.compiler.pipeline import Options
from midwire.compiler.rewrite.rewriting import Rewritten, rewrite
from midwire.compiler.select.support import import_all
from midwire.hw.formats.bundle import Bundle
from midwire.hw.formats.tensor import TensorSpec
from midwire.hw.kernels.reference import Reference
from midwire.hw.numeric import QType

from ..conftest import Arithmetic
from ..joined import Form, compile_form
from ..test_conformance import (
    RECURRENT,
    check_slice,
    chosen_of,
    grid_of_weights,
    on_grids,
    random_wires,
)
from .interval import Interval
from .intervals import image
from .tasks import Array, NodeTest, Task, clause, refusal, tasks_of, unlike_a_slice

WIDTHS = (8, 16)
"""Bits of weights and activations: the first that loses no more than a compile allows by itself."""

LEAST_DB = 15.0
"""What 8 bits have to keep, or else there are 16; the bound below is about each element."""

MORE_SAMPLES = 7
"""Random samples beside the test's own, of its shape and range, to calibrate on."""


@dataclass(frozen=True)
class Built:
    """A compiled task.

    Attributes
    ----------
    task, bits : what was compiled, and to how many bits
    bundle : the result
    form : the integer program and the balanced dataflow, to be joined with others into one design
    source : the model as it was loaded
    """

    task: Task
    bits: int
    bundle: Bundle
    form: Form
    source: Source


def take(test: NodeTest, folder: Path, seed: int) -> Built | str:
    """The test compiled, or why it is out of scope.

    Whatever is neither is an error of midwire's and raised.
    """
    reason = unlike_a_slice(test)
    if reason:
        return reason
    nearest = ""
    for task in tasks_of(test):
        reason = refusal(task, folder / "net.onnx")
        if reason:
            continue
        made = attempt(task, folder, seed)
        if isinstance(made, Built):
            return made
        nearest = nearest or made
    return nearest or reason


def attempt(task: Task, folder: Path, seed: int) -> Built | str:
    """What import rules take, compiled; or why it is refused after all."""
    reason = ""
    for bits in WIDTHS:
        try:
            return build(task, folder, bits, seed)
        except LossError as error:
            reason = f"at {bits} bits, {error.problem}"
        except ModelError as error:
            # How a node meets its neighbours, import rules do not know.
            return clause(task.test.operator, error.problem)
        except CalibrationError as error:
            return error.problem
    return reason


def build(task: Task, folder: Path, bits: int, seed: int) -> Built:
    """Compile the whole model, quantised from the test's data."""
    rng = np.random.default_rng(seed)
    samples = {
        name: np.stack(
            [x, *(rng.uniform(x.min(), x.max(), x.shape) for _ in range(MORE_SAMPLES))]
        ).astype(x.dtype)
        for name, x in task.data.items()
    }
    np.savez(folder / "samples.npz", **samples)  # type: ignore[arg-type]
    (folder / "net.onnx").write_bytes(task.model.SerializeToString())
    # The bound below knows the model's own bias.
    options = Options(
        list(task.data),
        list(task.wanted),
        folder / "samples.npz",
        bits,
        hold_out=0,
        bias_correction=False,
        min_sqnr=LEAST_DB,
    )
    bundle, form, source = compile_form(
        folder / "net.onnx", folder / "bundle", options, task.test.name
    )
    return Built(task, bits, bundle, form, source)


def check(built: Built, seed: int) -> None:
    """Reference against ``slice.onnx``, on the test's data and all over the inputs' types, and
    against the test.
    """
    task, manifest = built.task, built.bundle.manifest
    reference = Reference.of_bundle(built.bundle)
    wires, rounded = rounded_data(built)
    results = reference.run_wire(wires)
    check_slice(built.bundle, wires, results)
    noise = random_wires(built.bundle, np.random.default_rng(seed), 3)
    check_slice(built.bundle, noise, reference.run_wire(noise))

    found = bounds(built, rounded)
    for spec, result in zip(manifest.outputs, results, strict=True):
        wanted = task.wanted[spec.name]
        got = _reals(spec, result).reshape(wanted.shape)
        compare(got, found[spec.name], wanted, task.test, spec)


def rounded_data(built: Built) -> tuple[list[Array], dict[str, Array]]:
    """The test's inputs on the wire, an array for each, and what they mean there."""
    data = built.task.data
    wires, rounded = [], {}
    for spec in built.bundle.manifest.inputs:
        samples = data[spec.name].reshape(built.source.batch, *spec.shape)
        wires.append(np.stack([spec.to_wire(x) for x in samples]))
        rounded[spec.name] = _reals(spec, wires[-1]).reshape(data[spec.name].shape)
    return wires, rounded


def _reals(spec: TensorSpec, wires: Array) -> Array:
    """What integers on the wire mean, in double, which holds every one of them."""
    rows = [spec.layout.from_stream(wire.astype(np.int64), spec.shape) for wire in wires]
    return (np.stack(rows) - spec.qtype.zero_point) * float(spec.qtype.scale)


def _ends(qtype: QType) -> tuple[float, float]:
    low, high = ((q - qtype.zero_point) * float(qtype.scale) for q in (qtype.lo, qtype.hi))
    return low, high


def bounds(built: Built, rounded: Mapping[str, Array]) -> dict[str, Interval]:
    """The model's outputs before they are rounded, for inputs from the test's to what these are
    ``rounded`` to.
    """
    task, model = built.task, rewrite(built.source)
    given = {}
    for spec in built.bundle.manifest.inputs:
        x = task.data[spec.name]
        given[spec.name] = Interval.at(x)
        if x.dtype.kind == "f":
            off = np.abs(x.astype(np.float64).clip(*_ends(spec.qtype)) - rounded[spec.name])
            step = float(spec.qtype.scale)
            assert np.all(off <= np.nextafter(step / 2, np.inf)), f"{spec.name} is off its grid"
            given[spec.name] = Interval.at(x, rounded[spec.name])
    count = built.source.batch
    found = []
    for k in range(count):
        own = {
            spec.name: given[spec.name].reshaped((count, *spec.shape))[k]
            for spec in built.bundle.manifest.inputs
        }
        found.append(_through(built, model, own))
    return {
        name: Interval.stacked([values[name] for values in found]).reshaped(wanted.shape)
        for name, wanted in task.wanted.items()
    }


def _through(built: Built, model: Rewritten, given: Mapping[str, Interval]) -> dict[str, Interval]:
    """Every tensor of a model as midwire reads it (written out, patterns found) in one inference,
    half a step of its grid added where it has one inside.
    """
    tensors, source = built.form.integers.tensors, model.source
    chosen = chosen_of(built.bundle)
    constants = {**source.folded, **source.initialisers}
    values = {name: Interval.at(array) for name, array in constants.items()} | dict(given)
    taken = {verdict.sources for verdict in import_all(built.source, rewritten=model)}
    for part in model.units:
        if part.name not in built.source.live:
            continue  # nobody computes it, and it may read what a pattern has in place
        whole = tuple(node.name for node in part.sources) in taken
        opset = onnx.defs.onnx_opset_version() if whole and part.operator else source.opset
        for node in part.nodes if whole else part.sources:
            if not source.constants.isdisjoint(node.output) and not values.keys() >= set(
                reads(node)
            ):
                continue  # a shape of a tensor inside a pattern, which is folded
            inputs = [values[name] if name else None for name in node.input]
            inputs = _with_grids(built, node, inputs, constants)
            grid = tensors.get(node.output[0])
            step = {} if grid is None else {"step": float(grid.qtype.scale)}
            found = image(node, inputs, opset, chosen | step)
            # Some rules know the first output only, others being for training.
            for name, made in zip(filter(None, node.output), found, strict=False):
                if name in tensors and name not in built.task.wanted:
                    made = _on_grid(made, tensors[name].qtype)
                if made.is_point and name in source.constants:
                    constants[name] = made.lo
                values[name] = made
    return values


def _on_grid(made: Interval, qtype: QType) -> Interval:
    """A tensor and what rounding makes of it."""
    near = made.widened(qtype.scale / 2).clipped(*_ends(qtype))
    return Interval.at(made.lo, made.hi, near.lo, near.hi)


def _grid_of(built: Built, name: str) -> QType:
    """That of a tensor, or of the one before it where it only moved the elements of that."""
    makers = {made: node for node in built.source.nodes for made in node.output}
    while name not in built.form.integers.tensors:
        name = makers[name].input[0]
    return built.form.integers.tensors[name].qtype


def _with_grids(
    built: Built,
    node: onnx.NodeProto,
    inputs: list[Interval | None],
    constants: Mapping[str, Array],
) -> list[Interval | None]:
    """Weights between those of the model and those on their grid."""
    if node.op_type in RECURRENT:
        step = _grid_of(built, node.input[0]).scale
        own = {f"c{at}": constants[node.input[at]] for at in (1, 2)}
        grids = on_grids(own, chosen_of(built.bundle)["layers"], step)
        both = {at: Interval.at(own[f"c{at}"], grids[f"c{at}"]) for at in (1, 2)}
        return [both.get(at, x) for at, x in enumerate(inputs)]
    found = grid_of_weights(node, constants, built.bits, Arithmetic())
    for name, grid in found.items():
        exact = (grid.ints * grid.unit).astype(np.float64)
        at = list(node.input).index(name)
        inputs[at] = Interval.at(constants[name], exact)
    return inputs


def compare(got: Array, bound: Interval, wanted: Array, test: NodeTest, spec: TensorSpec) -> None:
    """Whether a result is as near to what a test expects as quantisation leaves it.

    Raises
    ------
    AssertionError
        If not, or if what is expected is outside of what the inputs can give.
    """
    exact = wanted.astype(np.float64)
    # What the package expects lies in the interval, to the package's own precision.
    beside = np.abs(exact - exact.clip(bound.lo, bound.hi))
    assert np.all(beside <= test.atol + test.rtol * np.abs(exact)), (
        f"{test.name}: the interval misses what the test expects by {beside.max()}"
    )
    hull = Interval.at(bound.lo, bound.hi, exact).clipped(*_ends(spec.qtype))
    # The test's numbers are known to the last place of their type.
    allowed = hull.widened(spec.qtype.scale / 2 + np.spacing(np.abs(wanted)))
    off = np.maximum(allowed.lo - got, got - allowed.hi)
    worst = np.unravel_index(np.argmax(off), off.shape)
    assert off[worst] <= 0, (
        f"{test.name}: element {list(map(int, worst))} of {spec.name} is {got[worst]}, expected "
        f"{exact[worst]}, between {allowed.lo[worst]} and {allowed.hi[worst]}"
    )
