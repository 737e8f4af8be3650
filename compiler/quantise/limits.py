# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""How much a slice may lose.

Rules, cited by tests as L2 to L4 (L1 is in :mod:`.loss`):

L2. Where midwire quantises, there is a default, unless the user sets a limit, higher or lower:

    * with labels, half a point of top-1 (or one sample, where that is more: fewer than 200 samples
      cannot show half a point);
    * without, 1 % relative error of the model's outputs; where those hold classes only, half a
      point of samples (or one) may get another; where nothing is known of them, 1 % of the slice's.

    Where 8 bits lose more and the user chose no widths, midwire chooses wider ones. Sound networks
    may well keep their answers with errors of 1 to 15 % (docs/quantising.md), but nothing says so
    without labels: who knows it sets a limit.

    Where the model brings every grid there is none: what its author's quantiser lost is settled,
    and there is no float model to compare with.
L3. A limit that the user set is checked or refused, never passed over: where there is nothing to
    measure it on, that is an error.
L4. A slice is as good as its worst output.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

from ..errors import LossError
from .loss import Loss, Measured, worst

DEFAULT_ERROR = 1.0
"""Largest relative error of the model's outputs by default, in percent."""

DEFAULT_DROP = 0.5
"""Largest drop of top-1 by default, in points."""


_MOST_DECADES = 9.0
"""Of noise: more is as bad."""


@dataclass(frozen=True)
class Limits:
    """Each None for no such limit.

    Attributes
    ----------
    min_sqnr : least signal to noise ratio of the slice's outputs, in dB
    max_error : largest relative error of the model's outputs, in percent
    max_drop : largest drop of top-1, in points
    remark : where they come from, in brackets; empty if from the user
    """

    min_sqnr: float | None = None
    max_error: float | None = None
    max_drop: float | None = None
    remark: str = ""

    @property
    def any(self) -> bool:
        """Whether there is one."""
        return (self.min_sqnr, self.max_error, self.max_drop) != (None, None, None)


@dataclass(frozen=True)
class Excess:
    """A limit that is not kept: where, and what was expected and found, as clauses.

    ``times`` is how many times the noise's amplitude is what it may be; None for what comes in
    jumps.
    """

    where: str
    expected: str
    found: str
    allow: str
    times: float | None = field(default=None, compare=False)


def limits(asked: Limits, *, quantising: bool, samples: int, labelled: bool) -> Limits:
    """The limits by rules L2 and L3.

    Parameters
    ----------
    asked : by the user
    quantising : whether it chooses grids
    samples : on how many the loss is measured
    labelled : whether their classes are known

    Raises
    ------
    LossError
        If a limit was asked for and nothing can be measured.
    """
    if asked.any and not samples:
        option = next(o for o, value in _options(asked) if value is not None)
        raise LossError(
            "there is nothing to measure the loss on",
            where=option,
            expected="samples of the model's inputs, which are not integers",
            found="no calibration data",
            remedy=f"Give typical samples with --calibrate NPZ, or leave {option} out",
        )
    if asked.max_drop is not None and not labelled:
        raise LossError(
            "there are no labels to count right answers with",
            where="--max-drop",
            expected="an array 'label' beside the samples, and an output that scores classes",
            found="samples alone",
            remedy="Add the class of each sample, or set --max-error in its place",
        )
    if asked.any or not (quantising and samples):
        return asked
    if labelled:
        drop = least_drop(samples)
        return Limits(max_drop=drop, remark=f" (the default for {samples} labelled samples)")
    return Limits(max_error=DEFAULT_ERROR, remark=" (the default without labels)")


def least_drop(samples: int) -> float:
    """The default in points: half a one, or one sample, if few cannot show that."""
    return max(DEFAULT_DROP, 100 / samples)


def _options(asked: Limits) -> list[tuple[str, float | None]]:
    return [
        ("--min-sqnr", asked.min_sqnr),
        ("--max-error", asked.max_error),
        ("--max-drop", asked.max_drop),
    ]


def excess(measured: Measured, outputs: Sequence[str], limits: Limits) -> Excess | None:
    """The first limit that is not kept (L4); None if all are.

    Raises
    ------
    LossError
        If a limit is about the whole model, whose end ONNX Runtime does not take (L3).
    """
    accuracy = measured.accuracy
    error = None if accuracy is None else accuracy.relative_error
    unknown = accuracy is None or (limits.max_error is not None and error is None)
    if limits.remark and unknown:
        # Nobody asked for this kind of limit, so another one that can be checked is as good.
        if accuracy is not None and accuracy.agreement is not None:
            return _other_classes(accuracy.agreement, accuracy.samples)
        limits = Limits(min_sqnr=-20 * math.log10(DEFAULT_ERROR / 100), remark=" (the default)")
    least = worst(measured.losses, outputs)
    if limits.min_sqnr is not None and least and least.sqnr.level < limits.min_sqnr:
        return Excess(
            f"output {least.tensor!r}",
            f"a signal to noise ratio of at least {limits.min_sqnr:g} dB{limits.remark}",
            least.sqnr.text,
            "--min-sqnr",
            10 ** min(_MOST_DECADES, (limits.min_sqnr - least.sqnr.level) / 20),
        )
    if limits.max_error is None and limits.max_drop is None:
        return None
    if unknown or accuracy is None:
        raise LossError(
            "the loss of the whole model cannot be measured",
            where="--max-error" if limits.max_error is not None else "--max-drop",
            expected="nodes behind the slice that ONNX Runtime takes, and outputs of numbers",
            found="none" if accuracy is None else "classes alone, whose difference is no amount",
            remedy="Set --min-sqnr, which is about the slice alone",
        )
    if limits.max_error is not None and error is not None and 100 * error > limits.max_error:
        return Excess(
            "the model's outputs",
            f"a relative error of at most {limits.max_error:g} %{limits.remark}",
            f"{100 * error:.3g} %",
            "--max-error",
            100 * error / limits.max_error if limits.max_error else None,
        )
    drop = accuracy.drop
    if limits.max_drop is not None and drop is not None and drop > limits.max_drop + 1e-9:
        assert accuracy.top1_float is not None and accuracy.top1_split is not None
        return Excess(
            "the model's outputs",
            f"a drop of top-1 of at most {limits.max_drop:.3g} points{limits.remark}",
            f"{drop:.3g}, from {100 * accuracy.top1_float:.1f} to {100 * accuracy.top1_split:.1f}"
            f" % of {accuracy.samples}",
            "--max-drop",
        )
    return None


def _other_classes(agreement: float, samples: int) -> Excess | None:
    """The default for outputs that hold classes only (L2)."""
    allowed, found = least_drop(samples), 100 * (1 - agreement)
    if found <= allowed + 1e-9:
        return None
    return Excess(
        "the model's outputs",
        f"another class for at most {allowed:.3g} % of samples (the default without labels)",
        f"{found:.3g} % of {samples}",
        "--min-sqnr",
    )


def refusal(over: Excess, blamed: str, remedies: Sequence[str]) -> LossError:
    """The error of a slice that loses more than was allowed; names the layer and what to do."""
    return LossError(
        "the quantised slice loses more than was allowed",
        where=over.where,
        expected=over.expected,
        found=f"{over.found}; most is lost at {blamed!r}",
        remedy=f"{', or '.join(remedies)}; {over.allow} allows more",
    )


def noisiest(losses: Sequence[Loss]) -> list[str]:
    """Tensors by how much noise each adds to that of the one before, most first."""
    # Noise without a signal counts as more than any that is measured against one.
    noise = [10 ** (-max(loss.sqnr.level, -300) / 10) for loss in losses]
    added = [(b - a, loss.tensor) for a, b, loss in zip([0.0, *noise], noise, losses, strict=False)]
    return [tensor for _, tensor in sorted(added, key=lambda pair: -pair[0])]
