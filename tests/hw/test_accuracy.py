# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""The end-to-end figures by their definitions: rules A1 to A3."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from midwire.hw.accuracy import Accuracy, Scores, labels_of
from midwire.hw.errors import DataError
from midwire.hw.sqnr import Sqnr

Array = np.ndarray[Any, Any]


def scored(want: Array, got: Array, labels: Array | None = None) -> Accuracy:
    scores = Scores(labels)
    for a, b in zip(want, got, strict=True):
        scores.add({"y": a}, {"y": b})
    found = scores.result()
    assert found is not None
    return found


def test_relative_error() -> None:
    """A1."""
    rng = np.random.default_rng(2)
    want, noise = rng.normal(size=(2, 5, 3, 4))
    found = scored(want, want + 0.01 * noise)
    expected = 0.01 * np.linalg.norm(noise) / np.linalg.norm(want)
    assert found.relative_error == pytest.approx(expected)
    assert (found.agreement, found.drop) == (None, None)
    assert scored(want, want).relative_error == 0
    assert scored(0 * want, noise).relative_error == math.inf
    scores = Scores()
    scores.add({"a": want, "b": want}, {"a": want + 0.01 * noise, "b": want + 0.1 * noise})
    worst = scores.result()
    assert worst is not None and worst.relative_error == pytest.approx(10 * expected)


def test_infinity_on_both_sides_is_no_noise() -> None:
    found = scored(np.array([[1.0, -np.inf, 2.0]]), np.array([[1.5, -np.inf, 2.0]]))
    assert found.relative_error == pytest.approx(0.5 / math.sqrt(5))


def test_top_1_and_its_drop() -> None:
    """A2, A3."""
    want = np.array([[[3.0, 1, 0]], [[0, 2, 1]], [[1, 0, 5]], [[1, 0, 0]]])
    got = np.array([[[3.0, 1, 0]], [[2, 2, 1]], [[1, 0, 5]], [[0, 1, 0]]])
    found = scored(want, got, np.array([0, 1, 2, 1]))
    assert (found.agreement, found.top1_float, found.top1_split) == (0.5, 0.75, 0.75)
    assert found.drop == 0
    assert found.text.endswith("top-1 75.0 % split, 75.0 % float, same class 50.0 %")
    assert scored(want, got, np.array([0, 1, 2, 2])).drop == 25
    assert scored(want[..., :1], got[..., :1], np.zeros(4)).drop is None


def test_classes_are_no_amounts() -> None:
    """A1: a label that differs is no relative error. A2: it is the class where nothing scores."""
    scores = Scores(np.array([4, 7, 7]))
    for want, got in ((4, 4), (7, 4), (7, 7)):
        text, maps = np.array(["a"], object), [{0: 0.5}]
        scores.add(
            {"label": np.array([want]), "text": text, "maps": maps},
            {"label": np.array([got]), "text": text, "maps": maps},
        )
    found = scores.result()
    assert found is not None and found.relative_error is None
    assert found.top1_float == 1 and found.agreement == pytest.approx(2 / 3)
    assert found.text == "top-1 66.7 % split, 100.0 % float, same class 66.7 %"
    assert (found.as_json()["sqnr_db"], found.as_json()["relative_error"]) == (None, None)
    both = Scores()
    both.add(
        {"label": np.array([1]), "p": np.array([[0.2, 0.8]])},
        {"label": np.array([0]), "p": np.array([[0.2, 0.8]])},
    )
    found = both.result()
    assert found is not None and (found.relative_error, found.agreement) == (0, 1)


def test_a_map_of_classes() -> None:
    """A2: each of its elements by itself; labels say nothing of it."""
    scores = Scores(np.array([3]))
    scores.add({"map": np.array([[1, 2, 3, 4]])}, {"map": np.array([[1, 2, 4, 4]])})
    found = scores.result()
    assert found is not None and (found.agreement, found.relative_error) == (0.75, None)
    assert (found.top1_float, found.drop, found.text) == (None, None, "same class 75.0 %")


def test_nothing_compared() -> None:
    assert Scores().result() is None
    text = Scores()
    text.add({"label": np.array(["a"], object)}, {"label": np.array(["a"], object)})
    assert text.result() is None
    assert Accuracy(1, Sqnr(None)).as_json()["relative_error"] == 0


def test_labels() -> None:
    assert labels_of({}, 3, "FILE") is None
    found = labels_of({"label": np.array([[1], [2], [0]], np.uint8)}, 3, "FILE")
    assert found is not None and found.tolist() == [1, 2, 0]
    for wrong in (np.arange(2), np.zeros(3)):
        with pytest.raises(DataError) as caught:
            labels_of({"label": wrong}, 3, "FILE")
        assert str(caught.value) == (
            "FILE: array 'label': labels that do not fit the samples; expected 3 integers, the "
            f"class of each sample; found {wrong.dtype} {list(wrong.shape)}. "
            "Give one class index a sample, or leave the array out."
        )
