# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""What every test folder shares: which tests run where, and the folder of models by others."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

MODELS_VARIABLE = "MIDWIRE_MODELS"


def models_folder() -> Path | None:
    """The folder that ``MIDWIRE_MODELS`` names, or None where it is not set."""
    name = os.environ.get(MODELS_VARIABLE)
    if not name:
        return None
    folder = Path(name)
    if not folder.is_dir():
        raise pytest.UsageError(f"{MODELS_VARIABLE} must name a folder, not {name!r}")
    return folder


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add ``--sweep``."""
    parser.addoption("--sweep", action="store_true", help="also run the tests that take minutes")


def pytest_report_header(config: pytest.Config) -> list[str]:
    """Say which tests are left out, and how to have them."""
    lines = [f"models: {models_folder() or f'none, so their tests skip; set {MODELS_VARIABLE}'}"]
    if not config.getoption("--sweep"):
        lines.append("sweeps: left out; add --sweep")
    return lines


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Skip what needs models that are not there; leave sweeps out unless asked for."""
    if models_folder() is None:
        reason = f"needs models by others: set {MODELS_VARIABLE} to their folder"
        for item in items:
            if item.get_closest_marker("models"):
                item.add_marker(pytest.mark.skip(reason=reason))
    if not config.getoption("--sweep"):
        sweeps = [item for item in items if item.get_closest_marker("sweep")]
        if sweeps:
            config.hook.pytest_deselected(items=sweeps)
            items[:] = [item for item in items if item not in sweeps]


@pytest.fixture(scope="session")
def models() -> Path:
    """Folder with one folder for each model by others: ``model.onnx`` and ``ref.npz``."""
    folder = models_folder()
    if folder is None:
        raise pytest.UsageError("mark a test that takes `models` with pytest.mark.models")
    return folder


@pytest.fixture(scope="session")
def root() -> Path:
    """The checkout."""
    return Path(__file__).resolve().parent.parent
