# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""The compiler on one page: every pass in order, each line named, each fragile position with its
reason.
"""

from __future__ import annotations

import contextlib
import math
import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

from ..hw.accuracy import Accuracy
from ..hw.console import Report
from ..hw.elaborate import Elaborator
from ..hw.errors import MidwireError
from ..hw.formats.bundle import MAX_PREFIX, PREFIX, Bundle, check_target, usable_prefix
from ..hw.formats.tensor import AnyArray
from ..hw.sqnr import NOT_MEASURED
from .ahead import Guess, Stages
from .emit.behind import behind
from .emit.parts import check_names
from .emit.write import emit
from .errors import CalibrationError, OptionError, checked
from .ir import graph, quant
from .load.frontend import load_model
from .load.shapes import Shapes
from .load.source import Source
from .map.budget import fit, limited, parse_budget
from .map.catalogue import aimed_at
from .map.front import Front
from .map.implement import check_strategy
from .map.targets import Target
from .quantise import doubts
from .quantise.calibrate import calibrate, load_labelled
from .quantise.counted import counted
from .quantise.divisors import check_divisors
from .quantise.grids import Choice, Observed
from .quantise.holdout import Data, hold_out, whole
from .quantise.insert import missing_grids, weighed
from .quantise.limits import Limits, excess, limits
from .quantise.loss import Loss, Measured, classifies, measure, random_samples, worst
from .quantise.widths import AUTO, Widths, parse
from .quantise.widths import check_names as check_layers
from .rewrite.rewriting import rewrite
from .select.buildable import plan
from .select.selection import Names
from .select.support import import_all
from .trials import Trials


@dataclass(frozen=True)
class Options:
    """What a user may ask of a compile; the defaults are those of the command.

    Attributes
    ----------
    from_, to : tensors to cut at, separated by commas or in a sequence; None leaves that end to
        midwire
    calibrate : ``.npz`` of samples of the model's inputs; needed for float models
    bits : width of weights and activations that midwire quantises, 2 to 16; or text as ``--bits``
        takes it: "8,LAYER=12" for a layer that differs, "auto" for the cheapest that keep the
        limit; None for 8, and "auto" where those lose more
    rate : inferences per second at the target's clock; None for the default interval
    strategy : "folded", "unrolled", "loadable" (weights can be written later), or "auto" for
        whichever of the first two is cheaper, layer by layer
    target : name of a family in :data:`~.map.targets.TARGETS`, or of a shell in
        :data:`midwire.hw.shells.registry.SHELLS`, whose adapter the bundle brings then; None for
        the family of the part, or the first
    part : name in :data:`~.map.catalogue.PARTS`, whose resources the slice must not exceed; None
        for no such limit
    budget : text such as "lut=20000,dsp=90": the most that the slice may take of each; without a
        rate, the fastest slice that fits is built
    min_sqnr : least signal to noise ratio of the outputs in dB, on held-out samples; None for
        no such limit, or the default of :mod:`.quantise.limits` if there is no other
    max_error : largest relative error of the model's outputs on them, in percent
    max_drop : largest drop of top-1 on them, in points; needs labels (key ``label``)
    calibration : how the range of a grid is found: "mse" (least mean squared error), "min-max" or
        "percentile"
    symmetric : signed tensors have the zero point 0
    bias_correction : a layer's bias makes up for what rounding of its weights shifts its mean by
    hold_out : share of the samples that calibration does not see, from 0 to below 1; None for a
        quarter where there are enough of them (rules O1 to O3 in :mod:`.quantise.holdout`)
    shapes : for inputs whose height, width or length the model leaves open their shapes, by name;
        the samples bind what is not given here
    name : what the names of all modules and memory images begin with, so that several bundles fit
        into one design
    """

    from_: Names | None = None
    to: Names | None = None
    calibrate: str | os.PathLike[str] | None = None
    bits: int | str | None = None
    rate: float | None = None
    strategy: str = "auto"
    target: str | None = None
    part: str | None = None
    budget: str | None = None
    min_sqnr: float | None = None
    max_error: float | None = None
    max_drop: float | None = None
    hold_out: float | None = None
    calibration: str = "mse"
    symmetric: bool = False
    bias_correction: bool = True
    shapes: Shapes | None = None
    name: str = PREFIX

    @cached_property
    def aim(self) -> Target:
        """The target, with what a part and a budget allow in place of what a typical part has."""
        found = aimed_at(self.target, self.part)
        return limited(found, {} if self.budget is None else parse_budget(self.budget))

    @property
    def fixed(self) -> bool:
        """Whether nothing but the rate says how fast the slice is: no part and no budget."""
        return self.part is None and self.budget is None

    @cached_property
    def widths(self) -> Widths | None:
        """What ``bits`` says; None where midwire chooses."""
        return None if self.bits in (None, AUTO) else parse(self.bits)

    def __post_init__(self) -> None:
        check_strategy(self.strategy)
        Choice(self.calibration)
        # These refuse what makes no sense.
        assert self.aim.name
        assert self.widths is None or self.widths.least
        if self.rate is not None and not 0 < self.rate < math.inf:
            raise OptionError(
                "unusable rate",
                where="--rate",
                expected="more than 0 Hz",
                found=str(self.rate),
                remedy="Leave it out for the default",
            )
        if not usable_prefix(self.name):
            raise OptionError(
                "unusable name",
                where="--name",
                expected=f"a letter, then letters, digits and underscores, {MAX_PREFIX} in all",
                found=repr(self.name),
                remedy="Choose one such as digits: modules are then digits_slice and so on",
            )
        for option, value, unit in (
            ("--min-sqnr", self.min_sqnr, "a ratio in dB"),
            ("--max-error", self.max_error, "a share in percent, 0 or more"),
            ("--max-drop", self.max_drop, "a difference in points, 0 or more"),
        ):
            least = -math.inf if option == "--min-sqnr" else 0.0
            if value is not None and not value >= least:  # nor NaN
                raise OptionError(
                    "unusable limit",
                    where=option,
                    expected=unit,
                    found=str(value),
                    remedy="Leave it out for the default",
                )
        if self.hold_out is not None and not 0 <= self.hold_out < 1:
            raise OptionError(
                "unusable share of samples",
                where="--hold-out",
                expected="0 to below 1",
                found=str(self.hold_out),
                remedy="Leave it out for the default",
            )


@dataclass(frozen=True)
class Compiled:
    """A bundle and how it came about.

    ``sqnr_from`` says on which inputs the losses were measured; ``phases`` are seconds by name;
    ``accuracy`` is the whole model's; ``warnings`` are reasons to doubt both, as sentences;
    ``widths`` are those of what midwire quantised.
    """

    bundle: Bundle
    losses: Sequence[Loss]
    sqnr_from: str
    phases: Mapping[str, float] = field(default_factory=dict)
    accuracy: Accuracy | None = None
    warnings: tuple[str, ...] = ()
    widths: Widths = field(default_factory=Widths)

    @property
    def seconds(self) -> float:
        """From ONNX to the bundle on disk."""
        return sum(self.phases.values())

    @property
    def worst(self) -> Loss | None:
        """The loss of the output that loses most; None if nothing was measured."""
        return worst(self.losses, [spec.name for spec in self.bundle.manifest.outputs])

    def as_json(self) -> dict[str, Any]:
        """What ``midwire compile --json`` says."""
        manifest = self.bundle.manifest
        least = self.worst
        return {
            "bundle": str(self.bundle.root),
            "name": manifest.prefix,
            "slice": {k: manifest.slice[k] for k in ("inputs", "outputs", "macs_share")},
            "tensors": [
                {
                    "name": spec.name,
                    "shape": list(spec.shape),
                    "bits": spec.qtype.bits,
                    "signed": spec.qtype.signed,
                    "scale": spec.qtype.scale,
                    "zero_point": spec.qtype.zero_point,
                }
                for spec in (*manifest.inputs, *manifest.outputs)
            ],
            "cycles_per_inference": manifest.cycles_per_inference,
            "latency_cycles": manifest.latency_cycles,
            "clock_mhz": manifest.clock_mhz,
            "resources": dict(manifest.resources),
            "resources_are": "an estimate; midwire synth counts",
            "device": dict(manifest.device),
            "pareto": [dict(point) for point in manifest.pareto],
            "sqnr_db": manifest.sqnr_db,
            "sqnr": manifest.sqnr,
            "silent": least is not None and least.sqnr.silent,
            "sqnr_from": self.sqnr_from,
            "end_to_end": None if self.accuracy is None else self.accuracy.as_json(),
            "bits": self.widths.text,
            "warnings": list(self.warnings),
            "layers": [dict(layer) for layer in manifest.layers],
            "model_hash": self.bundle.model_hash.hex(),
            "seconds": round(self.seconds, 3),
            "phases": {name: round(value, 3) for name, value in self.phases.items()},
        }


def compile_model(
    model: str | os.PathLike[str],
    output: str | os.PathLike[str],
    options: Options | None = None,
    progress: Report | None = None,
) -> Compiled:
    """Compile a model's slice to a bundle.

    Parameters
    ----------
    model : the ONNX file
    output : folder of the bundle, which replaces a bundle that is there, and nothing else
    progress : called with the name of the phase, what is done of it and the total (both 0 if that
        is not known)

    Raises
    ------
    MidwireError
        Any of :mod:`.errors`, each naming what was expected, what was found, where and what to do.
    """
    check_target(output)
    # What a machine's first compile waits for longest depends on no model, so it is begun with.
    with Elaborator() as elaborator:
        elaborator.prepare()
        return _compiled(model, output, options or Options(), _Clock(progress), elaborator)


def _compiled(
    model: str | os.PathLike[str],
    output: str | os.PathLike[str],
    chosen: Options,
    clock: _Clock,
    elaborator: Elaborator,
) -> Compiled:
    """Every pass in order."""
    target = chosen.aim
    clock.start("load")
    source = load_model(model, chosen.shapes, chosen.calibrate)
    check_names(source)
    data = _read(source, chosen)

    # Only selection sees operators for what is spelled out: the parts are the model's own nodes.
    clock.start("rewrite")
    support = import_all(source, rewritten=rewrite(source))

    clock.start("select")
    calibrated = data is not None
    planned = plan(source, chosen.from_, chosen.to, calibrated=calibrated, support=support)
    selection = planned.selection
    real = checked(selection.graph, graph.verify(selection.graph))

    # Calibration looks at float tensors, so it comes before any of them is rounded.
    clock.start("calibrate")
    choice = Choice(chosen.calibration, chosen.symmetric, chosen.bias_correction)
    observed, means = _observe(source, real, data, clock)
    doubted: list[str] = []
    if data is not None and observed:
        doubted += doubts.of_samples(data) + doubts.of_source(source, data.seen)

    # What is measured is what calibration did not see; where nothing is calibrated, that is all.
    quantising = bool(observed)
    if data is not None and not quantising:
        data = whole(data.samples, data.labels)
    stages = Stages(target, chosen.rate, chosen.strategy, chosen.fixed, elaborator)
    trials = Trials(
        source,
        real,
        observed,
        data,
        target,
        choice,
        means,
        chosen.strategy,
        chosen.rate,
        stages.begin,
    )
    clock.start("choose widths")
    allowed = _limits(source, data, chosen, quantising)
    widths = _widths(trials, chosen, allowed, stages, elaborator, doubted, clock)

    # Grids and integers in one: a finisher is proven for the grids on both of its sides, and where
    # there is none, other grids may have one.
    clock.start("quantise")
    rounded, integers = trials.integers(widths)
    rounded = checked(rounded, graph.verify(rounded))
    integers = checked(integers, quant.verify(integers))

    clock.start("implement")
    # Elaborating takes longest and needs no samples, so it goes on beside all that follows, and
    # so do finding depths and counting what all hardware takes.
    front = None
    if chosen.fixed:
        hardware = stages.of(rounded, integers)
    else:  # whether it fits is known once FIFOs have their depths
        front = Front(integers, target, chosen.strategy)
        hardware = stages.fitted(
            fit(integers, rounded, target, chosen.rate, front, fastest=chosen.budget is not None)
        )

    clock.start("measure loss")
    if data is not None:
        measured, origin = trials.loss(widths, clock.step), data.split.text
    else:
        measured, origin = _on_noise(source, real, integers, clock)
    over = excess(measured, [tensor.name for tensor in integers.results], allowed)
    if over is not None:
        raise trials.refuse(over, widths, measured)
    if quantising:
        doubted += doubts.of_clipping(measured.clipped)

    clock.start("balance")
    balanced = hardware.balanced.result()

    clock.start("compare rates")
    front = front or Front(integers, target, chosen.strategy)

    clock.start("emit")
    bundle = emit(
        os.fspath(output),
        source,
        selection,
        integers,
        balanced,
        target,
        measured,
        tuple(point.as_json() for point in front.points()),
        elaborator,
        hardware.resources.result,
        chosen.name,
    )
    phases = clock.stop()
    return Compiled(
        bundle, measured.losses, origin, phases, measured.accuracy, tuple(doubted), widths
    )


class _Clock:
    """Seconds of each phase, and progress."""

    def __init__(self, progress: Report | None) -> None:
        self._progress = progress
        self._phases: dict[str, float] = {}
        self._name = ""
        self._since = time.monotonic()

    def start(self, name: str) -> None:
        self._end()
        self._name = name
        self.step(0, 0)

    def step(self, done: int, total: int) -> None:
        if self._progress is not None:
            self._progress(self._name, done, total)

    def stop(self) -> dict[str, float]:
        self._end()
        self._name = ""
        return self._phases

    def _end(self) -> None:
        now = time.monotonic()
        if self._name:
            self._phases[self._name] = now - self._since
        self._since = now


def _read(source: Source, chosen: Options) -> Data | None:
    """The samples that the user gave, divided."""
    if chosen.calibrate is None:
        return None
    samples, labels = load_labelled(chosen.calibrate, source.inputs, source.batch)
    return Data(samples, labels, hold_out(samples, chosen.hold_out))


def _observe(
    source: Source, real: graph.Graph, data: Data | None, clock: _Clock
) -> tuple[Mapping[str, Observed], Mapping[str, AnyArray]]:
    """What calibration saw of every tensor that needs a grid, and the means of layers' inputs."""
    missing = missing_grids(real)
    if not missing:
        return {}, {}
    if data is None:
        raise CalibrationError(
            "the slice is not quantised, and there is no calibration data",
            where=f"tensor {missing[0]!r}"
            + (f" and {len(missing) - 1} more" if missing[1:] else ""),
            expected="quantised tensors, or --calibrate",
            found="float tensors",
            remedy="Give typical samples of the model's inputs with --calibrate NPZ",
        )
    seen = {name: _seen_as(source, real, name) for name in missing}
    inputs = [name for name in weighed(real) if name in source.values]
    watched = list(dict.fromkeys([*seen.values(), *inputs]))
    found = calibrate(source, watched, data.seen, clock.step, counted(real), inputs)
    means = {name: mean for name in inputs if (mean := found[name].mean) is not None}
    observed = {name: found[other] for name, other in seen.items()}
    check_divisors(real, observed)
    return observed, means


def _seen_as(source: Source, real: graph.Graph, name: str) -> str:
    """The model's own tensor with the values of one that it does not have: a view of that."""
    while name not in source.values and len(readers := real.consumers(name)) == 1:
        name = readers[0].output
    return name


def _limits(source: Source, data: Data | None, chosen: Options, quantising: bool) -> Limits:
    """What the slice may lose."""
    labelled = data is not None and data.labels is not None and classifies(source)
    return limits(
        Limits(chosen.min_sqnr, chosen.max_error, chosen.max_drop),
        quantising=quantising,
        samples=len(data.split.held) if data else int(random_samples(source) is not None),
        labelled=labelled,
    )


def _widths(
    trials: Trials,
    chosen: Options,
    allowed: Limits,
    stages: Stages,
    elaborator: Elaborator,
    doubted: list[str],
    clock: _Clock,
) -> Widths:
    """The user's widths, or those that midwire chooses. It begins with the hardware of those that
    it chose last time.
    """
    if chosen.widths is not None:
        check_layers(chosen.widths, trials.layers)
        return chosen.widths
    if not trials.layers:
        return Widths()
    guess = Guess(trials.real, (chosen.calibration, chosen.symmetric, chosen.bits, allowed))
    if guess.last is not None:
        with contextlib.suppress(MidwireError):
            stages.expect(*trials.integers(guess.last))
            trials.expect(guess.last, elaborator)
    widths = _chosen(trials, chosen, allowed, doubted, clock)
    guess.keep(widths)
    return widths


def _chosen(
    trials: Trials, chosen: Options, allowed: Limits, doubted: list[str], clock: _Clock
) -> Widths:
    """8 bits where those keep the limits, and more where not, of which people are told."""
    usual, outputs = Widths(), trials.real.outputs
    if chosen.bits == AUTO:
        return trials.cheapest(allowed, outputs, clock.step)
    over = trials.far_off(usual, allowed, outputs) or excess(
        trials.likely_loss(usual, clock.step), outputs, allowed
    )
    if over is None:
        return usual
    widths = trials.enough(allowed, outputs, over, clock.step)
    layered = "layers got others" if widths.layers else f"all layers got {widths.text}"
    doubted.append(
        f"{usual.text} bits lose more than was allowed ({over.expected}; found {over.found}), so "
        f"{layered}: --bits {usual.text} and {over.allow} make the slice smaller"
        + ("" if widths.layers else f", and --bits {AUTO} may")
    )
    return widths


def _on_noise(
    source: Source, real: graph.Graph, integers: quant.QGraph, clock: _Clock
) -> tuple[Measured, str]:
    """What rounding costs where there are no samples, as far as noise will do, and what it was
    measured on.
    """
    random = random_samples(source)
    if random is None:
        return Measured(), NOT_MEASURED
    measured = measure(
        source,
        integers,
        random,
        clock.step,
        behind=behind(source, integers),
        counts=counted(real),
    )
    return replace(measured, wires=(), answers=()), "random inputs"
