# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""Answers are searched for once a user, by question and by the sources that answer it."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from midwire.hw import remembered as module
from midwire.hw.finish import fit
from midwire.hw.kernels import adder_solver
from midwire.hw.numeric import Affine, QType
from midwire.hw.remembered import remembered


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    return tmp_path


def counted(asked: list[bytes], answer: bytes) -> Callable[[], bytes]:
    def search() -> bytes:
        asked.append(answer)
        return answer

    return search


def test_the_same_is_asked_once() -> None:
    asked: list[bytes] = []
    assert remembered(b"one", counted(asked, b"1")) == b"1"
    assert remembered(b"two", counted(asked, b"2")) == b"2"
    assert remembered(b"one", counted(asked, b"not asked")) == b"1"
    assert asked == [b"1", b"2"]


def test_other_sources_answer_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    assert remembered(b"one", lambda: b"old") == b"old"
    monkeypatch.setattr(module, "sources", lambda: "others")
    assert remembered(b"one", lambda: b"new") == b"new"


def test_what_is_damaged_is_asked_again(folder: Path) -> None:
    remembered(b"one", lambda: b"1")
    (content,) = folder.rglob("content")
    content.write_bytes(content.read_bytes()[:-1] + b"2")
    assert remembered(b"one", lambda: b"1 again") == b"1 again"
    assert remembered(b"one", lambda: b"not asked") == b"1 again"


def test_a_cache_that_cannot_be_written_is_no_error(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder / "file").touch()
    monkeypatch.setenv("XDG_CACHE_HOME", str(folder / "file"))
    assert remembered(b"one", lambda: b"1") == b"1"


def test_a_large_adder_graph_is_searched_for_once(monkeypatch: pytest.MonkeyPatch) -> None:
    matrix = np.random.default_rng(5).integers(-128, 128, (12, 12))
    ranges = [(-128, 127)] * 12
    adder_solver._solve.cache_clear()
    first = adder_solver.solve(matrix, ranges)
    adder_solver._solve.cache_clear()
    monkeypatch.delattr(adder_solver, "_search")
    assert adder_solver.solve(matrix, ranges) == first


def test_parameters_of_many_channels_are_searched_for_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    out = QType(8, True, 0.25)
    functions = [Affine((Fraction(k, 4096),), Fraction(k, 7)) for k in range(21, 61)]
    ranges = [[(-30000, 30000)]] * len(functions)
    fit._search.cache_clear()
    first = fit.fit_requantiser(functions, ranges, out)
    fit._search.cache_clear()
    monkeypatch.delattr(fit, "_first_shift")
    second = fit.fit_requantiser(functions, ranges, out)
    for name, value in vars(first).items():
        np.testing.assert_array_equal(value, getattr(second, name))
