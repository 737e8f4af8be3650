# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""Programs run side by side: what they leave behind, and how their failures look."""

from __future__ import annotations

import contextlib
import sys
import tempfile
import time
from pathlib import Path

import pytest

from midwire.hw.errors import BuildError
from midwire.hw.jobs import Job, run_jobs

LITTERS = "import os, tempfile, sys; os.close(tempfile.mkstemp()[0]); print('left'); sys.exit(3)"


@pytest.fixture
def scratch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where temporary files go."""
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr(tempfile, "tempdir", None)
    return tmp_path


def test_temporary_files_of_a_job_go_with_it(scratch: Path) -> None:
    with pytest.raises(BuildError, match=r"littering failed: python[\d.]* ended with status 3; .*"):
        run_jobs([Job("littering", [sys.executable, "-c", LITTERS])])
    assert list(scratch.iterdir()) == []


def test_a_full_disk_comes_before_what_follows_from_it(scratch: Path) -> None:
    """As an assembler on a full disk: complaints of itself, then the reason."""
    full = "print('as: assertion fail\\n' * 20 + 'as: x.o: No space left on device'); exit(1)"
    with pytest.raises(BuildError, match=r"found as: x\.o: No space left on device"):
        run_jobs([Job("compiling", [sys.executable, "-c", full])])


def test_long_output_is_quoted_in_part(scratch: Path) -> None:
    """The description of a large layer, say, is a line of megabytes."""
    long = "print('warning ' * 1_000_000); print('error: ' + 'x' * 1_000_000); exit(1)"
    with pytest.raises(BuildError, match=r"found error: x{393} \.\.\.\.$"):
        run_jobs([Job("compiling", [sys.executable, "-c", long])])


def runs(pid: str) -> bool:
    """Whether a process is there, and more than a status that nobody has asked for."""
    with contextlib.suppress(OSError):
        return Path("/proc", pid, "stat").read_text().rpartition(")")[2].split()[0] != "Z"
    return False


@pytest.mark.parametrize("status", [0, 1])
def test_what_a_job_started_ends_with_it(scratch: Path, status: int) -> None:
    """A compiler's driver that was killed leaves the compiler itself, for one."""
    leaves = (
        "import pathlib, subprocess, sys\n"
        "child = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(60)'])\n"
        f"pathlib.Path({str(scratch)!r}, 'pid').write_text(str(child.pid))\n"
        f"sys.exit({status})\n"
    )
    with pytest.raises(BuildError) if status else contextlib.nullcontext():
        run_jobs([Job("leaving", [sys.executable, "-c", leaves])])
    pid, until = (scratch / "pid").read_text(), time.monotonic() + 20
    while runs(pid) and time.monotonic() < until:
        time.sleep(0.01)
    assert not runs(pid)


def test_an_interrupt_leaves_no_files_and_no_process(scratch: Path) -> None:
    waits = (
        "import os, pathlib, tempfile, time\n"
        "handle, name = tempfile.mkstemp()\n"
        f"pathlib.Path({str(scratch)!r}, 'pid').write_text(str(os.getpid()))\n"
        "time.sleep(600)\n"
    )

    def interrupt(done: int) -> None:
        while not (scratch / "pid").exists() or not (scratch / "pid").read_text():
            time.sleep(0.01)
        raise KeyboardInterrupt

    jobs = [
        Job("waiting", [sys.executable, "-c", waits]),
        Job("ending", [sys.executable, "-c", ""]),
    ]
    with pytest.raises(KeyboardInterrupt):
        run_jobs(jobs, parallel=2, progress=interrupt)
    pid = (scratch / "pid").read_text()
    assert not Path("/proc", pid).exists()
    assert [path.name for path in scratch.iterdir()] == ["pid"]
