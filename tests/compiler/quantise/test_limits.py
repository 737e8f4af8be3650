# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""What a slice may lose, and the refusal of more: rules L2 to L4."""

from __future__ import annotations

import math
from typing import Any

import pytest

from midwire.compiler.errors import LossError
from midwire.compiler.quantise.limits import (
    Excess,
    Limits,
    excess,
    limits,
    noisiest,
    refusal,
)
from midwire.compiler.quantise.loss import Loss, Measured
from midwire.hw.accuracy import Accuracy
from midwire.hw.sqnr import Sqnr


def defaults(samples: int = 500, **other: bool) -> Limits:
    facts: dict[str, Any] = {"quantising": True, "labelled": False, **other}
    return limits(Limits(), samples=samples, **facts)


def test_the_default_depends_on_labels() -> None:
    """L2."""
    assert defaults() == Limits(max_error=1, remark=" (the default without labels)")
    found = defaults(labelled=True)
    assert found == Limits(max_drop=0.5, remark=" (the default for 500 labelled samples)")
    assert defaults(40, labelled=True).max_drop == 2.5
    assert not defaults(quantising=False, labelled=True).any
    assert not defaults(0).any


def test_what_the_user_asks_for_is_all_that_counts() -> None:
    for asked in (Limits(min_sqnr=-5), Limits(max_error=60), Limits(max_drop=0)):
        for quantising in (True, False):
            assert asked == limits(asked, quantising=quantising, samples=9, labelled=True)


def test_a_limit_that_cannot_be_checked_is_refused() -> None:
    """L3."""
    facts: dict[str, Any] = {"quantising": False}
    with pytest.raises(LossError) as caught:
        limits(Limits(max_error=3), samples=0, labelled=False, **facts)
    assert str(caught.value) == (
        "--max-error: there is nothing to measure the loss on; expected samples of the model's "
        "inputs, which are not integers; found no calibration data. Give typical samples with "
        "--calibrate NPZ, or leave --max-error out."
    )
    with pytest.raises(LossError) as caught:
        limits(Limits(max_drop=1), samples=9, labelled=False, **facts)
    assert str(caught.value) == (
        "--max-drop: there are no labels to count right answers with; expected an array 'label' "
        "beside the samples, and an output that scores classes; found samples alone. Add the class "
        "of each sample, or set --max-error in its place."
    )
    with pytest.raises(LossError, match=r"^--max-error: the loss of the whole model cannot be"):
        excess(Measured(), ["y"], Limits(max_error=3))


def test_the_worst_output_counts() -> None:
    """L4."""
    losses = [Loss("y", Sqnr(30.0)), Loss("z", Sqnr(12.0)), Loss("a", Sqnr(5.0))]
    measured = Measured(losses)
    assert excess(measured, ["y", "z"], Limits(min_sqnr=12)) is None
    assert excess(measured, ["y", "z"], Limits()) is None
    assert excess(measured, ["y", "z"], Limits(min_sqnr=20)) == Excess(
        "output 'z'",
        "a signal to noise ratio of at least 20 dB",
        "12.0 dB",
        "--min-sqnr",
    )
    # A default about the whole model, where nothing is known of it: the slice alone is judged.
    for unknown in (Limits(max_drop=1, remark=" (why)"), defaults()):
        over = excess(measured, ["z"], unknown)
        assert over is not None and over.expected == (
            "a signal to noise ratio of at least 40 dB (the default)"
        )


def test_noise_without_signal_is_the_greatest_loss() -> None:
    losses = [Loss("a", Sqnr(30.0)), Loss("y", Sqnr(None, silent=True))]
    over = excess(Measured(losses), ["y"], Limits(min_sqnr=-100))
    assert over is not None and over.found == "noise and no signal"
    assert noisiest(losses)[0] == "y"
    assert excess(Measured(losses), ["y"], Limits(min_sqnr=-math.inf)) is None


def test_the_whole_model() -> None:
    accuracy = Accuracy(200, Sqnr(34.0), 0.99, top1_float=0.9, top1_split=0.89)
    measured = Measured((), accuracy)
    assert excess(measured, [], Limits(max_error=2, max_drop=1)) is None
    assert excess(measured, [], Limits(max_error=1.5, remark=" (why)")) == Excess(
        "the model's outputs", "a relative error of at most 1.5 % (why)", "2 %", "--max-error"
    )
    assert excess(measured, [], Limits(max_drop=0.5)) == Excess(
        "the model's outputs",
        "a drop of top-1 of at most 0.5 points",
        "1, from 90.0 to 89.0 % of 200",
        "--max-drop",
    )


def test_how_far_off_it_is() -> None:
    """In amplitudes of noise, for whoever looks for widths; classes come in jumps."""
    accuracy = Accuracy(200, Sqnr(34.0), 0.99, top1_float=0.9, top1_split=0.89)
    measured = Measured([Loss("y", Sqnr(12.0))], accuracy)
    for limit, times in (
        (Limits(max_error=0.5), 4.0),
        (Limits(min_sqnr=32), 10.0),
        (Limits(min_sqnr=1e6), 1e9),
        (Limits(max_error=0), None),
        (Limits(max_drop=0.5), None),
    ):
        over = excess(measured, ["y"], limit)
        assert over is not None and over.times == (times and pytest.approx(times, rel=0.01))


def test_a_model_of_classes_alone() -> None:
    """L2, L3: nothing is an amount there, so classes are compared, or what was asked is refused."""
    for samples, agreement in ((200, 0.995), (25, 0.96), (25, 1.0)):
        measured = Measured([Loss("y", Sqnr(9.0))], Accuracy(samples, None, agreement))
        assert excess(measured, ["y"], defaults()) is None
    measured = Measured([Loss("y", Sqnr(39.0))], Accuracy(200, None, 0.99))
    assert excess(measured, ["y"], defaults()) == Excess(
        "the model's outputs",
        "another class for at most 0.5 % of samples (the default without labels)",
        "1 % of 200",
        "--min-sqnr",
    )
    with pytest.raises(LossError, match=r"found classes alone, whose difference is no amount\."):
        excess(measured, ["y"], Limits(max_error=3))
    labelled = Accuracy(200, None, 0.99, top1_float=0.9, top1_split=0.89)
    over = excess(Measured((), labelled), ["y"], defaults(labelled=True))
    assert over is not None and over.allow == "--max-drop"


def test_the_refusal() -> None:
    over = Excess("output 'y'", "at least 25 dB", "19.0 dB", "--min-sqnr")
    assert str(refusal(over, "a", ["Widen it", "let midwire choose"])) == (
        "output 'y': the quantised slice loses more than was allowed; expected at least 25 dB; "
        "found 19.0 dB; most is lost at 'a'. Widen it, or let midwire choose; --min-sqnr allows "
        "more."
    )


@pytest.mark.parametrize(
    ("levels", "first"),
    [
        ({"a": 40.0, "b": 20.0, "y": 19.0}, "b"),
        ({"a": 19.5, "b": 19.2, "y": 19.0}, "a"),
        ({"a": 40.0, "b": None, "y": 19.0}, "y"),
        ({"a": 10.0, "b": 30.0, "y": 19.0}, "a"),
    ],
)
def test_suspects(levels: dict[str, Any], first: str) -> None:
    losses = [Loss(name, Sqnr(level)) for name, level in levels.items()]
    assert noisiest(losses)[0] == first
    assert sorted(noisiest(losses)) == sorted(levels)
