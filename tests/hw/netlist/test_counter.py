# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""Counting in a process of its own."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from midwire.hw.elaborate import netlists_of
from midwire.hw.jobs import StoppedError
from midwire.hw.kernels.adapt import StreamFifo
from midwire.hw.kernels.base import StreamPort
from midwire.hw.netlist import counter
from midwire.hw.netlist.counter import Netlists, count_once, counted
from midwire.hw.numeric import IntType


@pytest.fixture(scope="module")
def netlists() -> Netlists:
    """Two FIFOs behind each other."""
    (modules,) = netlists_of([StreamFifo(StreamPort(IntType(8, True), 2, 6), 20)])
    ((name, text),) = modules.items()
    parts = [(own, own, text.replace(name, own)) for own in ("one", "other")]
    return Netlists(parts, [(("one", "o"), ("other", "i"))], {}, "ecp5")


def test_a_process_counts_the_same(
    netlists: Netlists, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And what it found is found again."""
    here = counted(netlists)
    assert here["ff"] > 0
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(counter, "_FEW_CHARACTERS", 0)
    assert counted(netlists) == here

    def refuse(*_: Any) -> None:
        raise AssertionError("nothing is left to count")

    monkeypatch.setattr(counter, "_count", refuse)
    assert count_once(netlists) == here


def test_counting_is_given_up(netlists: Netlists, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(counter, "_FEW_CHARACTERS", 0)
    with pytest.raises(StoppedError):
        counted(netlists, lambda: True)
