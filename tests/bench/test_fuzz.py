# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""Damaged and wrong models: whatever is in the file, the user gets a listing, a bundle or one of
our errors.
"""

from __future__ import annotations

import importlib
import json
import os
import signal
import subprocess
import sys
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from midwire.compiler import cli
from midwire.compiler.errors import ModelError

SEED = 4711


def started(root: Path, keep: Path, *words: str) -> subprocess.Popen[str]:
    environment = {k: v for k, v in os.environ.items() if k != "MIDWIRE_MODELS"}
    command = [sys.executable, "-m", "bench.fuzz", "--seed", str(SEED), "--jobs", "1"]
    return subprocess.Popen(
        [*command, "--keep", str(keep), *words],
        cwd=root,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def test_a_few_hundred_models_have_no_defect(root: Path, tmp_path: Path) -> None:
    out, _ = (run := started(root, tmp_path, "--inspect", "300", "--compile", "25")).communicate()
    print(out)
    assert run.returncode == 0
    (tmp_path / "inspect-1.json").write_text(
        '{"ends": {"done": 1}, "defects": {"stuck": 1}, "next": {"0": 1}, "seconds": 1}'
    )
    out, _ = started(root, tmp_path, "--json").communicate()
    totals = json.loads(out)
    assert totals["inspect"]["seeds"] == [1, SEED] and totals["compile"]["cases"] == 25
    assert totals["inspect"]["defects"] == {"stuck": 1} and totals["compile"]["defects"] == {}
    assert totals["inspect"]["seconds"] > 1.1
    ends = totals["inspect"]["ends"]
    assert sum(ends.values()) == totals["inspect"]["cases"] == 301
    assert ends["done"] > 30 and ends["none"] > 10 and ends["ModelError"] > 30


def test_an_interrupted_campaign_goes_on(root: Path, tmp_path: Path) -> None:
    state = tmp_path / f"inspect-{SEED}.json"
    run = started(root, tmp_path, "--jobs", "2", "--inspect", "1000000")
    for _ in range(600):
        time.sleep(0.1)
        if state.exists() and min(json.loads(state.read_text("utf-8"))["next"].values()) > 1:
            break  # both processes were heard
    run.send_signal(signal.SIGINT)
    out, _ = run.communicate(timeout=60)
    assert run.returncode == 130, out
    assert out.endswith("interrupted; run it again to go on\n") and "Traceback" not in out
    kept = json.loads(state.read_text("utf-8"))
    assert min(kept["next"].values()) > 1
    whole = str(max(kept["next"].values()) + 20)
    run = started(root, tmp_path, "--jobs", "2", "--inspect", whole)
    out, _ = run.communicate()
    assert run.returncode == 0, out
    assert f"inspect: {whole} cases" in out


@pytest.fixture
def judge(root: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.syspath_prepend(str(root))
    return importlib.import_module("bench.fuzz.judge")


def _warn() -> None:
    warnings.warn("overflow encountered in multiply", RuntimeWarning, stacklevel=1)


def _fail() -> None:
    raise ValueError("shape mismatch")


def _wait() -> None:
    while True:
        pass


def _mumble() -> None:
    raise ModelError("it does not work")


@pytest.mark.parametrize(
    ("act", "defect"),
    [
        (_warn, "RuntimeWarning at test_fuzz.py:"),
        (_fail, "ValueError at test_fuzz.py:"),
        (_wait, "TooLong at test_fuzz.py:"),
        (_mumble, "a sentence that does not teach: it does not work"),
        (lambda: print('{"reason": "its import rule failed: x"}'), "verdict: rule failed: x"),
        (lambda: print("{}"), ""),
    ],
)
def test_what_is_a_defect(
    act: Callable[[], None],
    defect: str,
    judge: Any,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    monkeypatch.setattr(judge, "SECONDS", {"inspect": 0.2})
    monkeypatch.setattr(cli, "inspect", lambda *_, **__: act())
    assert judge.judge("inspect", b"", 1, tmp_path).defect.startswith(defect)
