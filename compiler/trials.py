# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""A slice at any widths: its integers, what they lose, and what their hardware would cost.

What is one pass after another in :mod:`.pipeline` is here a function of the widths, so that the
search in :mod:`.quantise.search` can try some.
"""

from __future__ import annotations

import shlex
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from dataclasses import dataclass, field, replace
from functools import cache, cached_property, lru_cache, partial
from itertools import count

from ..hw.elaborate import Elaborator
from ..hw.formats.tensor import AnyArray
from ..hw.jobs import StoppedError
from ..hw.numeric import QType
from .emit.behind import behind
from .errors import LossError, ModelError
from .ir import graph, quant
from .load.source import Source
from .map.fuse import fuse
from .map.implement import implement, target_interval
from .map.price import priced
from .map.targets import Target
from .quantise.counted import counted
from .quantise.divisors import widened
from .quantise.grids import Choice, Observed, choose_qtype
from .quantise.holdout import Data
from .quantise.insert import quantise
from .quantise.limits import Excess, Limits, excess, noisiest, refusal
from .quantise.loss import Measured, measure
from .quantise.search import ALIKE, Blame, Keeps, Price, Try, alike, blame, cheapest, most_tried
from .quantise.widths import AUTO, Layer, Widths, dyadic_layers, layers_of

_QUICK = 16
"""Samples that are enough to compare layers by."""

Progress = Callable[[int, int], None]
"""Told how much is done, and of how much."""

SEARCHED = 30e9
"""Multiply-accumulates in the reference that a search may take without being asked for: some ten
seconds."""

_FAR = 3.0
"""Times the noise that is allowed, of one sample: the others would have to lose a third of that."""

_ANOTHER_CUT = "leave more layers to the edge with --from, or to the cloud with --to"
"""What helps where no widths do: features of all sizes on one scale, before the model scales them.
"""


@dataclass(frozen=True, eq=False)
class Trials:
    """What all widths have in common.

    Attributes
    ----------
    real : the slice, before any of it is rounded
    observed : what calibration saw of each tensor that needs a grid
    data : samples to measure on
    choice : how grids are chosen
    means : of the inputs of layers over the samples that calibrate
    strategy, rate : of :class:`~.pipeline.Options`
    ahead : told of a slice that will probably be taken, before its loss is measured
    """

    source: Source
    real: graph.Graph
    observed: Mapping[str, Observed]
    data: Data | None
    target: Target
    choice: Choice
    means: Mapping[str, AnyArray]
    strategy: str = "auto"
    rate: float | None = None
    ahead: Callable[[graph.Graph, quant.QGraph], None] = lambda rounded, integers: None
    _losses: dict[Widths, Measured] = field(default_factory=dict, init=False)
    _begun: dict[Widths, Future[Measured]] = field(default_factory=dict, init=False)

    @cached_property
    def layers(self) -> list[Layer]:
        """The layers that midwire quantises."""
        return layers_of(self.real, list(self.observed))

    @cached_property
    def _grid(self) -> Callable[[str, int, bool], QType]:
        """The grid of a tensor by its bits, and whether its scale is a power of two."""

        @cache
        def grid(name: str, bits: int, dyadic: bool) -> QType:
            return choose_qtype(self.observed[name], bits, dyadic=dyadic, choice=self.choice)

        return grid

    def rounded(self, widths: Widths, *, dyadic: bool = False) -> graph.Graph:
        """The slice with every tensor and weight on a grid.

        ``dyadic``: all scales are powers of two, not only those that have to.
        """
        widths = widened(self.real, self.observed, self.layers, widths)
        bits = {layer.tensor: widths.of(layer) for layer in self.layers}
        powers = frozenset(bits) if dyadic else dyadic_layers(self.real, self.layers, widths)
        return quantise(
            self.real,
            lambda name: self._grid(name, bits[name], name in powers),
            widths,
            self.means if self.choice.bias_correction else None,
        )

    @cached_property
    def integers(self) -> Callable[[Widths], tuple[graph.Graph, quant.QGraph]]:
        """The slice at some widths on grids, and in integers; the last ones are remembered, and
        those before: two that are compared, and those that hardware was begun with.

        Raises
        ------
        ModelError
            If an operator has no integer form here, or no finisher is exact.
        """
        return lru_cache(maxsize=3)(self._integers)

    def _integers(self, widths: Widths) -> tuple[graph.Graph, quant.QGraph]:
        rounded = self.rounded(widths)
        try:
            return rounded, fuse(rounded, self.target)
        except ModelError:
            if not widths.layers:
                raise
            # Widths that differ may ask for multipliers that no hardware has; powers of two do not.
            rounded = self.rounded(widths, dyadic=True)
            return rounded, fuse(rounded, self.target)

    def loss(self, widths: Widths, progress: Progress | None = None) -> Measured:
        """What widths lose, on all samples to measure on; of the last ones it is remembered."""
        if widths not in self._losses:
            self._losses.clear()
            begun = self._begun.get(widths)
            found = self._loss(widths, progress, None) if begun is None else begun.result()
            self._losses[widths] = found
        return self._losses[widths]

    def expect(self, widths: Widths, elaborator: Elaborator) -> None:
        """Begin to measure what widths lose beside other work: they will probably be asked for."""
        _, integers = self.integers(widths)
        stopped = elaborator.unwanted()

        def step(done: int, total: int) -> None:
            if stopped():
                raise StoppedError

        if self.data is not None:
            self._begun[widths] = elaborator.beside(lambda: self._measured(integers, step, None))

    def likely_loss(self, widths: Widths, progress: Progress | None = None) -> Measured:
        """The same of widths that will probably be taken: others may begin with their hardware."""
        self.ahead(*self.integers(widths))
        return self.loss(widths, progress)

    def far_off(self, widths: Widths, limits: Limits, outputs: tuple[str, ...]) -> Excess | None:
        """The limit that one sample alone exceeds by so much (:data:`_FAR`) that the others cannot
        make up for it; None if it does not, or there are no more than a few.
        """
        if self.data is None or len(self.data.split.held) < _QUICK // 4:
            return None
        over = excess(self._loss(widths, None, 1), outputs, limits)
        if over is None or over.times is None or over.times < _FAR:
            return None
        return replace(over, found=f"{over.found} of one sample")

    def quick_loss(self, widths: Widths) -> Measured:
        """The same on a few of them."""
        return self._loss(widths, None, _QUICK)

    def _loss(self, widths: Widths, progress: Progress | None, most: int | None) -> Measured:
        _, integers = self.integers(widths)
        return self._measured(integers, progress, most)

    def _measured(
        self, integers: quant.QGraph, progress: Progress | None, most: int | None
    ) -> Measured:
        assert self.data is not None, "nothing is quantised without samples"
        held, labels = self.data.held, self.data.held_labels
        return measure(
            self.source,
            integers,
            {name: array[:most] for name, array in held.items()},
            progress,
            behind=behind(self.source, integers),
            labels=None if labels is None else labels[:most],
            counts=counted(self.real),
        )

    def prices(self) -> dict[str, Price]:
        """What each layer's hardware costs at widths of the ladder, in LUTs and what is worth as
        much.
        """

        def price_of(tensor: str) -> Price:
            return lambda bits: self._costs(bits).get(tensor)

        return {layer.tensor: price_of(layer.tensor) for layer in self.layers}

    @cached_property
    def _costs(self) -> Callable[[int], Mapping[str, float]]:
        """Those of all layers by bits, none where there is no such hardware."""

        @cache
        def costs(bits: int) -> Mapping[str, float]:
            try:
                _, integers = self.integers(Widths(bits))
            except ModelError:
                return {}
            interval = target_interval(integers, self.rate, self.target.clock_mhz)
            built = implement(integers, self.target, interval, strict=False, strategy=self.strategy)
            made = {
                node.name: priced(built[node.name], self.target).scalar for node in integers.nodes
            }
            return {
                layer.tensor: sum(
                    made[node.name] for node in integers.nodes if layer.tensor in node.outputs
                )
                for layer in self.layers
            }

        return costs

    def enough(
        self, limits: Limits, outputs: tuple[str, ...], over: Excess, progress: Progress
    ) -> Widths:
        """Widths that keep the limits where the usual ones do not: the cheapest, or the same for
        all layers if the search for those took long (:data:`SEARCHED`), or one layer widened if
        there is no hardware for that. ``over`` is what the usual ones lose.

        Raises
        ------
        LossError
            If none of them do.
        """
        try:
            return self._wider(limits, outputs, progress)
        except ModelError as error:
            usual = Widths()
            measured = self.loss(usual)
            found = self._blame(usual, measured)
            if found is None or excess(self.loss(found.widths), outputs, limits) is not None:
                raise _refusal(over, measured, found) from error
            return found.widths

    def _wider(self, limits: Limits, outputs: tuple[str, ...], progress: Progress) -> Widths:
        _, integers = self.integers(Widths())
        samples = 0 if self.data is None else len(self.data.split.held)
        work = samples * sum(node.kernel.macs for node in integers.nodes)
        if most_tried(self.layers) * work <= SEARCHED:
            return self.cheapest(limits, outputs, progress)
        attempt = _told(progress, len(ALIKE))
        search = partial(alike, attempt(self.likely_loss))
        return self._keeping(limits, outputs, search)

    def cheapest(self, limits: Limits, outputs: tuple[str, ...], progress: Progress) -> Widths:
        """Widths that keep the limits at least cost, as far as a bounded search finds them.

        ``progress`` gets the number of widths that were tried, and the most that there may be.

        Raises
        ------
        LossError
            If none do: at its widest, the slice loses more.
        """
        attempt = _told(progress, most_tried(self.layers))
        tries = attempt(self.quick_loss), attempt(self.loss)
        search = partial(cheapest, self.layers, self.prices(), *tries)
        return self._keeping(limits, outputs, search)

    def _keeping(
        self,
        limits: Limits,
        outputs: tuple[str, ...],
        search: Callable[[Keeps], tuple[Widths, Measured]],
    ) -> Widths:
        """What a search finds, if it keeps the limits."""
        widths, measured = search(lambda found: excess(found, outputs, limits) is None)
        over = excess(measured, outputs, limits)
        if over is not None:
            raise refusal(
                over,
                next(iter(noisiest(measured.losses)), outputs[0]),
                ["Give more and more typical samples with --calibrate", _ANOTHER_CUT],
            )
        return widths

    def refuse(self, over: Excess, widths: Widths, measured: Measured) -> LossError:
        """The error of widths that lose too much: which layer to widen was tried, not guessed."""
        return _refusal(over, measured, self._blame(widths, measured))

    def _blame(self, widths: Widths, measured: Measured) -> Blame | None:
        """The layer to widen, the most suspect ones tried."""
        by_tensor = {layer.tensor: layer for layer in self.layers}
        order = [by_tensor[name] for name in noisiest(measured.losses) if name in by_tensor]
        order += [layer for layer in self.layers if layer not in order]
        return blame(order, widths, self.quick_loss)


def _refusal(over: Excess, measured: Measured, found: Blame | None) -> LossError:
    """The error of what is lost, with the layer to widen, if there is one that can be."""
    remedies = [f"Let midwire choose the widths with --bits {AUTO}"]
    if found is not None:
        gained = found.measured.accuracy
        error = None if gained is None else gained.relative_error
        gain = "" if error is None else f" (relative error {100 * error:.3g} %)"
        remedies.insert(0, f"Widen that layer with --bits {shlex.quote(found.widths.text)}{gain}")
        remedies[1] = remedies[1].replace("Let", "let")
    suspects = noisiest(measured.losses)
    blamed = found.layer if found is not None else next(iter(suspects), over.where)
    return refusal(over, blamed, [*remedies, _ANOTHER_CUT])


def _told(progress: Progress, most: int) -> Callable[[Try], Try]:
    """Makes of what tries widths something that says first how many were tried, and of how many."""
    tried = count()

    def told(loss: Try) -> Try:
        def attempt(widths: Widths) -> Measured:
            progress(next(tried), most)
            return loss(widths)

        return attempt

    return told
