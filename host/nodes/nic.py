# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""The NIC process: a slice inside a packet pipeline, between a transport and a datapath."""

from __future__ import annotations

import ipaddress
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from ...hw.console import Console, JsonFlag, counters_text, seconds
from ...hw.formats.bundle import Bundle
from ..errors import StartError
from ..wire.mac import EXAMPLE, parse_mac
from ..wire.peers import Peer, parse_network
from ..wire.udp import Address, format_address, is_ipv6, loopback, parse_address, parse_peer
from .nic_instances import NicInstances, start_instances
from .nic_process import FileWire, InterfaceWire, NicProcess, UdpWire, Wire, start_nic

MOST_INSTANCES = 64
"""More make no sense, and each holds some descriptors of the process that started it."""


class DatapathKind(StrEnum):
    """Who executes the slice."""

    RTL = "rtl"
    REFERENCE = "reference"


def _own_address(text: str) -> Address:
    address = parse_address(text, "--listen")
    if ipaddress.ip_address(address[0]).is_unspecified:
        raise StartError(
            "the NIC needs one address, which goes into its frames",
            where="--listen",
            expected="an address of one interface",
            found=text,
            remedy="Give the address of the interface that clients send to",
            usage=True,
        )
    return address


def _mac(text: str) -> int:
    found = parse_mac(text)
    if found is None:
        raise StartError(
            "not a usable --next-mac",
            where=repr(text),
            expected=f"six bytes, as in {EXAMPLE}",
            found="another form",
            remedy="`ip neighbour` shows those of a machine's neighbours",
            usage=True,
        )
    return found


_Ends = tuple[Address, Address]
"""Where requests are sent to, and the next hop: of one IP version."""


def _ends(listens: list[Address], hops: list[Address], sockets: bool) -> list[_Ends]:
    """Those of the IP versions that are named; of the first next hop's before the other."""
    firsts = {is_ipv6(hop): hop for hop in reversed(hops)}
    ours = {is_ipv6(at): at for at in listens}
    if len(ours) < len(listens) or (sockets and len(ours) > 1):
        few = "one address" if sockets else "one address of each IP version"
        raise typer.BadParameter(f"give {few}", param_hint="--listen")
    if sockets:
        ours = ours or {is_ipv6(hops[0]): loopback(hops[0])}
        return [(at, hops[0]) for at in ours.values()]
    ours = ours or firsts
    if set(ours) != set(firsts):
        raise typer.BadParameter(
            "what comes in one IP version does not leave in the other: give --next and --listen in "
            "the same ones",
            param_hint="--listen",
        )
    for option, ends in (("--listen", ours), ("--next", firsts)):
        if len({port for _, port in ends.values()}) > 1:
            raise typer.BadParameter("both IP versions have the same port", param_hint=option)
    first = is_ipv6(hops[0])
    return [(ours[ipv6], firsts[ipv6]) for ipv6 in (first, not first) if ipv6 in ours]


def _wire(
    at: Address,
    hops: list[Address],
    interfaces: tuple[str, str] | None,
    files: tuple[Path | None, Path | None],
    peers: list[Peer],
    instances: int,
) -> Wire:
    """Where frames come from: two interfaces or a recording if they are given, else UDP sockets."""
    read, write = files
    recorded = read is not None or write is not None
    if interfaces is None and not recorded:
        return UdpWire(at, hops, peers)
    if instances > 1:
        raise typer.BadParameter(
            "only UDP sockets can share an address: with --wire or --read there is one",
            param_hint="--instances",
        )
    if peers:
        raise typer.BadParameter("belongs to UDP sockets", param_hint="--peer")
    if at[1] == 0:
        raise typer.BadParameter("requests need one port to be sent to", param_hint="--listen")
    if interfaces is not None:
        if recorded:
            raise typer.BadParameter("cannot be with --read, --write", param_hint="--wire")
        if interfaces[0] == interfaces[1]:
            raise typer.BadParameter("give two interfaces", param_hint="--wire")
        return InterfaceWire(interfaces, at)
    if read is None or write is None:
        raise typer.BadParameter("give both", param_hint="--read, --write")
    if write.exists() and read.exists() and write.samefile(read):
        raise typer.BadParameter("is the file that --read names", param_hint="--write")
    return FileWire(read, write)


def nic(
    bundle: Annotated[
        list[Path],
        typer.Argument(
            help="Bundle folders: each one's slice, side by side in one pipeline; one several "
            "times shares its requests out.",
            metavar="BUNDLE...",
        ),
    ],
    next_hop: Annotated[
        list[str],
        typer.Option(
            "--next",
            help="Next hop: the cloud, or another NIC. Several times: the first is the default "
            "one, of each IP version; over UDP sockets, answers are taken from all.",
        ),
    ],
    listen: Annotated[
        list[str] | None,
        typer.Option(
            help="Address that requests are sent to; port 0 takes any free one. Default: "
            "loopback; with --wire or --read, that of --next. With these, one of each IP version.",
            show_default=False,
        ),
    ] = None,
    datapath: Annotated[
        DatapathKind, typer.Option(help="Who executes: RTL in Verilator, or numpy (same bits).")
    ] = DatapathKind.RTL,
    instances: Annotated[
        int,
        typer.Option(
            min=1,
            max=MOST_INSTANCES,
            help="For UDP sockets: pipelines that share the address, each a process, for a core "
            "each. A client stays with one of them.",
        ),
    ] = 1,
    wire: Annotated[
        tuple[str, str] | None,
        typer.Option(
            metavar="IF0 IF1",
            help="Bridge two interfaces, the second towards the next hop (root or CAP_NET_RAW). "
            "Without it, and without --read: UDP sockets, no privilege.",
        ),
    ] = None,
    next_mac: Annotated[
        str | None, typer.Option(help="With --wire: MAC address of the next hop.")
    ] = None,
    read: Annotated[
        Path | None, typer.Option(help="Take frames out of a recording, pcap; needs --write.")
    ] = None,
    write: Annotated[Path | None, typer.Option(help="With --read: where frames go, pcap.")] = None,
    peer: Annotated[
        list[str] | None,
        typer.Option(
            help="For UDP sockets: who may send, NETWORK or NETWORK:PORT; several times. On "
            "loopback anybody may; other addresses need it.",
        ),
    ] = None,
    tenant: Annotated[int, typer.Option(min=0, max=0xFFFF, help="Tenant that may execute.")] = 0,
    stats: Annotated[
        float,
        typer.Option(
            parser=seconds(0.0), help="Seconds between snapshots of the counters; 0: none."
        ),
    ] = 0.0,
    control: Annotated[
        Path | None,
        typer.Option(
            help="Unix socket for `midwire register`; this user only. Of several "
            "instances, PATH.0, PATH.1 and so on."
        ),
    ] = None,
    as_json: JsonFlag = False,
) -> None:
    """Run the NIC node: slices inside a packet pipeline, RTL in Verilator by default.

    Listens on loopback unless told otherwise: datagrams are neither encrypted nor authenticated, so
    an address that other machines reach needs --peer.
    """
    console = Console(as_json)
    loaded = [Bundle.load(folder) for folder in bundle]
    hops = [parse_peer(text, "--next") for text in next_hop]
    sockets = wire is None and read is None and write is None
    ends = _ends([_own_address(text) for text in listen or ()], hops, sockets)
    at, hop = ends[0]
    peers = [parse_network(text) for text in peer or ()]
    if (wire is not None) != (next_mac is not None):
        raise typer.BadParameter("belongs to --wire", param_hint="--next-mac")
    between = _wire(at, hops, wire, (read, write), peers, instances)
    running: NicProcess | NicInstances
    if instances > 1 and isinstance(between, UdpWire):
        running = start_instances(
            loaded,
            between,
            hop,
            instances,
            datapath=datapath,
            tenant=tenant,
            control=control,
            console=console,
        )
    else:
        running = start_nic(
            loaded,
            between,
            hop,
            datapath=datapath,
            listen=None if sockets else at,
            other=ends[1] if ends[1:] else None,
            tenant=tenant,
            next_mac=None if next_mac is None else _mac(next_mac),
            control=control,
            console=console,
        )
    try:
        more = [(format_address(at), format_address(to)) for at, to in ends[1:]]
        where = between.text(" and ".join([running.about["listen"], *(at for at, _ in more)]))
        shared = f" with {instances} instances" if instances > 1 else ""
        onward = " or ".join([format_address(hop), *(to for _, to in more)])
        console.event(
            {**running.about, "node": "nic", "datapath": datapath, "transport": between.KIND},
            f"nic: {where}{shared}, next hop {onward}; Ctrl-C stops it",
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
