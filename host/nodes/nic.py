# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""The NIC process: the Verilated pipeline behind a packet loop in C++.

Python builds the program (once, into the cache), starts it with the registers that this bundle and
this next hop need, and relays its lines of JSON. It does nothing per packet or per cycle: the loop
is ``cpp/nic.cpp``, the pipeline's driver ``cpp/pipeline.h``.
"""

from __future__ import annotations

import ipaddress
import queue
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from ...hw.console import Console, JsonFlag, counters_text
from ...hw.formats.bundle import Bundle
from ...sim.build import build_executable
from ...sim.toolchain import find_compiler
from ..control.registers import Setup, setup_for
from ..errors import StartError
from ..wire.udp import Address, UdpPort, format_address, parse_address
from .process import Child

PROGRAM = Path(__file__).resolve().parent.parent / "cpp" / "nic.cpp"
READY_SECONDS = 30.0
TOP = "midwire_nic"
PREFIX = "Vnic"


def build(verilog: Sequence[Path], console: Console | None = None) -> Path:
    """The program of a pipeline, out of the cache or built now; says so while it builds.

    Raises
    ------
    ToolchainError, BuildError
        As :func:`midwire.sim.build.build_executable`.
    """
    said = -1

    def progress(done: int, total: int) -> None:
        nonlocal said
        quarter = 4 * done // total
        if console is None or quarter == said:
            return
        if said < 0:
            console.say(f"building the NIC with {find_compiler().name} (only the first time)")
        else:
            console.say(f"building the NIC: {done} of {total} steps")
        said = quarter

    return build_executable(verilog, TOP, [PROGRAM], PREFIX, progress=progress)


class NicProcess:
    """A running NIC. Use as a context manager.

    Parameters
    ----------
    program : what :func:`build` returned
    images : folder of the memory images
    setup : registers to write and to read
    listen : where clients send; port 0 takes any free one
    hops : next hops; the first is the default. Answers are taken from these only
    log : takes the lines of its standard error
    """

    def __init__(
        self,
        program: Path,
        images: Path,
        setup: Setup,
        *,
        listen: Address,
        hops: Sequence[Address],
        console: Console | None = None,
    ) -> None:
        command = [str(program), f"+midwire_images={images.resolve()}"]
        command += ["--listen", format_address(listen), "--quiet", str(setup.quiet)]
        for hop in hops:
            command += ["--next", format_address(hop)]
        if setup.own is not None:
            command += ["--own", f"{setup.own[0]}={setup.own[1]}"]
        for address, value in setup.writes:
            command += ["--write", f"{address}={value}"]
        for address, mask in setup.busy:
            command += ["--busy", f"{address}={mask}"]
        for name, address in setup.counters.items():
            command += ["--counter", f"{name}={address}"]
        self._child = Child("pipeline", command, console.say if console is not None else None)
        try:
            self.about = self._child.ready(READY_SECONDS)
        except BaseException:
            self._child.stop()
            raise

    @property
    def address(self) -> Address:
        """Where clients send."""
        return parse_address(self.about["listen"])

    def events(self, every: float | None = None) -> Iterator[dict[str, Any]]:
        """Its statistics, every so many seconds if asked; ends only by an error or an interrupt.

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
            yield event

    def statistics(self) -> dict[str, Any]:
        """A snapshot of its counters."""
        self._child.tell("stats")
        return next(self.events())

    def stop(self) -> dict[str, Any]:
        """End it; returns its last statistics."""
        events = [event for event in self._child.stop() if event.get("event") == "stopped"]
        return events[-1] if events else {}

    def __enter__(self) -> NicProcess:
        return self

    def __exit__(self, *details: object) -> None:
        self._child.stop()


def _own_address(text: str) -> Address:
    address = parse_address(text, "--listen")
    if ipaddress.IPv4Address(address[0]).is_unspecified:
        raise StartError(
            "the NIC needs one address, which goes into its frames",
            where="--listen",
            expected="an address of one interface",
            found=text,
            remedy="Give the address of the interface that clients send to",
        )
    return address


def nic(
    bundle: Annotated[Path, typer.Argument(help="Bundle folder.", metavar="BUNDLE")],
    next_hop: Annotated[str, typer.Option("--next", help="Next hop: the cloud, or another NIC.")],
    listen: Annotated[
        str, typer.Option(help="Address to listen at; port 0 takes any free one.")
    ] = "127.0.0.1:0",
    tenant: Annotated[int, typer.Option(min=0, max=0xFFFF, help="Tenant that may execute.")] = 0,
    stats: Annotated[
        float, typer.Option(min=0.0, help="Seconds between snapshots of the counters; 0: none.")
    ] = 0.0,
    as_json: JsonFlag = False,
) -> None:
    """Run the NIC node: the slice as RTL in Verilator, inside a packet pipeline.

    Listens on loopback unless told otherwise: datagrams are neither encrypted nor authenticated.
    """
    console = Console(as_json)
    loaded = Bundle.load(bundle)
    at, hop = _own_address(listen), parse_address(next_hop, "--next")
    with UdpPort(at):
        pass  # an address that cannot be had is said before a long build, as by the other nodes
    program = build(loaded.nic_verilog, console)
    setup = setup_for(loaded, at, hop, tenant=tenant)
    running = NicProcess(program, loaded.images_dir, setup, listen=at, hops=[hop], console=console)
    try:
        where = running.about["listen"]
        console.event(
            {**running.about, "node": "nic"},
            f"nic: listening at {where}, next hop {format_address(hop)}; Ctrl-C stops it",
        )
        for event in running.events(stats or None):
            console.event(event, _line(event))
    finally:
        last = running.stop()
        if last:
            console.event(last, _line(last))


def _line(event: dict[str, Any]) -> str:
    counters = {**event, **event.get("pipeline", {})}
    return f"nic: {counters_text(counters)}"
