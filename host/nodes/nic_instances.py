# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""Several instances of a pipeline behind one UDP address, each a process.

Rules, cited by tests as N1 to N5:

N1. All that a client sends goes to one instance, so that fragments of a request meet: the kernel
    chooses by a hash of both addresses and ports among the sockets that share the address
    (SO_REUSEPORT). It holds as long as they are the same sockets, so all are bound before any is
    read, and what came in between is thrown away, as if it had come before the first.
N2. An address has one NIC: the first socket takes it for itself, and shares it then.
N3. Where one instance ends by itself, the others end with it. The kernel would give other
    instances to clients of those that are left, and nobody would learn that one has gone.
N4. What they count is added up; beside it stands what each has counted.
N5. Each knows its own flows only: whoever forges the source of another one's is taken for a client.
    Nothing goes round for that: what such a client is sent comes from the NIC's address, which the
    flow's socket takes nothing from (G1 of ``cpp/admission.h``).
"""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from ...hw.console import Console
from ..control.register_buses import RegisterBuses
from ..errors import StartError
from ..wire.udp import Address, format_address, is_ipv6, parse_address
from .nic_process import Bundles, NicLauncher, NicProcess, UdpWire, configure

MOST_UNREAD = 1024
"""Datagrams of N1 that are looked for: more than the buffer of a new socket holds."""


def shared_sockets(listen: Address, count: int) -> list[socket.socket]:
    """UDP sockets, bound to one address that nobody else has (N1, N2); port 0 is any free one.

    Raises
    ------
    StartError
        If the address cannot be had.
    """
    with contextlib.ExitStack() as undo:
        found: list[socket.socket] = []
        family = socket.AF_INET6 if is_ipv6(listen) else socket.AF_INET
        for number in range(count):
            new = undo.enter_context(socket.socket(family, socket.SOCK_DGRAM))
            try:
                if number:
                    new.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
                new.bind(found[0].getsockname() if found else listen)
                new.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
            except OSError as error:
                raise StartError(
                    f"cannot be shared by {count} instances",
                    where=format_address(listen),
                    expected="an address of this machine and a free port",
                    found=error.strerror or str(error),
                    remedy="Choose another address or port; port 0 is any free one",
                ) from error
            found.append(new)
        for each in found:
            throw_away(each)
        undo.pop_all()
    return found


def throw_away(unread: socket.socket) -> None:
    """Read what has come to a new socket (N1); a flood is not waited out."""
    with contextlib.suppress(BlockingIOError):
        for _ in range(MOST_UNREAD):
            unread.recv(1, socket.MSG_DONTWAIT)


def summed(parts: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Counters of all added up, also those in tables; what else there is, as in the first."""
    total = dict(parts[0])
    for name, value in total.items():
        others = [part[name] for part in parts if name in part]
        if isinstance(value, int):
            total[name] = sum(others)
        elif isinstance(value, Mapping):
            total[name] = summed(others)
    return total


class NicInstances:
    """Running packet loops that share an address. Use as a context manager.

    Parameters
    ----------
    launcher : starts them
    listen : the address
    count : how many
    control : path at which others reach the registers of the first, with ``.0`` behind it; of the
        second, with ``.1``; and so on

    Attributes
    ----------
    about : their ready line; it has ``pids``
    bus : registers of all
    """

    def __init__(
        self, launcher: NicLauncher, listen: Address, count: int, control: Path | None = None
    ) -> None:
        self._news = threading.Event()
        self._instances: list[NicProcess] = []
        with contextlib.ExitStack() as undo:
            listeners = [undo.enter_context(each) for each in shared_sockets(listen, count)]
            for number, listener in enumerate(listeners):
                nic = launcher.launch(
                    name=f"instance {number} of {count}",
                    listener=listener,
                    control=None if control is None else Path(f"{control}.{number}"),
                    news=self._news.set,
                )
                self._instances.append(undo.enter_context(nic))
                listener.close()  # it is the loop's: what is left here would outlive it
            self._stack = undo.pop_all()
        self.bus = RegisterBuses([nic.bus for nic in self._instances])
        each = [nic.about for nic in self._instances]
        self.about = {**each[0], "pids": [about["pid"] for about in each]}
        del self.about["pid"]

    @property
    def address(self) -> Address:
        """Where clients send."""
        return parse_address(self.about["listen"])

    def start(self) -> None:
        """Let frames move: registers are set."""
        for nic in self._instances:
            nic.start()

    def events(self, every: float | None = None) -> Iterator[dict[str, Any]]:
        """Their statistics, every so many seconds if asked; without end.

        Raises
        ------
        NodeLostError
            If one ends by itself (N3).
        """
        while True:
            self._news.clear()  # before the look: what comes during it wakes us again
            for nic in self._instances:
                nic.expect_running()
            if not self._news.wait(every):
                yield self.statistics()

    def statistics(self) -> dict[str, Any]:
        """A snapshot of their counters, added up; each one's in ``instances``."""
        return _together([nic.statistics() for nic in self._instances])

    def stop(self) -> dict[str, Any]:
        """End them; returns their last statistics, unless one of them has ended before."""
        for nic in self._instances:
            nic.finish()  # all, before the kernel gives clients of the first one to others
        last = [nic.stop() for nic in self._instances]
        self._stack.close()
        return _together(last) if all(last) else {}

    def __enter__(self) -> NicInstances:
        return self

    def __exit__(self, *details: object) -> None:
        self._stack.close()


def _together(events: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    each = [{name: value for name, value in e.items() if name != "event"} for e in events]
    return {**summed(events), "instances": each}


def start_instances(
    bundles: Bundles,
    wire: UdpWire,
    hop: Address,
    count: int,
    *,
    datapath: str = "rtl",
    tenant: int = 0,
    control: Path | None = None,
    console: Console | None = None,
) -> NicInstances:
    """As :func:`.nic_process.start_nic`, ``count`` of them that share the address of the wire.

    Raises
    ------
    StartError
        If one does not start; says which, and why.
    """
    launcher = NicLauncher(bundles, wire, datapath, console)
    running = NicInstances(launcher, wire.listen, count, control)
    try:
        configure(running.bus, bundles, running.address, hop, tenant=tenant)
        running.start()
    except BaseException:
        running.stop()
        raise
    return running
