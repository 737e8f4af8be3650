# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""The README's test command says in one line what a machine lacks."""

from __future__ import annotations

import importlib.util
import shutil
from pathlib import Path
from types import ModuleType

import pytest


@pytest.fixture
def run(root: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location("run", root / "tests" / "run.py")
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_missing_compiler_and_make(
    run: ModuleType, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(shutil, "which", lambda name: None)
    assert run.main([]) == 2
    assert capsys.readouterr().out == (
        "The tests need what is missing here: sudo apt-get install g++ make\n"
    )


def test_old_python(
    run: ModuleType, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(run, "OLDEST", (9, 9))
    assert run.main([]) == 2
    assert capsys.readouterr().out.startswith("midwire needs Python 9.9 or newer, and this is 3.")


def test_nothing_is_missing_where_the_tests_run(run: ModuleType) -> None:
    assert run.missing() == []
