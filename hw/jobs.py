# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""Runs compilers in parallel, and leaves no process behind whatever happens."""

from __future__ import annotations

import contextlib
import errno
import os
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from .errors import BuildError

SHOWN_LINES = 12
"""Lines of a failed program's output that an error quotes."""

SHOWN_COLUMNS = 400
"""Characters of such a line."""

_READ_BYTES = 1 << 20
"""Of the end of a failed program's output: where an error is looked for."""

_POLL_SECONDS = 0.02
_Running = tuple["Job", subprocess.Popen[bytes], IO[bytes]]


@dataclass(frozen=True)
class Job:
    """A program to run.

    Attributes
    ----------
    what : str
        What it does, for errors: "compiling x.cpp".
    command : sequence of str
        Program and arguments.
    environment : mapping, optional
        Its environment; ours by default.
    """

    what: str
    command: Sequence[str]
    environment: Mapping[str, str] | None = None


class StoppedError(Exception):
    """Jobs were given up because nobody wants them any more."""


def run_jobs(
    jobs: Sequence[Job],
    *,
    parallel: int | None = None,
    progress: Callable[[int], None] | None = None,
    stopped: Callable[[], bool] = lambda: False,
) -> None:
    """Run programs, some at a time.

    Each gets its own process group, what is left of which is killed when it ends and on any other
    way out, an interrupt included, and a folder of temporary files, which goes with it. All stay in
    our session, so that whoever has to kill us finds them.

    Parameters
    ----------
    jobs : sequence of Job
        Started in this order.
    parallel : int, optional
        How many at a time; by default as many as this process may use cores.
    progress : callable, optional
        Called with the number of jobs that have ended.
    stopped : callable, optional
        Asked again and again whether to give up: for jobs that run beside other work, in a thread
        that no interrupt reaches.

    Raises
    ------
    BuildError
        If one fails: quotes what it printed, from the first error on.
    StoppedError
        If ``stopped`` said so.
    """
    slots = parallel or len(os.sched_getaffinity(0))
    waiting = list(reversed(jobs))
    running: list[_Running] = []
    done = 0
    with contextlib.ExitStack() as files:
        # A compiler that is killed leaves its temporary files, and may still be writing one.
        folder = tempfile.TemporaryDirectory(prefix="midwire-", ignore_cleanup_errors=True)
        scratch = files.enter_context(folder)
        try:
            while waiting or running:
                while waiting and len(running) < slots:
                    output: IO[bytes] = files.enter_context(tempfile.TemporaryFile())
                    job = waiting.pop()
                    running.append((job, _start(job, output, scratch), output))
                time.sleep(_POLL_SECONDS)
                if stopped():
                    raise StoppedError
                for item in list(running):
                    job, process, output = item
                    if not _has_ended(process):
                        continue
                    status = _end(process)
                    running.remove(item)
                    if status != 0:
                        raise _failure(job, status, output)
                    output.close()
                    done += 1
                    if progress is not None:
                        progress(done)
        finally:
            for _, process, _ in running:
                _end(process)


def _start(job: Job, output: IO[bytes], scratch: str) -> subprocess.Popen[bytes]:
    try:
        return subprocess.Popen(
            job.command,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            env={**(os.environ if job.environment is None else job.environment), "TMPDIR": scratch},
            process_group=0,
        )
    except OSError as error:
        raise BuildError(
            f"{job.what} failed", found=f"{job.command[0]} did not start: {error}"
        ) from error


def _has_ended(process: subprocess.Popen[bytes]) -> bool:
    """Asked without taking its status: until then its number is that of its group alone."""
    return os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None


def _end(process: subprocess.Popen[bytes]) -> int:
    """Kill what is left of a program's group; the program's status."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    return process.wait()


def _failure(job: Job, status: int, output: IO[bytes]) -> BuildError:
    output.seek(max(0, output.seek(0, os.SEEK_END) - _READ_BYTES))
    lines = output.read().decode(errors="replace").strip().splitlines()
    # The first error explains; what follows it mostly follows from it. An assembler on a full disk
    # complains of itself first.
    signs = (os.strerror(errno.ENOSPC), "rror")
    first = next((i for sign in signs for i, line in enumerate(lines) if sign in line), 0)
    quoted = [_shortened(line) for line in lines[first : first + SHOWN_LINES]]
    shown = "\n".join(quoted) or "no output"
    ended = f"ended by signal {-status}" if status < 0 else f"ended with status {status}"
    program = Path(job.command[0]).name
    return BuildError(f"{job.what} failed: {program} {ended}", found=shown)


def _shortened(line: str) -> str:
    return line if len(line) <= SHOWN_COLUMNS else f"{line[:SHOWN_COLUMNS]} ..."
