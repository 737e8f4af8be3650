# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""The processes of a topology: they start in order, are watched, and end together.

Nothing here polls: every line of a child, and its end, is news that wakes whoever waits.
"""

from __future__ import annotations

import contextlib
import queue
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from ...hw.console import Console
from .process import Child

READY_SECONDS = 60.0
"""For a process that only loads a model."""

BUILD_SECONDS = 3600.0
"""For the NIC, which may have to build its Verilated pipeline first."""


class Supervisor:
    """The nodes of one topology, each a process, on this machine.

    Use as a context manager; on the way out every process is ended, the edge first.

    Parameters
    ----------
    bundles : what the cloud serves; the edge runs the first
    console : takes the nodes' logs
    nic_bundles : whose slices the NIC executes, side by side; those of the cloud by default
    cloud, nic : command-line options of the nodes; without a NIC the edge talks to the cloud
    """

    def __init__(
        self,
        bundles: Sequence[Path],
        console: Console,
        *,
        nic_bundles: Sequence[Path] | None = None,
        cloud: Sequence[str] = (),
        nic: Sequence[str] | None = (),
    ) -> None:
        self._bundles = [str(bundle) for bundle in bundles]
        of_nic = bundles if nic_bundles is None else nic_bundles
        self._bundles_of = {"cloud": self._bundles, "nic": [str(bundle) for bundle in of_nic]}
        self._console = console
        self._options = {"cloud": cloud, "nic": nic}
        self._stack = contextlib.ExitStack()
        self._news = threading.Event()
        self.children: dict[str, Child] = {}
        self.nodes: dict[str, dict[str, Any]] = {}
        self.last_words: dict[str, dict[str, Any]] = {}

    @property
    def target(self) -> str:
        """The first hop, as HOST:PORT."""
        return str(self.nodes["nic" if "nic" in self.nodes else "cloud"]["listen"])

    def __enter__(self) -> Supervisor:
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
        child = self._launch(name, [name, *self._bundles_of[name], *extra, *options])
        self.nodes[name] = child.ready(seconds)

    def _launch(self, name: str, arguments: Sequence[str]) -> Child:
        child = Child.midwire(name, arguments, self._console.say, self._news.set)
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

    def edge(self, options: Sequence[str]) -> Iterator[tuple[str, dict[str, Any]]]:
        """Run an edge process to its end; yields node and event as they come, of all nodes.

        Raises
        ------
        StartError
            If the edge does not start.
        NodeLostError
            If another node ends meanwhile, or the edge ends without a summary.
        """
        arguments = ["edge", self._bundles[0], "--target", self.target, *options]
        child = self._launch("edge", arguments)
        self.nodes["edge"] = child.ready(READY_SECONDS)
        yield "edge", self.nodes["edge"]
        complete = False
        for name, event in self.events():
            if event is not None:
                complete |= name == "edge" and event.get("event") == "done"
                yield name, event
            elif not complete:
                raise child.lost()
            else:
                self._stop("edge")
                return

    def events(self) -> Iterator[tuple[str, dict[str, Any] | None]]:
        """Node and event as they come, without end; None is the end of the edge.

        Raises
        ------
        NodeLostError
            If another node ends by itself; says which, and its last words.
        """
        while True:
            self._news.clear()  # before the look: what comes during it wakes us again
            for name, child in list(self.children.items()):
                with contextlib.suppress(queue.Empty):
                    while True:
                        event = child.events.get_nowait()
                        if event is None and name != "edge":
                            raise child.lost()
                        yield name, event
            self._news.wait()
