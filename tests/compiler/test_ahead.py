# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""What is begun with early: a guess that is right saves time, and a wrong one nothing else."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import Future
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from midwire.compiler import trials
from midwire.compiler.ahead import Guess, Stages
from midwire.compiler.errors import ModelError
from midwire.compiler.map.targets import TARGETS
from midwire.compiler.pipeline import Options, compile_model
from midwire.compiler.quantise.loss import measure
from midwire.compiler.quantise.widths import Widths, parse
from midwire.hw import cache
from midwire.hw.elaborate import Elaborator
from midwire.hw.numeric import QType

from ..small import without_shell
from .conftest import Lower, ModelFile

NET = """
g (float[N, 4, 4, 4] x) => (float[N, 4, 4, 4] y)
<float[4, 4, 1, 1] w = {W}>
{ a = Conv (x, w)
  b = Relu (a)
  y = Conv (b, w) }
"""
WEIGHTS = ", ".join(["0.5", "-0.25", "0.75", "0.1"] * 4)
OTHERS = ", ".join(["0.5", "-0.25", "0.6", "0.3"] * 4)


def net(weights: str = WEIGHTS, relu: str = "Relu") -> str:
    return NET.replace("{W}", "{" + weights + "}").replace("Relu", relu)


@pytest.fixture
def empty(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache"


def test_a_guess_is_of_the_last_time(lower: Lower, empty: Path) -> None:
    """Other weights are the same network; other operators or limits are not."""
    del empty
    real = lower(net()).real
    assert Guess(real, ("mse",)).last is None
    for widths in (Widths(11), Widths(13), Widths(8, {"a": 12}), Widths(8, {"a": 12})):
        Guess(real, ("mse",)).keep(widths)
        assert Guess(lower(net(OTHERS)).real, ("mse",)).last == widths
    assert Guess(real, ("min-max",)).last is None
    assert Guess(lower(net(relu="Abs")).real, ("mse",)).last is None


@pytest.mark.parametrize("content", [b"\xff", b"eight", b"99", b""])
def test_what_cannot_be_read_is_no_guess(content: bytes, lower: Lower, empty: Path) -> None:
    real = lower(net()).real
    Guess(real, ()).keep(Widths(11))
    (entry,) = [path for path in (empty / "midwire" / "widths").iterdir() if path.is_dir()]
    cache.store(entry.parent, {entry.name: content}, anew=True)
    assert Guess(real, ()).last is None
    Guess(real, ()).keep(Widths(13))
    assert Guess(real, ()).last == Widths(13)


def test_a_cache_that_cannot_be_written_is_no_error(
    lower: Lower, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    guess = Guess(lower(net()).real, ())
    guess.keep(Widths(11))
    assert Guess(lower(net()).real, ()).last is None


class Noted(Elaborator):
    """Elaborates nothing."""

    def __init__(self) -> None:
        super().__init__()
        self.did: list[str] = []

    def __enter__(self) -> Noted:
        return self

    def start(self, descriptions: Sequence[Any]) -> None:
        self.did.append("start")

    def beside(self, work: Callable[[], Any]) -> Future[Any]:
        return Future()

    def forget(self) -> None:
        self.did.append("forget")


def test_what_is_begun_with_goes_on_if_it_is_taken(lower: Lower) -> None:
    """And is given up if other hardware is; what is expected comes before what is likely."""
    narrow, wide = lower(net()), lower(net(), bits=12)
    again, others = lower(net()), lower(net(OTHERS))
    grids = {name: QType(8, True, 2.0**-5) for name in "xby"}
    shifted = lower(net(), grids=grids)
    for expected in (False, True):
        with Noted() as elaborator:
            stages = Stages(TARGETS["xcup"], None, "auto", True, elaborator)
            (stages.expect if expected else stages.begin)(narrow.rounded, narrow.integers)
            stages.begin(wide.rounded, wide.integers)
            assert elaborator.did == (["start"] if expected else ["start", "forget", "start"])
            found = stages.of(wide.rounded, wide.integers)
            assert stages.of(wide.rounded, wide.integers) is found
            assert elaborator.did.count("forget") == 1
    with Noted() as elaborator:
        stages = Stages(TARGETS["xcup"], None, "auto", True, elaborator)
        stages.begin(narrow.rounded, narrow.integers)
        stages.of(again.rounded, again.integers)
        assert elaborator.did == ["start"], "made anew, and the same"
        for each in (others, shifted):
            stages.of(each.rounded, each.integers)
            assert elaborator.did[-2:] == ["forget", "start"], "other contents, other meaning"
    with Noted() as elaborator:
        stages = Stages(TARGETS["xcup"], None, "auto", False, elaborator)
        stages.begin(narrow.rounded, narrow.integers)
        assert elaborator.did == [], "a budget may ask for others"


def test_a_rate_that_is_out_of_reach_is_said_where_it_is_asked_for(lower: Lower) -> None:
    narrow = lower(net())
    with Noted() as elaborator:
        stages = Stages(TARGETS["xcup"], 1e12, "folded", True, elaborator)
        stages.begin(narrow.rounded, narrow.integers)
        assert elaborator.did == []
        with pytest.raises(ModelError, match="cannot keep the wanted rate"):
            stages.of(narrow.rounded, narrow.integers)


def test_a_bundle_is_the_same_whatever_was_guessed(
    model_file: ModelFile, tmp_path: Path, empty: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No guess, the right one, a wrong one, and one that no hardware has."""
    del empty
    samples = np.random.default_rng(3).normal(0, 1, (12, 4, 4, 4)).astype(np.float32)
    np.savez(tmp_path / "in.npz", x=samples)
    model = model_file(net())
    made = []
    with without_shell():
        for number, guess in enumerate((None, "8", "13", "8,a=16")):
            found = None if guess is None else parse(guess)
            monkeypatch.setattr(Guess, "last", found)
            output = tmp_path / str(number)
            compile_model(model, output, Options(calibrate=tmp_path / "in.npz", max_error=60.0))
            files = sorted(path for path in output.rglob("*") if path.is_file())
            made.append({str(path.relative_to(output)): path.read_bytes() for path in files})
    assert len(made[0]) > 5 and all(each == made[0] for each in made)


@pytest.mark.parametrize("guess", ["13", "8"])
def test_a_loss_that_was_begun_with_is_not_measured_again(
    guess: str,
    model_file: ModelFile,
    tmp_path: Path,
    empty: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It is what it would have been, where it is asked for, and forgotten where it is not."""
    del empty
    samples = np.random.default_rng(3).normal(0, 1, (12, 4, 4, 4)).astype(np.float32)
    np.savez(tmp_path / "in.npz", x=samples)
    seen: list[tuple[int, int]] = []

    def noted(source: Any, integers: Any, held: Any, *rest: Any, **more: Any) -> Any:
        bits = max(tensor.qtype.bits for tensor in integers.tensors.values())
        seen.append((bits, len(held["x"])))
        return measure(source, integers, held, *rest, **more)

    monkeypatch.setattr(trials, "measure", noted)
    monkeypatch.setattr(trials, "SEARCHED", 0)
    monkeypatch.setattr(Guess, "last", parse(guess))
    with without_shell():
        made = compile_model(
            model_file(net()),
            tmp_path / "out",
            Options(calibrate=tmp_path / "in.npz", max_error=0.4),
        )
    assert made.widths == Widths(11)
    assert max(seen.count(each) for each in seen) == 1
    assert (int(guess), 3) in seen and (11, 3) in seen
