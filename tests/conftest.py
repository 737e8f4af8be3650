# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""What every test folder shares: which tests run where and how long, and models by others."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import hypothesis
import pytest
from hypothesis.database import DirectoryBasedExampleDatabase

MODELS_VARIABLE = "MIDWIRE_MODELS"

SWEEP_SECONDS = 3600
"""Limit of a sweep; that of every other test is `timeout` in pyproject.toml."""

# Random examples are the same in every run and are not timed: what a busy machine is slow at is no
# failure, and one that fails fails again. Nothing is kept in files, which workers would share.
hypothesis.settings.register_profile(
    "midwire",
    deadline=None,
    derandomize=True,
    database=None,
    print_blob=True,
    suppress_health_check=[hypothesis.HealthCheck.too_slow],
)
hypothesis.settings.load_profile("midwire")

# Tests load ONNX Runtime by themselves too, and theirs is to keep nothing either.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")


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


def pytest_configure(config: pytest.Config) -> None:
    """Random networks are the same in every run too, but in a sweep, which looks for new ones and
    keeps those that fail in pytest's cache.
    """
    more: dict[str, Any] = {}
    cache: pytest.Cache | None = getattr(config, "cache", None)  # `-p no:cacheprovider` has none
    if config.getoption("--sweep") and cache is not None:
        folder = cache.mkdir("hypothesis")
        more = {"derandomize": False, "database": DirectoryBasedExampleDatabase(folder)}
    base = hypothesis.settings.get_profile("midwire")
    hypothesis.settings.register_profile("networks", base, **more)


def pytest_report_header(config: pytest.Config) -> list[str]:
    """Say which tests are left out, and how to have them."""
    lines = [f"models: {models_folder() or f'none, so their tests skip; set {MODELS_VARIABLE}'}"]
    if not config.getoption("--sweep"):
        lines.append("sweeps: left out; add --sweep")
    return lines


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Skip what needs models that are not there; leave sweeps out unless asked for."""
    for item in items:
        if item.get_closest_marker("sweep") and not item.get_closest_marker("timeout"):
            item.add_marker(pytest.mark.timeout(SWEEP_SECONDS))
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


@pytest.fixture(scope="session", autouse=True)
def interrupts() -> Iterator[None]:
    """SIGINT does what it does in a terminal, here and in every process that a test starts.

    A shell starts background jobs with SIGINT ignored, children inherit that, and a test that waits
    for an interrupt would wait for ever.
    """
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


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
