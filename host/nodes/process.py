# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""Child processes that say when they are ready, and never outlive their parent.

A child is a ``midwire`` command with ``--json``: it writes one JSON object a line, the ready line
first. It runs in a session of its own, so Ctrl-C in the terminal reaches the parent only, which
then stops its children in order; should the parent be killed, the kernel (or, where it cannot, a
watching thread) tells the child.
"""

from __future__ import annotations

import collections
import contextlib
import ctypes
import json
import os
import queue
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

from ..errors import NodeLostError, StartError

PARENT_VARIABLE = "MIDWIRE_PARENT"
"""Process id of the parent that a command must not outlive."""

STOP_SECONDS = 5.0
"""How long a child gets to end by itself."""

MAX_UNREAD = 100_000
"""Events of a child that wait for their reader; of those that come again and again, more are only
counted.
"""

MAX_LINE = 1 << 20
_KEPT_LINES = 12
_PR_SET_PDEATHSIG = 1


def die_with_parent() -> None:
    """Do what ``MIDWIRE_PARENT`` asks, if it is set: end this process when that one ends."""
    text = os.environ.pop(PARENT_VARIABLE, "")
    if not text.isdecimal():
        return
    parent = int(text)
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)
    else:
        threading.Thread(target=_watch, args=(parent,), daemon=True).start()
    if os.getppid() != parent:  # it ended before we asked
        sys.exit(0)


def _watch(parent: int) -> None:
    # Our standard input is a pipe from it: its end is that of whoever holds the other side.
    while os.getppid() == parent and os.read(0, 4096):
        pass
    os.kill(os.getpid(), signal.SIGTERM)


def _kill_session(session: int) -> None:
    """Kill every process of a session, whatever its group: compilers have groups of their own."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(session, signal.SIGKILL)  # also where there is no /proc
    killed: set[int] = set()
    while found := {pid for pid in _processes() if pid not in killed and _is_of(pid, session)}:
        for pid in found:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        killed |= found  # again, for what they have started meanwhile


def _processes() -> list[int]:
    return [int(path.name) for path in Path("/proc").glob("[0-9]*")]


def _is_of(pid: int, session: int) -> bool:
    try:
        return os.getsid(pid) == session
    except OSError:
        return False


class Child:
    """A running child process.

    Parameters
    ----------
    name : prefix of its log lines
    command : program and arguments
    log : takes each line of its standard error, prefixed
    pass_fds : descriptors that it inherits, under the same numbers
    news : called, from a thread, after each event and at the end
    """

    def __init__(
        self,
        name: str,
        command: Sequence[str],
        log: Callable[[str], None] | None = None,
        *,
        pass_fds: Sequence[int] = (),
        news: Callable[[], None] | None = None,
    ) -> None:
        self.name = name
        self._news = news
        self.events: queue.Queue[dict[str, Any] | None] = queue.Queue()  # see _keep
        self._log = log
        self._tail: collections.deque[str] = collections.deque(maxlen=_KEPT_LINES)
        try:
            self._process = subprocess.Popen(
                list(command),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
                errors="replace",
                env={**os.environ, PARENT_VARIABLE: str(os.getpid())},
                start_new_session=True,
                pass_fds=pass_fds,
            )
        except OSError as error:
            raise StartError(
                "did not start", where=name, expected=f"to run {command[0]}", found=str(error)
            ) from error
        self._threads = [
            threading.Thread(target=target, daemon=True) for target in (self._events, self._errors)
        ]
        for thread in self._threads:
            thread.start()

    @classmethod
    def midwire(
        cls,
        name: str,
        arguments: Sequence[str],
        log: Callable[[str], None] | None = None,
        news: Callable[[], None] | None = None,
    ) -> Child:
        """Start a ``midwire`` command with ``--json``."""
        command = [sys.executable, "-m", "midwire.host.cli", *arguments, "--json"]
        return cls(name, command, log, news=news)

    @property
    def pid(self) -> int:
        """Process id."""
        return self._process.pid

    @property
    def status(self) -> int | None:
        """Exit status; None while it runs."""
        return self._process.poll()

    def ready(self, timeout: float) -> dict[str, Any]:
        """Wait for the ready line.

        Raises
        ------
        StartError
            If the child ends or says something else first, or says nothing in time.
        """
        deadline = time.monotonic() + timeout
        try:
            event = self.events.get(timeout=max(0.0, deadline - time.monotonic()))
        except queue.Empty:
            raise StartError(
                "did not get ready in time",
                where=self.name,
                expected=f"a ready line within {timeout:g} s",
                found=self._said(),
            ) from None
        if event is not None and event.get("event") == "ready":
            return event
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.wait(STOP_SECONDS)  # until its last words are read, too
        if event is not None and "error" in event:
            found = str(event["error"].get("message", "an error without a message")).rstrip(".")
        else:
            found = self._said()
        raise StartError("did not start", where=self.name, expected="a ready line", found=found)

    def lost(self) -> NodeLostError:
        """The error for a child that has ended although nobody had stopped it."""
        status = self.wait()  # until its last words are read, too
        ended = f"signal {signal.Signals(-status).name}" if status < 0 else f"status {status}"
        return NodeLostError(
            "ended although nobody had stopped it",
            where=self.name,
            expected="a running process",
            found=f"{ended}; {self._said()}",
        )

    def tell(self, line: str) -> None:
        """Write a line to its standard input; a child that has gone is no error."""
        assert self._process.stdin is not None
        with contextlib.suppress(OSError, ValueError):
            self._process.stdin.write(line + "\n")
            self._process.stdin.flush()

    def wait(self, timeout: float | None = None) -> int:
        """Wait for the end; returns the exit status."""
        status = self._process.wait(timeout)
        for thread in self._threads:
            thread.join(STOP_SECONDS)
        return status

    def stop(self) -> list[dict[str, Any]]:
        """End the child, by force if it takes too long; returns the events not yet taken."""
        if self._process.poll() is None:
            self._process.terminate()
            self._await_end(STOP_SECONDS)
            # Its session is its own, so this reaches it and what it has left behind (a compiler's
            # tool, say), and nobody else: until it is reaped, its number cannot be given away.
            _kill_session(self._process.pid)
        try:
            self.wait()
        finally:
            for stream in (self._process.stdin, self._process.stdout, self._process.stderr):
                with contextlib.suppress(OSError, ValueError):
                    if stream is not None:
                        stream.close()
        left = []
        with contextlib.suppress(queue.Empty):
            while True:
                event = self.events.get_nowait()
                if event is not None:
                    left.append(event)
        return left

    def __enter__(self) -> Child:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    def _await_end(self, timeout: float) -> None:
        """Wait until it has ended, without reaping it."""

        def wait() -> None:
            with contextlib.suppress(ChildProcessError):  # it was killed and reaped after all
                os.waitid(os.P_PID, self._process.pid, os.WEXITED | os.WNOWAIT)

        waiter = threading.Thread(target=wait, daemon=True)
        waiter.start()
        waiter.join(timeout)

    def _said(self) -> str:
        lines = [line for line in self._tail if line]
        return f"its last words: {' | '.join(lines[-3:])}" if lines else "it said nothing"

    def _events(self) -> None:
        assert self._process.stdout is not None
        dropped = 0
        with contextlib.suppress(ValueError, OSError):  # closed under us by stop()
            while line := self._process.stdout.readline(MAX_LINE):
                try:
                    event = json.loads(line)
                except ValueError:
                    event = {"event": "text", "text": line.rstrip()}
                if isinstance(event, dict):
                    dropped += not self._keep(event)
                    self._tell_news()
        if dropped:
            self.events.put({"event": "dropped", "events": dropped})
            if self._log is not None:
                self._log(f"[{self.name}] {dropped} events were dropped: nobody read them in time")
        self.events.put(None)
        self._tell_news()

    def _keep(self, event: dict[str, Any]) -> bool:
        """Let an event wait for its reader; False if too many do."""
        # What decides comes once: a result and an error are no events, and have no such name.
        decides = event.get("event") in (None, "ready", "done", "stopped")
        if self.events.qsize() >= (2 * MAX_UNREAD if decides else MAX_UNREAD):
            return False
        self.events.put(event)
        return True

    def _tell_news(self) -> None:
        if self._news is not None:
            self._news()

    def _errors(self) -> None:
        assert self._process.stderr is not None
        with contextlib.suppress(ValueError, OSError):
            while line := self._process.stderr.readline(MAX_LINE):
                text = line.rstrip()
                self._tail.append(text)
                if self._log is not None:
                    self._log(f"[{self.name}] {text}")
