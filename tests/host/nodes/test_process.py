# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""Child processes: what they say, and that nothing is left of them."""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

import pytest

from midwire.host.errors import StartError
from midwire.host.nodes.process import Child

from ..conftest import alive, wait_for_the_end_of

READY = 'print(\'{"event": "ready", "pid": %d}\' % pid, flush=True)'


def child(code: str) -> Child:
    return Child("child", [sys.executable, "-c", code])


def test_what_a_child_has_started_ends_with_it() -> None:
    # The inner process does not die of its parent's end, as a compiler's tool does not.
    inner = "import time; time.sleep(60)"
    code = (
        "import subprocess, sys, time\n"
        f"pid = subprocess.Popen([sys.executable, '-c', {inner!r}]).pid\n"
        f"{READY}\ntime.sleep(60)"
    )
    with child(code) as running:
        pids = running.pid, running.ready(30)["pid"]
    assert wait_for_the_end_of(*pids)


def test_a_child_that_will_not_end_is_killed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("midwire.host.nodes.process.STOP_SECONDS", 0.3)
    code = (
        "import os, signal, time\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
        f"pid = os.getpid()\n{READY}\ntime.sleep(60)"
    )
    with child(code) as running:
        running.ready(30)
    assert running.status == -9
    assert running.stop() == []  # stopping twice is no error


def test_compilers_of_a_child_that_is_killed_end_with_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each has a process group of its own, and a tool of its own: neither is told of the end."""
    monkeypatch.setattr("midwire.host.nodes.process.STOP_SECONDS", 0.3)
    sleep = [sys.executable, "-c", "import time; time.sleep(60)"]
    compiler = (
        "import os, subprocess, time\n"
        f"tool = subprocess.Popen({sleep!r})\n"
        f"with open({str(tmp_path / 'new')!r}, 'w') as file:\n"
        "    print(os.getpid(), tool.pid, file=file)\n"
        f"os.rename({str(tmp_path / 'new')!r}, {str(tmp_path / 'pids')!r})\n"
        "time.sleep(60)"
    )
    code = (
        "import signal, sys\nfrom midwire.hw.jobs import Job, run_jobs\n"
        "signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
        f"run_jobs([Job('compiling', [sys.executable, '-c', {compiler!r}])])"
    )
    with child(code) as running:
        until = time.monotonic() + 30
        while not (tmp_path / "pids").exists() and time.monotonic() < until:
            time.sleep(0.02)
        pids = [int(pid) for pid in (tmp_path / "pids").read_text().split()]
        assert all(map(alive, pids))
    assert running.status == -9
    assert wait_for_the_end_of(running.pid, *pids)


def test_silence_is_an_error() -> None:
    with child("import time; time.sleep(60)") as running, pytest.raises(StartError) as caught:
        running.ready(0.2)
    assert str(caught.value) == (
        "child: did not get ready in time; expected a ready line within 0.2 s; found it said "
        "nothing."
    )


def test_last_words_are_quoted() -> None:
    code = "import sys; sys.stderr.write('no\\nsuch luck\\n'); sys.exit(3)"

    def slow(line: str) -> None:  # whoever reads a child's last words may be behind its end
        time.sleep(0.2)

    with (
        Child("child", [sys.executable, "-c", code], slow) as running,
        pytest.raises(StartError) as caught,
    ):
        running.ready(30)
    assert str(caught.value) == (
        "child: did not start; expected a ready line; found its last words: no | such luck."
    )
    with child(code) as running:
        assert running.wait(30) == 3
        assert str(running.lost()) == (
            "child: ended although nobody had stopped it; expected a running process; found status "
            "3; its last words: no | such luck."
        )


def test_what_decides_is_kept_though_nobody_reads(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("midwire.host.nodes.process.MAX_UNREAD", 3)
    sent = [{"event": "ready"}, *({"event": "reply", "sample": i} for i in range(9))]
    last = [{"event": "done", "replies": 9}, {"error": {"message": "no"}}]
    code = "".join(f"print({json.dumps(event)!r})\n" for event in [*sent, *last])
    said: list[str] = []
    with Child("child", [sys.executable, "-c", code], said.append) as running:
        assert running.wait(30) == 0
        found = list(iter(running.events.get, None))
    assert found == [*sent[:3], *last, {"event": "dropped", "events": 7}]
    assert said == ["[child] 7 events were dropped: nobody read them in time"]


def test_a_program_that_is_not_there_is_said() -> None:
    with pytest.raises(StartError, match=r"^child: did not start; expected to run /no/where;"):
        Child("child", ["/no/where"])
