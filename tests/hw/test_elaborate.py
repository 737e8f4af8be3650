# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""Verilog of descriptions: what is elaborated, what comes from the cache, and what an error and an
interrupt leave behind.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from midwire.hw import cache, elaborate
from midwire.hw.elaborate import PLACEHOLDER, Elaborator, renamed, verilog_of
from midwire.hw.errors import BuildError, ToolError
from midwire.hw.finish.base import Finisher
from midwire.hw.finish.direct import Direct
from midwire.hw.finish.multiply_shift import MultiplyShift
from midwire.hw.finish.separate import separated
from midwire.hw.jobs import Job, run_jobs
from midwire.hw.kernels.adapt import StreamFifo, StreamFork
from midwire.hw.kernels.base import Implementation, StreamPort
from midwire.hw.kernels.conv import ConvKernel
from midwire.hw.kernels.geometry import Geometry
from midwire.hw.kernels.pads import without_pad
from midwire.hw.kernels.program import canonical
from midwire.hw.nic.shape import NicShape, SliceShape, WireTensor
from midwire.hw.numeric import IntType
from midwire.hw.remembered import files

PORT = StreamPort(IntType(8, True), 2, 6)
SHELL = NicShape((SliceShape((WireTensor(1, 4),), (WireTensor(1, 4),)),))
FIFO, DEEPER, FORK = StreamFifo(PORT, 3), StreamFifo(PORT, 4), StreamFork(PORT, 2)


def conv(finisher: Finisher | None = None) -> Implementation:
    """A layer with a memory and modules inside."""
    weights = np.arange(1, 7).reshape(2, 1, 1, 3)
    kernel = ConvKernel(Geometry((2, 2)), 3, IntType(4, True), weights, False, 0)
    built = kernel.implementations([finisher or Direct(2, -120, 105)], [IntType(9, True)])
    return next(each for each in built if each.strategy == "folded")


def shifter(factor: int) -> MultiplyShift:
    """Scales and offsets of two channels."""
    multiplier, offset = np.array([[factor], [factor + 1]]), np.array([factor, 0])
    ends = np.array([-120, -120]), np.array([105, 105])
    return MultiplyShift(multiplier, offset, 3, 0, 0, *ends)


class Watch:
    """What the workers are asked for; ``run`` does what :func:`run_jobs` does, or less."""

    def __init__(self, run: Callable[..., None] = run_jobs) -> None:
        self.run = run
        self.asked: list[str] = []
        self.jobs: list[Job] = []

    def __call__(self, jobs: Sequence[Job], **options: Any) -> None:
        for job in jobs:
            self.asked += json.loads(Path(job.command[-2]).read_text())
        self.jobs += jobs
        self.run(jobs, **options)


def refuse(jobs: object, **options: object) -> None:
    raise AssertionError("nothing is left to elaborate")


@dataclass(frozen=True)
class Elaborated:
    """A cache, and what came of filling it."""

    folder: Path
    texts: dict[Any, str]
    asked: list[str]
    steps: list[tuple[int, int]]


@pytest.fixture(scope="module")
def elaborated(tmp_path_factory: pytest.TempPathFactory) -> Elaborated:
    """Four descriptions of which two are equal, and a layer, with two cores."""
    folder = tmp_path_factory.mktemp("elaborated")
    steps: list[tuple[int, int]] = []
    wanted = [FIFO, FORK, conv(), DEEPER, StreamFifo(PORT, 3)]
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(folder))
        patch.setattr(os, "sched_getaffinity", lambda pid: {0, 1})
        watch = Watch()
        patch.setattr(elaborate, "run_jobs", watch)
        texts = verilog_of(wanted, lambda done, total: steps.append((done, total)))
    assert texts[0] == texts[4]
    return Elaborated(folder, dict(zip(wanted, texts, strict=True)), watch.asked, steps)


@pytest.fixture
def warm(elaborated: Elaborated, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Elaborated:
    """The same in a cache of one's own."""
    shutil.copytree(elaborated.folder, tmp_path, dirs_exist_ok=True)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    return replace(elaborated, folder=tmp_path)


@pytest.fixture
def empty(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache with nothing in it, and two cores."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: {0, 1})
    return tmp_path


def modules(verilog: str) -> list[str]:
    return re.findall(r"^module \\?([^\s(]+)", verilog, re.M)


def test_what_differs_is_elaborated_once_each(elaborated: Elaborated) -> None:
    texts = elaborated.texts
    assert len(set(texts.values())) == len(texts) == 4
    for text in texts.values():
        assert modules(text)[0] == PLACEHOLDER
        assert "(* src" not in text and ".py" not in text
    assert sorted(elaborated.asked) == sorted(canonical(without_pad(each)[0]) for each in texts)
    assert elaborated.steps == [(1, 1)]


def test_processes_are_started_where_they_are_worth_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """A few small components share one; more are shared out by effort."""
    asked: list[list[list[str]]] = []

    def note(shares: list[list[str]], *_: Any) -> dict[str, dict[str, str]]:
        asked.append(shares)
        return {}

    monkeypatch.setattr(elaborate, "_elaborated_in", note)
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0, 1})
    for efforts in ({"a": 5.0, "b": 4.0}, {"a": 28.0, "b": 9.0, "c": 9.0, "d": 11.0}):
        elaborate._elaborated(efforts, None, lambda: False)
    assert asked == [[["a", "b"]], [["a"], ["d", "b", "c"]]]


def test_what_was_elaborated_needs_no_worker(
    warm: Elaborated, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(elaborate, "run_jobs", refuse)
    wanted = [FORK, FIFO, conv(), FORK]
    assert verilog_of(wanted) == [warm.texts[each] for each in wanted]
    assert verilog_of([]) == []


def test_a_change_of_one_layer_elaborates_that_layer(
    warm: Elaborated, monkeypatch: pytest.MonkeyPatch
) -> None:
    watch = Watch()
    monkeypatch.setattr(elaborate, "run_jobs", watch)
    changed = StreamFifo(PORT, 5)
    texts = verilog_of([FORK, changed, conv()])
    assert watch.asked == [canonical(changed)]
    assert [texts[0], texts[2]] == [warm.texts[FORK], warm.texts[conv()]]
    assert texts[1] not in warm.texts.values()


def test_a_change_of_scales_elaborates_the_finisher(
    warm: Elaborated, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is a module of its own; the layer around it is the same, and that of equal shapes too."""
    watch = Watch()
    monkeypatch.setattr(elaborate, "run_jobs", watch)
    before, *rescaled = (conv(shifter(scale)) for scale in (3, 4, 5))
    own, finishers = separated(without_pad(before)[0])
    verilog_of([before])
    assert sorted(watch.asked) == sorted(map(canonical, [own, finishers[0]]))
    del watch.asked[:]
    texts = verilog_of(rescaled)
    assert sorted(watch.asked) == sorted(canonical(separated(one)[1][0]) for one in rescaled)
    for text in texts:
        assert modules(text)[0] == PLACEHOLDER
        assert modules(text).count(f"{PLACEHOLDER}_finish") == 1
        assert f"{PLACEHOLDER}_finish unit (" in text
        assert f'"{PLACEHOLDER}_finish.hex"' in text
    names = [set(modules(renamed(text, f"n{k}_conv"))) for k, text in enumerate(texts)]
    assert not names[0] & names[1]


def test_the_text_does_not_depend_on_what_is_elaborated_beside_it(
    elaborated: Elaborated, empty: Path
) -> None:
    assert verilog_of([conv()]) == [elaborated.texts[conv()]]
    assert len(list(empty.rglob("content"))) == 2, "its Verilog and its netlist"


def test_other_sources_make_other_verilog(
    warm: Elaborated, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The key has the sources of the components: an update of midwire elaborates all anew."""

    class Asked(Exception):
        pass

    def stop(jobs: object, **options: object) -> None:
        raise Asked

    watch = Watch(stop)
    monkeypatch.setattr(elaborate, "run_jobs", watch)
    monkeypatch.setattr(elaborate, "_own", lambda: "another version")
    with pytest.raises(Asked):
        verilog_of([FIFO])
    assert watch.asked == [canonical(FIFO)]
    assert warm.texts


LOADED = """
import json, sys
import midwire.hw.datapath.worker, midwire.hw.nic.top
files = [module.__file__ for name, module in sys.modules.items() if name.startswith("midwire.hw.")]
print(json.dumps(files))
"""


def test_the_key_has_all_that_a_worker_loads() -> None:
    run = subprocess.run([sys.executable, "-c", LOADED], check=True, capture_output=True)
    loaded = {Path(file).resolve() for file in json.loads(run.stdout)}
    # Those that run a worker, and what they say when it fails, do not decide what it writes.
    around = {"cache.py", "errors.py", "jobs.py", "remembered.py"}
    assert {path.name for path in loaded - set(files())} == around


def test_sources_that_change_meanwhile_leave_nothing(
    empty: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A worker loads them anew: its Verilog would lie under the key of others."""

    def edit(jobs: Sequence[Job], **options: object) -> None:
        for job in jobs:
            Path(job.command[-1]).write_text(json.dumps([["module MW_INSTANCE();", "{}"]]))
        monkeypatch.setattr(elaborate, "_own_now", lambda: "edited")

    monkeypatch.setattr(elaborate, "run_jobs", edit)
    with pytest.raises(ToolError) as error:
        verilog_of([FIFO])
    assert str(error.value) == (
        f"{Path(elaborate.__file__).resolve().parent}: midwire was changed while it ran; expected "
        "the sources and the Amaranth that this process began with; found others. Run it again."
    )
    assert not list(empty.rglob("content"))


def test_another_yosys_on_the_path_is_not_asked(
    elaborated: Elaborated, empty: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The key names the one that comes with Amaranth, so the Verilog is that one's."""
    yosys = empty / "yosys"
    yosys.write_text('#!/bin/sh\necho "Yosys 0.99"\n')
    yosys.chmod(0o755)
    monkeypatch.setenv("PATH", str(empty), prepend=os.pathsep)
    monkeypatch.setenv("AMARANTH_USE_YOSYS", "system")
    assert verilog_of([FIFO]) == [elaborated.texts[FIFO]]


def test_workers_take_turns_only_until_yosys_is_compiled(warm: Elaborated) -> None:
    """Its first run on a machine compiles it; all later ones are side by side."""
    (lock,) = (warm.folder / "midwire" / "elaborated").glob("yosys*.lock")
    end = time.monotonic() + 60
    with cache.locked(lock):
        verilog_of([StreamFifo(PORT, 7)], stopped=lambda: time.monotonic() > end)


def test_yosys_is_compiled_from_the_start(empty: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By a worker that has nothing else to do, and what it comes to is told by the others."""

    def fail(jobs: Sequence[Job], **options: object) -> None:
        raise BuildError("no room")

    watch = Watch(fail)
    monkeypatch.setattr(elaborate, "run_jobs", watch)
    with Elaborator() as elaborator:
        elaborator.prepare()
    assert len(watch.jobs) == 1 and watch.asked == []


def test_yosys_is_compiled_once(warm: Elaborated, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(elaborate, "_elaborated_in", refuse)
    with Elaborator() as elaborator:
        elaborator.prepare()
        assert elaborator.verilog_of([FIFO]) == [warm.texts[FIFO]]
    assert elaborate.yosys_entry().is_dir()


def test_instances_share_no_name(elaborated: Elaborated) -> None:
    """Modules and memory images carry the instance's name; the memory itself is one for all."""
    text = elaborated.texts[conv()]
    names = modules(text)
    assert len(names) > 3
    assert all(name.startswith(PLACEHOLDER) for name in names)
    mine, other = renamed(text, "n0_conv"), renamed(text, "n1_conv")
    assert not set(modules(mine)) & set(modules(other))
    assert '"n0_conv_weights.hex"' in mine and PLACEHOLDER not in mine
    assert "mw_rom #(" in mine and "mw_rom" not in names


def test_an_elaboration_that_fails_says_why(empty: Path) -> None:
    """What is shown is the error and the description; nothing is cached of what failed."""
    with pytest.raises(BuildError) as caught:
        verilog_of([StreamFifo(PORT, 0)])
    said = str(caught.value)
    assert re.match(
        r"elaborating the hardware failed: python[\d.]* ended with status 1; found ", said
    )
    assert "ValueError: a FIFO needs a depth of at least 1, not 0" in said
    assert f"while elaborating {canonical(StreamFifo(PORT, 0))}" in said
    assert not list(empty.rglob("content"))


def test_a_cache_that_cannot_be_written_is_said_before_the_work(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    with pytest.raises(ToolError, match="elaborated: the build cache cannot be written"):
        verilog_of([StreamFifo(PORT, 2)])


def test_an_interrupt_leaves_no_process(empty: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One worker is done, the other has the NIC shell, which takes seconds."""
    watch = Watch()
    monkeypatch.setattr(elaborate, "run_jobs", watch)
    running: list[int] = []

    def interrupt(done: int, total: int) -> None:
        assert (done, total) == (1, 2)
        running.extend(_in_groups_of(watch.jobs))
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        verilog_of([SHELL, FIFO], interrupt)
    assert running
    # A killed process that was a worker's child is gone as soon as the system looks at it.
    while set(running) & {each.number for each in _processes()}:
        time.sleep(0.01)
    assert not list(empty.rglob("content"))


def test_it_goes_on_beside_other_work(warm: Elaborated, monkeypatch: pytest.MonkeyPatch) -> None:
    """What was started is not asked for again, whoever is first."""
    watch = Watch()
    monkeypatch.setattr(elaborate, "run_jobs", watch)
    changed = StreamFifo(PORT, 6)
    with Elaborator() as elaborator:
        elaborator.start([changed, FORK])
        elaborator.start([FIFO])
        texts = elaborator.verilog_of([FORK, changed])
    assert texts[0] == warm.texts[FORK] and modules(texts[1])[0] == PLACEHOLDER
    assert watch.asked == [canonical(changed)]


def test_what_two_ask_for_is_begun_once(warm: Elaborated, monkeypatch: pytest.MonkeyPatch) -> None:
    """Both would miss it in the cache, and elaborate it."""
    begun: list[str] = []
    contents = elaborate._contents

    def note(wanted: Mapping[str, Any], *args: Any, **options: Any) -> dict[str, str]:
        begun.extend(wanted)
        return contents(wanted, *args, **options)

    monkeypatch.setattr(elaborate, "_contents", note)
    with Elaborator() as elaborator:
        elaborator.start([FIFO, FORK, FIFO])
        elaborator.start([FORK, DEEPER, FIFO])
        elaborator.start([FIFO])
        elaborator._pool.shutdown()
    assert sorted(begun) == sorted(map(canonical, [FIFO, FORK, DEEPER]))
    assert warm.texts


def test_who_leaves_early_leaves_no_process(empty: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An error of other work ends what goes on beside it."""
    watch = Watch()
    monkeypatch.setattr(elaborate, "run_jobs", watch)
    with pytest.raises(ZeroDivisionError), Elaborator() as elaborator:
        elaborator.start([SHELL])
        while not (running := _in_groups_of(watch.jobs)):
            time.sleep(0.01)
        raise ZeroDivisionError
    while set(running) & {each.number for each in _processes()}:
        time.sleep(0.01)
    assert not list(empty.rglob("content"))


def test_what_nobody_wants_any_more_is_given_up(
    empty: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing waits for it, and its process ends; what is started then is made."""
    watch = Watch()
    monkeypatch.setattr(elaborate, "run_jobs", watch)
    with Elaborator() as elaborator:
        elaborator.start([SHELL, StreamFifo(PORT, 0)])
        while not (running := _in_groups_of(watch.jobs)):
            time.sleep(0.01)
        elaborator.forget()
        while set(running) & {each.number for each in _processes()}:
            time.sleep(0.01)
        elaborator.start([FIFO])
        (text,) = elaborator.verilog_of([FIFO])
        assert modules(text)[0] == PLACEHOLDER and not elaborator.stopped()


def test_what_fails_beside_is_told(empty: Path) -> None:
    with Elaborator() as elaborator:
        elaborator.start([StreamFifo(PORT, 0)])
        with pytest.raises(BuildError, match="a FIFO needs a depth of at least 1, not 0"):
            elaborator.verilog_of([FIFO])
    assert not list(empty.rglob("content"))


@dataclass(frozen=True)
class Process:
    number: int
    words: list[str]
    group: int


def _in_groups_of(jobs: Sequence[Job]) -> list[int]:
    """Every process in the groups of the jobs."""
    every = _processes()
    groups = {each.group for each in every if any(job.command[-1] in each.words for job in jobs)}
    assert os.getpgid(0) not in groups
    return [each.number for each in every if each.group in groups]


def _processes() -> list[Process]:
    """All that run; not those that ended, and that nobody has asked for."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):  # it ended in between
            words = (folder / "cmdline").read_bytes().decode(errors="replace").split("\0")
            state = (folder / "stat").read_text().rpartition(")")[2].split()[0]
            if state != "Z":
                number = int(folder.name)
                found.append(Process(number, words, os.getpgid(number)))
    return found


PROGRAM = """
import json, pathlib, sys
from midwire.hw import cache, elaborate
from midwire.hw.kernels.adapt import StreamFifo
from midwire.hw.kernels.base import StreamPort
from midwire.hw.numeric import IntType

def pretend(jobs, **options):
    for job in jobs:
        pathlib.Path(job.command[-1]).write_text(json.dumps([["module MW_INSTANCE();", "{}"]]))

elaborate.run_jobs = pretend
(text,) = elaborate.verilog_of([StreamFifo(StreamPort(IntType(3, False), 1, 5), 2)])
assert text == "module MW_INSTANCE();"
sys.exit("amaranth" in sys.modules)
"""


def test_amaranth_is_loaded_by_workers_only(empty: Path) -> None:
    done = subprocess.run([sys.executable, "-c", PROGRAM], check=False)
    assert done.returncode == 0
    assert len(list(empty.rglob("content"))) == 2, "its Verilog and its netlist"


def test_other_work_beside_is_asked_to_give_up() -> None:
    def work() -> str:
        while not elaborator.stopped():
            time.sleep(0.01)
        return "given up"

    with Elaborator() as elaborator:
        working = elaborator.beside(work)
        assert not working.done()
    assert working.result() == "given up"
