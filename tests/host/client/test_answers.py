# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""Outputs of many replies in one file."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from midwire.host.client.answers import Answers
from midwire.host.client.requests import Request, RequestOutcome
from midwire.host.errors import DeadlineError
from midwire.host.steer.paths import NetworkPath
from midwire.hw.errors import DataError
from midwire.hw.formats.tensor import AnyArray

Y = np.arange(3, dtype=np.float32)


def outcome(sample: int, outputs: dict[str, AnyArray] | None) -> RequestOutcome:
    return RequestOutcome(
        request=Request([], tag=(sample, True)),
        request_id=sample,
        outputs=outputs,
        error=DeadlineError("no reply in time") if outputs is None else None,
        executed_by="cloud",
        declined="",
        cycles=0,
        slice_sha256="",
        wire_bytes=0,
        attempts=1,
        path=NetworkPath(("127.0.0.1", 1)),
        seconds=0.0,
    )


def test_outputs_are_kept_in_the_order_in_which_they_come(tmp_path: Path) -> None:
    answers = Answers()
    answers.add(outcome(2, {"y": Y, "z": Y[:1]}))
    answers.add(outcome(1, None))
    answers.add(outcome(0, {"y": Y + 1, "z": Y[1:2]}))
    answers.write(tmp_path / "out.npz")
    with np.load(tmp_path / "out.npz") as found:
        assert sorted(found) == ["out0", "out1", "sample"]
        assert found["sample"].tolist() == [2, 0]
        assert found["out0"].tolist() == [[0, 1, 2], [1, 2, 3]]
        assert found["out1"].tolist() == [[0], [1]]


def test_no_reply_at_all_is_a_file_of_no_samples(tmp_path: Path) -> None:
    Answers().write(tmp_path / "out.npz")
    with np.load(tmp_path / "out.npz") as found:
        assert {key: found[key].tolist() for key in found} == {"sample": []}


@pytest.mark.parametrize(
    ("outputs", "found"),
    [
        ({"other": Y}, "'other' float32 [3]"),
        ({"y": Y[:2]}, "'y' float32 [2]"),
        ({"y": Y.astype(np.float64)}, "'y' float64 [3]"),
        ({"y": Y, "z": Y}, "'y' float32 [3], 'z' float32 [3]"),
        ({}, "nothing"),
    ],
)
def test_replies_that_do_not_fit_together_are_said(
    outputs: dict[str, AnyArray], found: str
) -> None:
    answers = Answers()
    answers.add(outcome(4, {"y": Y}))
    with pytest.raises(DataError) as caught:
        answers.add(outcome(7, outputs))
    assert str(caught.value) == (
        "the reply for sample 7: the outputs of two replies do not go into one array; expected "
        f"'y' float32 [3], as for sample 4; found {found}. Look at the model and at the cloud; "
        "without --output every reply counts."
    )
