# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""A cloud and a NIC process that start, are watched and end together."""

from __future__ import annotations

import contextlib
import queue
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from ...hw.console import Console
from ..nodes.process import Child

READY_SECONDS = 60.0
"""For a process that only loads a model."""

BUILD_SECONDS = 3600.0
"""For the NIC, which may have to build its Verilated pipeline first."""


class Topology:
    """The nodes of one model, each a process, on this machine.

    Use as a context manager; on the way out every process is ended, the edge first.

    Parameters
    ----------
    bundle : what all nodes run
    console : takes the nodes' logs
    cloud, nic : command-line options of the nodes; without a NIC the edge talks to the cloud
    """

    def __init__(
        self,
        bundle: Path,
        console: Console,
        *,
        cloud: Sequence[str] = (),
        nic: Sequence[str] | None = (),
    ) -> None:
        self._bundle = bundle
        self._console = console
        self._options = {"cloud": cloud, "nic": nic}
        self._stack = contextlib.ExitStack()
        self.children: dict[str, Child] = {}
        self.nodes: dict[str, dict[str, Any]] = {}
        self.last_words: dict[str, dict[str, Any]] = {}

    @property
    def target(self) -> str:
        """The first hop, as HOST:PORT."""
        return str(self.nodes["nic" if "nic" in self.nodes else "cloud"]["listen"])

    def __enter__(self) -> Topology:
        try:
            self._start("cloud", [], READY_SECONDS)
            if self._options["nic"] is not None:
                self._start("nic", ["--next", self.nodes["cloud"]["listen"]], BUILD_SECONDS)
        except BaseException:
            self._stack.close()
            raise
        return self

    def __exit__(self, *details: object) -> None:
        self._stack.close()

    def _start(self, name: str, extra: Sequence[str], seconds: float) -> None:
        options = self._options[name] or ()
        child = self._launch(name, [name, str(self._bundle), *extra, *options])
        self.nodes[name] = child.ready(seconds)

    def _launch(self, name: str, arguments: Sequence[str]) -> Child:
        child = Child.midwire(name, arguments, self._console.say)
        self.children[name] = child
        self._stack.callback(self._stop, name)
        return child

    def _stop(self, name: str) -> None:
        child = self.children.pop(name, None)  # None: stopped before
        for event in child.stop() if child is not None else ():
            if event.get("event") in ("stopped", "done"):
                self.last_words[name] = event

    def stop(self, name: str) -> dict[str, Any]:
        """End one node; returns its last line."""
        self._stop(name)
        return self.last_words.get(name, {})

    def edge(self, options: Sequence[str]) -> Iterator[dict[str, Any]]:
        """Run an edge process to its end; yields its lines of JSON as they come.

        Raises
        ------
        StartError
            If the edge does not start.
        NodeLostError
            If another node ends meanwhile, or the edge ends without a summary.
        """
        arguments = ["edge", str(self._bundle), "--target", self.target, *options]
        child = self._launch("edge", arguments)
        self.nodes["edge"] = child.ready(READY_SECONDS)
        yield self.nodes["edge"]
        complete = False
        while True:
            try:
                event = child.events.get(timeout=0.25)
            except queue.Empty:
                self.check()
                continue
            if event is None:
                if not complete:
                    raise child.lost()
                self._stop("edge")
                return
            complete |= event.get("event") == "done"
            yield event

    def events(self) -> Iterator[tuple[str, dict[str, Any]]]:
        """What cloud and NIC have said since; name and event, without waiting."""
        for name, child in self.children.items():
            if name == "edge":
                continue
            with contextlib.suppress(queue.Empty):
                while (event := child.events.get_nowait()) is not None:
                    yield name, event
                child.events.put(None)  # the mark of the end stays

    def check(self) -> None:
        """See that every node still runs.

        Raises
        ------
        NodeLostError
            If one does not; says which, and its last words.
        """
        for name in self.nodes:
            child = self.children.get(name)
            if child is not None and name != "edge" and child.status is not None:
                raise child.lost()
