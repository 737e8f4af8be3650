# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""A running NIC: the packet loop in C++ as a child, its registers, and how it is started.

Python does nothing per packet or per cycle: the loop is ``cpp/nic.cpp``. It starts the loop, sets
registers over the bus before the first frame moves, and relays statistics.
"""

from __future__ import annotations

import contextlib
import ipaddress
import queue
import socket
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from ...hw.console import Console
from ...hw.formats import csr
from ...hw.formats.bundle import Bundle, Manifest
from ...hw.formats.slots import slots_of
from ...hw.side_by_side import side_by_side
from ..control.register_bus import RegisterBus
from ..control.register_buses import RegisterBuses
from ..control.registers import model_registers, registers_for
from ..errors import RegisterError, StartError
from ..wire.peers import Peer, peers_of
from ..wire.udp import Address, UdpPort, format_address, is_ipv6, parse_address
from .nic_program import build_reference, build_rtl, build_several
from .process import STOP_SECONDS, Child
from .reference_helper import ReferenceHelper

READY_SECONDS = 30.0


@dataclass(frozen=True)
class UdpWire:
    """Plain UDP sockets. Answers are taken from ``hops`` only; the first is the default.

    Requests are taken from ``peers``; where there are none, as :func:`~..wire.peers.peers_of`. All
    is of one IP version: what comes in one does not leave in the other.
    """

    listen: Address
    hops: Sequence[Address]
    peers: Sequence[Peer] = ()

    KIND: ClassVar[str] = "udp"

    def text(self, at: str) -> str:
        """What it does, for people; ``at`` is where it listens."""
        return f"listening at {at}"

    def words(self) -> list[str]:
        """Arguments of the packet loop.

        Raises
        ------
        StartError
            If peers have to be named, and are not.
        """
        peers = peers_of(self.listen, self.peers)
        words = ["--transport", self.KIND, "--listen", format_address(self.listen)]
        words += [word for hop in self.hops for word in ("--next", format_address(hop))]
        return words + [word for peer in peers for word in ("--peer", str(peer))]

    def check(self) -> None:
        """See whether it can be had, before a long build.

        Raises
        ------
        StartError
            If the address is not this machine's or not free, or a hop is the NIC itself, no one
            machine, of another IP version, or not reached from there.
        """
        for hop in self.hops:
            if not _one_machine(hop):
                raise _no_hop("the next hop is no one machine", format_address(hop))
            if is_ipv6(hop) != is_ipv6(self.listen):
                raise _no_hop(
                    "what comes in one IP version does not leave in the other",
                    f"{format_address(hop)}, where --listen is {format_address(self.listen)}",
                )
            with UdpPort(self.listen, hop):
                pass
            if hop == self.listen:
                raise _no_hop(
                    "the NIC would send to itself, and again and again",
                    f"that of --listen, {format_address(self.listen)}",
                )


def _one_machine(address: Address) -> bool:
    ip = ipaddress.ip_address(address[0])
    return not (ip.is_unspecified or ip.is_multicast or int(ip) == 0xFFFF_FFFF)


def _no_hop(problem: str, found: str) -> StartError:
    expected = "the address of the cloud, or of another NIC"
    return StartError(problem, where="--next", expected=expected, found=found, usage=True)


@dataclass(frozen=True)
class InterfaceWire:
    """Two network interfaces, the second towards the next hop; needs CAP_NET_RAW.

    ``listen`` is what its ready line says.
    """

    names: tuple[str, str]
    listen: Address

    KIND: ClassVar[str] = "interfaces"

    def text(self, at: str) -> str:
        """What it does, for people; ``at`` is what requests are sent to."""
        return f"between {self.names[0]} and {self.names[1]}, takes requests to {at}"

    def check(self) -> None:
        """See whether they can be had, before a long build.

        Raises
        ------
        StartError
            If one is not there, or this user may not.
        """
        for name in self.names:
            with contextlib.suppress(OSError):
                socket.if_nametoindex(name)
                continue
            raise StartError(
                "no such network interface",
                where=f"--wire {' '.join(self.names)}",
                expected=f"one of {', '.join(sorted(name for _, name in socket.if_nameindex()))}",
                found=name,
                remedy="`ip link` shows those of this machine",
                usage=True,
            )
        try:
            socket.socket(socket.AF_PACKET, socket.SOCK_RAW).close()
        except (OSError, AttributeError) as error:
            raise StartError(
                "cannot take frames of network interfaces",
                where=f"--wire {' '.join(self.names)}",
                expected="Linux, and root or the capability CAP_NET_RAW",
                found=str(error),
                remedy="Run it as root, or leave --wire out: UDP sockets need no privilege",
            ) from error

    def words(self) -> list[str]:
        """Arguments of the packet loop."""
        names = [word for name in self.names for word in ("--interface", name)]
        return ["--transport", self.KIND, "--listen", format_address(self.listen), *names]


@dataclass(frozen=True)
class FileWire:
    """A recorded file (pcap, Ethernet) in, another out; ends with the file."""

    read: Path
    write: Path

    KIND: ClassVar[str] = "file"

    def text(self, at: str) -> str:
        """What it does, for people; ``at`` is the recording."""
        return f"reading {at}"

    def words(self) -> list[str]:
        """Arguments of the packet loop."""
        return ["--transport", self.KIND, "--read", str(self.read), "--write", str(self.write)]


Wire = UdpWire | InterfaceWire | FileWire
"""Where frames come from and where they go."""


class NicProcess:
    """A running packet loop. Use as a context manager. No frame moves before :meth:`start`.

    Parameters
    ----------
    program : what :mod:`.nic_program` built
    words : arguments of transport and datapath
    helpers : the numpy reference of each slice, where the program is around it; closed with the
        process
    control : path at which others may reach the registers too
    registers : that the datapath has
    console : takes the lines of its standard error
    name : in its log lines and errors
    listener : bound socket to listen with, where several share an address; closing it is the
        caller's
    news : as :class:`.process.Child`

    Attributes
    ----------
    about : its ready line
    bus : its registers
    """

    def __init__(
        self,
        program: Path,
        words: Sequence[str],
        *,
        helpers: Sequence[ReferenceHelper] = (),
        control: Path | None = None,
        registers: Sequence[csr.Register] = csr.REGISTERS,
        console: Console | None = None,
        name: str = "pipeline",
        listener: socket.socket | None = None,
        news: Callable[[], None] | None = None,
    ) -> None:
        self._stack = contextlib.ExitStack()
        self._ended = False
        with contextlib.ExitStack() as undo:
            ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
            self.bus = undo.enter_context(RegisterBus(ours, registers))
            passed = [theirs.fileno()]
            command = [str(program), *words, "--control-fd", str(passed[0])]
            if control is not None:
                command += ["--control", str(control)]
            if listener is not None:
                passed.append(listener.fileno())
                command += ["--listen-fd", str(listener.fileno())]
            for helper in helpers:
                undo.enter_context(helper)
                passed.append(helper.fd)
                command += ["--helper-fd", str(helper.fd)]
            log = console.say if console is not None else None
            with theirs:
                child = Child(name, command, log, pass_fds=passed, news=news)
                self._child = undo.enter_context(child)
            for helper in helpers:
                helper.passed_on()
            self.about = self._child.ready(READY_SECONDS)
            self._stack = undo.pop_all()

    @property
    def address(self) -> Address:
        """Where clients send."""
        return parse_address(self.about["listen"])

    def start(self) -> None:
        """Let frames move: registers are set."""
        self._child.tell("start")

    def events(self, every: float | None = None) -> Iterator[dict[str, Any]]:
        """Its statistics, every so many seconds if asked; ends only where its input does.

        Raises
        ------
        NodeLostError
            If it ends by itself.
        """
        while True:
            try:
                event = self._child.events.get(timeout=every)
            except queue.Empty:
                self._child.tell("stats")
                continue
            if event is None:
                raise self._child.lost()
            self._ended = event.get("event") == "stopped"
            yield self._with_registers(event)
            if self._ended:
                return

    def statistics(self) -> dict[str, Any]:
        """A snapshot of its counters."""
        self._child.tell("stats")
        return next(self.events())

    def expect_running(self) -> None:
        """See whether it still runs, where nobody waits for its events.

        Raises
        ------
        NodeLostError
            If it has ended by itself.
        """
        with contextlib.suppress(queue.Empty):
            while self._child.events.get_nowait() is not None:
                pass
            raise self._child.lost()

    def finish(self) -> None:
        """Let no frame move any more; registers still answer."""
        self._child.tell("finish")

    def stop(self) -> dict[str, Any]:
        """End it; returns its last statistics, if it had not given them before."""
        last: dict[str, Any] = {}
        if self._child.status is None and not self._ended:
            self.finish()
            with contextlib.suppress(queue.Empty):
                while (event := self._child.events.get(timeout=STOP_SECONDS)) is not None:
                    if event.get("event") == "stopped":
                        last = self._with_registers(event)
                        break
        self._stack.close()
        return last

    def __enter__(self) -> NicProcess:
        return self

    def __exit__(self, *details: object) -> None:
        self._stack.close()

    def _with_registers(self, event: dict[str, Any]) -> dict[str, Any]:
        with contextlib.suppress(RegisterError):  # it has just ended: the next event says how
            return {**event, "pipeline": self.bus.counters()}
        return event


Bundles = Bundle | Sequence[Bundle]
"""Whose slices a NIC executes: of one, or of several side by side, in the order of cores."""


def listed(bundles: Bundles) -> list[Bundle]:
    """One or several, as a list.

    Raises
    ------
    StartError
        If there are more than a NIC has cores.
    """
    found = [bundles] if isinstance(bundles, Bundle) else list(bundles)
    if len(found) > csr.MAX_CORES:
        raise StartError(
            "too many bundles for one NIC",
            where=", ".join(str(bundle.root) for bundle in found),
            expected=f"at most {csr.MAX_CORES}",
            found=str(len(found)),
            remedy="Start another NIC for the others, and name it with --next",
            usage=True,
        )
    return found


class NicLauncher:
    """Starts packet loops of bundles on one wire, which it has checked and built.

    Parameters
    ----------
    bundles, wire, datapath, console : as :func:`start_nic`

    Raises
    ------
    StartError
        If the wire cannot be had.
    ToolchainError, BuildError
        If the program cannot be built.
    """

    def __init__(
        self, bundles: Bundles, wire: Wire, datapath: str, console: Console | None = None
    ) -> None:
        self._bundles, self._console = listed(bundles), console
        self._words = wire.words()
        if not isinstance(wire, FileWire):
            wire.check()
        self._reference = datapath == "reference"
        if self._reference:
            self._program = build_reference()
            self._words += _reference_words([bundle.manifest for bundle in self._bundles])
        elif len(self._bundles) == 1:
            (bundle,) = self._bundles
            self._program = build_rtl(bundle.nic_verilog, bundle.nic_top, console)
            self._words.append(f"+midwire_images={bundle.images_dir.resolve()}")
        else:
            pipeline = side_by_side(self._bundles)
            self._program = build_several(pipeline.verilog, pipeline.top, console)
            self._words += pipeline.plusargs

    def launch(
        self,
        *,
        name: str = "pipeline",
        listener: socket.socket | None = None,
        control: Path | None = None,
        news: Callable[[], None] | None = None,
    ) -> NicProcess:
        """Start one, with parameters as of :class:`NicProcess`.

        Raises
        ------
        StartError
            If it does not start; says why.
        """
        say = self._console.say if self._console is not None else lambda _: None
        return NicProcess(
            self._program,
            self._words,
            helpers=[ReferenceHelper(bundle, say) for bundle in self._bundles if self._reference],
            control=control,
            console=self._console,
            name=name,
            listener=listener,
            news=news,
        )


def _reference_words(manifests: Sequence[Manifest]) -> list[str]:
    words = []
    for manifest in manifests:
        for key, specs in (("--inputs", manifest.inputs), ("--outputs", manifest.outputs)):
            words += [key, ",".join(str(spec.wire_bytes) for spec in specs)]
        total = sum(spec.wire_bytes for spec in manifest.inputs)
        words += ["--slots", str(slots_of(total, len(manifests)))]
    return words


def configure(
    bus: RegisterBus | RegisterBuses,
    bundles: Bundles,
    listen: Address,
    hop: Address,
    *,
    other: tuple[Address, Address] | None = None,
    tenant: int = 0,
    next_mac: int | None = None,
) -> None:
    """Set the registers of a NIC, with parameters as of :func:`~..control.registers.registers_for`.

    The registers of each core are; what is left in ``core_index`` is the first one.
    """
    first, *others = listed(bundles)
    for core, bundle in enumerate(others, 1):
        bus.configure(core_index=core, **model_registers(bundle, tenant))
    values = registers_for(first, listen, hop, other=other, tenant=tenant, next_mac=next_mac)
    bus.configure(core_index=0, **values)


def start_nic(
    bundles: Bundles,
    wire: Wire,
    hop: Address,
    *,
    datapath: str = "rtl",
    listen: Address | None = None,
    other: tuple[Address, Address] | None = None,
    tenant: int = 0,
    next_mac: int | None = None,
    control: Path | None = None,
    console: Console | None = None,
) -> NicProcess:
    """Build (or find) the program of a datapath, start it on a wire, set its registers, let it run.

    Parameters
    ----------
    bundles : whose slices it executes
    wire : where frames come from and go to
    hop : where results and declined tensors go
    datapath : ``"rtl"``, the Verilated pipeline, or ``"reference"``, numpy
    listen : address that requests are sent to; where the wire listens by default
    other, tenant, next_mac : as :func:`~..control.registers.registers_for`
    control : as :class:`NicProcess`
    console : takes progress of a build, and the lines of its standard error

    Raises
    ------
    StartError
        If it does not start; says why.
    """
    running = NicLauncher(bundles, wire, datapath, console).launch(control=control)
    try:
        at = listen or running.address
        configure(running.bus, bundles, at, hop, other=other, tenant=tenant, next_mac=next_mac)
        running.start()
    except BaseException:
        running.stop()
        raise
    return running
