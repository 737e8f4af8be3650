# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""Many cases: a process for each core, started again where a case ended it, and what was found kept
in a folder, so that an interrupted campaign goes on where it was.

A *lane* is the cases that one process takes: its own number and every so many more.
"""

from __future__ import annotations

import gc
import json
import multiprocessing
import os
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

from tests.small import without_rtl

from .bases import bases
from .judge import MEMORY, SECONDS, case, judge, limit_memory, peak_bytes

_KEPT = 3
"""Cases of the same defect that are kept."""

_STUCK = 2.0
"""A case that takes so many times its seconds is ended from outside: it is in code that is not
Python, which no signal stops.
"""

_TELL = 1.0
_SPAWN = multiprocessing.get_context("spawn")


@dataclass(frozen=True)
class Plan:
    """What a campaign is: cases 0 to ``count`` of a seed, in ``lanes`` processes."""

    kind: str
    count: int
    seed: int
    lanes: int
    folder: Path
    models: Path | None


@dataclass
class Tally:
    """What was found so far.

    Attributes
    ----------
    ends : how often cases ended how
    defects : how often each
    next : the next case of each lane
    seconds : of processor time that all processes took
    """

    ends: Counter[str] = field(default_factory=Counter)
    defects: Counter[str] = field(default_factory=Counter)
    next: dict[int, int] = field(default_factory=dict)
    seconds: float = 0.0

    @property
    def cases(self) -> int:
        """How many were run."""
        return sum(self.ends.values())


def totals(folder: Path) -> dict[str, Any]:
    """What all campaigns found that were kept in a folder, by kind: seeds, cases, their ends and
    defects by name, seconds of processor time.
    """
    found: dict[str, Any] = {}
    for file in sorted(folder.glob("*-*.json")):
        kind, seed = file.stem.split("-", 1)
        kept: Mapping[str, Any] = json.loads(file.read_text("utf-8"))
        own = found.setdefault(
            kind, {"seeds": [], "cases": 0, "ends": {}, "defects": {}, "seconds": 0.0}
        )
        own["seeds"].append(int(seed))
        own["cases"] += sum(kept["ends"].values())
        for group in ("ends", "defects"):
            own[group] = dict((Counter(own[group]) + Counter(kept[group])).most_common())
        own["seconds"] = round(own["seconds"] + kept["seconds"], 3)
    return found


class Campaign:
    """Runs a plan."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.tally = Tally()
        self._file = plan.folder / f"{plan.kind}-{plan.seed}.json"
        self._resume()

    def run(self) -> Tally:
        """All cases that are not done yet. On Ctrl-C, what is done is kept."""
        self.plan.folder.mkdir(parents=True, exist_ok=True)
        lanes = [_Lane(self, index) for index in range(self.plan.lanes)]
        since = told = time.monotonic()
        done = self.tally.cases
        try:
            going = list(lanes)
            while going := [lane for lane in going if lane.alive()]:
                time.sleep(0.05)
                if (now := time.monotonic()) - told > _TELL:
                    told = now
                    self._save()
                    rate = (self.tally.cases - done) / (now - since)
                    self._say(f"{rate:.0f} a second", end="\r")
        finally:
            for lane in lanes:
                lane.stop()
            self._save()
            self._say(f"{time.monotonic() - since:.0f} s", end="\n")
        return self.tally

    def _say(self, rate: str, end: str) -> None:
        if end == "\n" or sys.stderr.isatty():
            found = f"{sum(self.tally.defects.values())} defects of {len(self.tally.defects)} kinds"
            line = f"{self.plan.kind} {self.tally.cases}/{self.plan.count}, {rate}, {found}"
            print(line, end=end, file=sys.stderr, flush=True)

    def _resume(self) -> None:
        plan = self.plan
        if not self._file.exists():
            self.tally.next = {lane: lane for lane in range(plan.lanes)}
            return
        kept: Mapping[str, Any] = json.loads(self._file.read_text("utf-8"))
        self.tally = Tally(
            Counter(kept["ends"]),
            Counter(kept["defects"]),
            {int(lane): number for lane, number in kept["next"].items()},
            kept["seconds"],
        )
        if len(self.tally.next) != plan.lanes:
            raise SystemExit(f"{self._file} was made with --jobs {len(self.tally.next)}")

    def _save(self) -> None:
        kept = {
            "ends": dict(self.tally.ends),
            "defects": dict(self.tally.defects),
            "next": self.tally.next,
            "seconds": round(self.tally.seconds, 3),
        }
        fresh = self._file.with_suffix(".part")
        fresh.write_text(json.dumps(kept, indent=1), "utf-8")
        fresh.replace(self._file)

    def found(self, number: int, defect: str, trace: str, raw: bytes) -> None:
        """Keep a failing case; what is needed to run it again stands beside it."""
        self.tally.defects[defect] += 1
        if self.tally.defects[defect] <= _KEPT:
            plan = self.plan
            stem = plan.folder / f"{plan.kind}-{plan.seed}-{number}"
            stem.with_suffix(".onnx").write_bytes(raw)
            again = f"python -m bench.fuzz --seed {plan.seed} --{plan.kind}-case {number}"
            stem.with_suffix(".txt").write_text(f"{again}\n{defect}\n{trace}\n", "utf-8")
            print(f"\n{defect}\n  {again}", file=sys.stderr, flush=True)


class _Lane:
    """A process, and another one where a case ended it."""

    def __init__(self, campaign: Campaign, index: int) -> None:
        self._campaign, self._index = campaign, index
        self._bases = bases(campaign.plan.models)
        self._at = _SPAWN.Value("q", -1)
        self._seen = (-1, 0.0)
        self._process: BaseProcess | None = None
        self._start()

    def _start(self) -> None:
        plan, first = self._campaign.plan, self._campaign.tally.next[self._index]
        if first >= plan.count:
            return
        self._at.value = first
        self._pipe, theirs = _SPAWN.Pipe(duplex=False)
        self._process = _SPAWN.Process(target=_work, args=(plan, first, theirs, self._at))
        self._process.start()
        theirs.close()
        self._seen = (-1, 0.0)

    def alive(self) -> bool:
        """Take what the process tells; whether there is more to come."""
        if self._process is None:
            return False
        number, used = int(self._at.value), _seconds_used(self._process)
        if number != self._seen[0]:
            self._seen = (number, used)
        elif used - self._seen[1] > _STUCK * SECONDS[self._campaign.plan.kind]:
            self._process.kill()
        if not self._listen():
            self._ended()
        return self._process is not None

    def _listen(self) -> bool:
        """Take what there is; whether there may be more."""
        try:
            while self._pipe.poll():
                self._take(self._pipe.recv())
        except EOFError:
            return False
        return True

    def _take(self, told: tuple[Any, ...]) -> None:
        tally = self._campaign.tally
        if told[0] == "defect":
            number, defect, trace = told[1:]
            self._campaign.found(number, defect, trace, self._model(number))
        else:
            tally.next[self._index] = told[1]
            tally.ends.update(told[2])
            tally.seconds += told[3]

    def _model(self, number: int) -> bytes:
        plan = self._campaign.plan
        return case(plan.kind, plan.seed, number, self._bases)[1]

    def _ended(self) -> None:
        """Go on behind the case that ended the process, if one did."""
        assert self._process is not None
        self._process.join()
        code, self._process = self._process.exitcode, None
        plan, tally = self._campaign.plan, self._campaign.tally
        if code:
            number = int(self._at.value)
            defect = f"the process ended with {code}" if code != -signal.SIGKILL else "stuck"
            self._campaign.found(number, defect, "", self._model(number))
            lost = (number - tally.next[self._index]) // plan.lanes
            tally.ends.update({"not told": lost, "ended": 1})
            tally.next[self._index] = number + plan.lanes
        self._start()

    def stop(self) -> None:
        """End the process, after its case."""
        if self._process is not None:
            self._process.terminate()
            self._process.join(5)
            self._process.kill()
            self._listen()
            self._process = None


def _seconds_used(process: BaseProcess) -> float:
    """Processor time of a process so far: what the clock says depends on what else is running."""
    try:
        fields = Path(f"/proc/{process.pid}/stat").read_text("ascii").rpartition(")")[2].split()
    except OSError:  # it has just ended
        return 0.0
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _work(plan: Plan, first: int, pipe: Connection, at: Any) -> None:
    """A lane's process."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent has it, too, and says when to end
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    os.environ["ORT_DISABLE_TELEMETRY"] = "1"
    models = bases(plan.models)
    # What was imported stays, and a case leaves little: looking for it each time takes a tenth.
    gc.freeze()
    gc.set_threshold(20_000, 20, 50)
    ends: Counter[str] = Counter()
    told, used = time.monotonic(), 0.0
    with ExitStack() as open_now:
        shm = Path("/dev/shm")
        place = open_now.enter_context(
            tempfile.TemporaryDirectory(prefix="fuzz-", dir=shm if shm.is_dir() else None)
        )
        open_now.enter_context(without_rtl())
        limit_memory()
        number = first
        while number < plan.count:
            at.value = number
            _, raw = case(plan.kind, plan.seed, number, models)
            verdict = judge(plan.kind, raw, number, Path(place))
            ends[verdict.end] += 1
            if verdict.defect:
                pipe.send(("defect", number, verdict.defect, verdict.trace))
            number += plan.lanes
            if time.monotonic() - told > _TELL:
                pipe.send(("done", number, dict(ends), time.process_time() - used))
                ends.clear()
                told, used = time.monotonic(), time.process_time()
            if peak_bytes() > MEMORY:
                at.value = number - plan.lanes
                pipe.send(("defect", number - plan.lanes, "more than 2 GB of memory", ""))
                break  # the peak of the next ones is not told from this one's
        pipe.send(("done", number, dict(ends), time.process_time() - used))
    pipe.close()
