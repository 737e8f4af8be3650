# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""Random networks: numpy reference, ``slice.onnx`` and the definition agree on every bit, and so
does RTL, in the predicted cycles.

The definition is the model in rational arithmetic (``ops/conftest``), each integer tensor judged
from those before it. Networks that midwire refuses are drawn again; few are.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import hypothesis
import pytest
from hypothesis import HealthCheck, Phase, given, settings

from midwire.compiler.errors import CutError, ModelError
from midwire.sim.verify import verify

from ...small import without_rtl, without_shell
from ..ops.joined import Form
from ..ops.joined import check as check_rtl
from .networks import SEED, VECTORS, build, check_exact
from .recipes import Recipe, recipes


@dataclass
class Tally:
    """What became of the networks that were drawn."""

    forms: list[Form] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)


def attempt(recipe: Recipe, tally: Tally) -> None:
    """Build and check one network without RTL; a refusal is counted, and not held against it."""
    print(recipe)
    with tempfile.TemporaryDirectory() as folder, without_shell(), without_rtl():
        try:
            bundle, form = build(recipe, Path(folder))
        except (CutError, ModelError) as error:
            tally.refused.append(str(error))
            hypothesis.reject()
        check_exact(recipe, bundle, form)
    tally.forms.append(form)


def check_cycles(recipe: Recipe, tally: Tally) -> None:
    """The same in RTL, by itself."""
    print(recipe)
    with tempfile.TemporaryDirectory() as folder, without_shell():
        try:
            bundle, form = build(recipe, Path(folder))
        except (CutError, ModelError) as error:
            tally.refused.append(str(error))
            hypothesis.reject()
        found = verify(bundle, vectors=VECTORS, stall=0.4, seed=SEED)
    assert found.passed, found
    tally.forms.append(form)


def drawn(count: int, seed: int, check: Callable[[Recipe, Tally], None], **more: Any) -> Tally:
    """What becomes of about that many networks."""
    print(f"seed {seed}")
    tally = Tally()
    chosen = settings(
        settings.get_profile("networks"),
        max_examples=count,
        suppress_health_check=list(HealthCheck),
        **more,
    )

    def test(recipe: Recipe) -> None:
        check(recipe, tally)

    hypothesis.seed(seed)(chosen(given(recipes())(test)))()
    different = len({form.name for form in tally.forms})
    print(f"{different} networks passed, {len(tally.refused)} were refused")
    assert len(tally.forms) > 4 * len(tally.refused), tally.refused
    return tally


def in_rtl(count: int, seed: int, folder: Path) -> None:
    """Networks side by side in one design."""
    tally = drawn(count, seed, attempt, phases=[Phase.generate])
    check_rtl(tally.forms, folder, seed)


def test_exact() -> None:
    drawn(50, 1, attempt)


def test_rtl(tmp_path: Path) -> None:
    in_rtl(8, 2, tmp_path)


def test_cycles() -> None:
    """Networks by themselves, so that each one's cycles show."""
    drawn(2, 3, check_cycles, phases=[Phase.generate])


@pytest.mark.sweep
def test_exact_sweep() -> None:
    tally = drawn(800, 10, attempt)
    assert len({form.name for form in tally.forms}) >= 500


@pytest.mark.sweep
@pytest.mark.parametrize("seed", range(20, 27))
def test_rtl_sweep(seed: int, tmp_path: Path) -> None:
    in_rtl(16, seed, tmp_path)


@pytest.mark.sweep
def test_cycles_sweep() -> None:
    drawn(10, 40, check_cycles)
