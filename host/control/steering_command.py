# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""``midwire steer``: the steering table of a running NIC, shown and changed."""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any, TypeVar

import typer

from ...hw.console import Console, JsonFlag
from ...hw.formats.actions import ENTRIES
from ...hw.formats.csr import parts_of
from .register_buses import RegisterBuses
from .steering_file import read_table
from .steering_table import NextHop, SteeringEntry, SteeringTable
from .steering_text import (
    MOST_SECONDS,
    ActionName,
    Key,
    described,
    described_hop,
    lifetime_of,
    model_of,
    next_hop_of,
    next_hop_text,
    regions_of,
    regions_text,
    remarks,
)

Value = TypeVar("Value")

Counted = Mapping[int, tuple[SteeringEntry, int]]
"""Entries by index, and their hits."""

Socket = Annotated[
    Path, typer.Argument(help="What `midwire nic --control` was given.", metavar="SOCKET")
]
_PLACES = f"0 to {ENTRIES - 1}; of entries for the same frames, the lowest counts"

steer = typer.Typer(
    help="Show and change the steering table of a running NIC, while frames move.",
    rich_markup_mode=None,
)


class _Nic:
    """A NIC as the commands see it.

    Attributes
    ----------
    table : its steering table
    loaded : whose frames it executes
    default : the next hop of frames without an entry
    """

    def __init__(self, bus: RegisterBuses) -> None:
        self.table = SteeringTable(bus)
        names = ("tenant", "model_hash", "cursor", "next_mac", "next_ip", "next_ip6", "next_port")
        words = bus.read_all(part for name in names for part in parts_of(name))

        def value(name: str) -> int:
            whole = 0
            for part in parts_of(name):
                whole = whole << 32 | words[part]
            return whole

        self.loaded = Key(value("tenant"), value("model_hash").to_bytes(8, "big"), value("cursor"))
        ip, ip6 = value("next_ip"), value("next_ip6")
        self.default = NextHop(
            value("next_mac"),
            value("next_port"),
            ipaddress.IPv4Address(ip) if ip else None,
            ipaddress.IPv6Address(ip6) if ip6 else None,
        )

    def remarks(self, counted: Counted) -> dict[int, list[str]]:
        """What is odd about each entry."""
        entries = {index: entry for index, (entry, _) in counted.items()}
        return {index: remarks(index, entries, self.loaded) for index in entries}

    def show(self, console: Console) -> None:
        """The table as it is now."""
        counted = self.table.counted()
        notes = self.remarks(counted)
        found = [_object(index, counted, said) for index, said in notes.items()]
        lines = _lines(counted, notes)
        lines.append(f"other frames go to {next_hop_text(self.default)}")
        lines.append(f"loaded here: {self.loaded}")
        others = {"next_hop": described_hop(self.default), "loaded": self.loaded.described()}
        console.result({"entries": found, "places": ENTRIES, **others}, "\n".join(lines))


@contextmanager
def _nic(control: Path) -> Iterator[_Nic]:
    with RegisterBuses.connect(control) as bus:
        yield _Nic(bus)


_TITLES = ("entry", "tenant", "model", "cursor", "action", "next hop", "hits", "for")


def _object(index: int, counted: Counted, notes: Sequence[str]) -> dict[str, Any]:
    """An entry for programs."""
    entry, hits = counted[index]
    return {"index": index, **described(entry), "hits": hits, "remarks": notes}


def _lines(counted: Counted, notes: Mapping[int, Sequence[str]]) -> list[str]:
    """Entries for people: a line each, and what is odd about it below."""
    rows = {index: (str(index), *_cells(*counted[index])) for index in notes}
    widths = [max(map(len, column)) for column in zip(_TITLES, *rows.values(), strict=True)]

    def line(cells: Sequence[str]) -> str:
        return "  ".join(map(str.ljust, cells, widths)).rstrip()

    lines = [line(_TITLES)] if rows else ["no entries"]
    for index, cells in rows.items():
        lines += [line(cells), *(f"  ! {note}" for note in notes[index])]
    return lines


def _cells(entry: SteeringEntry, hits: int) -> tuple[str, ...]:
    limits = [] if (regions := regions_text(entry.regions)) == "any" else [f"regions {regions}"]
    limits += ["encrypted"] if entry.must_encrypt else []
    limits += [f"{entry.lifetime_us / 1e6:g} s from when it was set"] if entry.lifetime_us else []
    return (
        str(entry.tenant),
        entry.model_hash.hex(),
        str(entry.cursor),
        entry.action.name.lower(),
        "default" if entry.hop is None else next_hop_text(entry.hop),
        str(hits),
        ", ".join(limits) or "all",
    )


def _read(option: str, read: Callable[[], Value]) -> Value:
    """What an option says.

    Raises
    ------
    typer.BadParameter
        If it makes no sense.
    """
    try:
        return read()
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint=option) from None


@steer.command("list")
def list_(control: Socket, as_json: JsonFlag = False) -> None:
    """Show the entries.

    With what is odd about them, and where all other frames go.
    """
    with _nic(control) as nic:
        nic.show(Console(as_json))


@steer.command("set")
def set_(
    control: Socket,
    index: Annotated[int, typer.Argument(min=0, max=ENTRIES - 1, help=_PLACES, metavar="INDEX")],
    action: Annotated[
        ActionName,
        typer.Option(
            help="execute: as without an entry; forward: sent on, nobody is asked; redirect: "
            "declined, so that the sender learns that the path has changed."
        ),
    ],
    tenant: Annotated[
        int | None, typer.Option(min=0, max=0xFFFF, help="Of the frames; by default the NIC's.")
    ] = None,
    model: Annotated[
        str | None,
        typer.Option(
            metavar="HASH",
            help="Of the frames: 16 hexadecimal digits, or a bundle's folder; by default what is "
            "loaded.",
        ),
    ] = None,
    cursor: Annotated[
        int | None,
        typer.Option(min=0, max=0xFF, help="Of the frames; by default that of what is loaded."),
    ] = None,
    next_hop: Annotated[
        str | None,
        typer.Option(
            metavar="MAC,IP,PORT",
            help="Where they go; IPv4 or IPv6, or both: MAC,IP,IP,PORT. By default the NIC's next "
            "hop.",
        ),
    ] = None,
    region: Annotated[
        str,
        typer.Option(
            metavar="REGIONS", help="Regions that are allowed, as in 0,4-7; others are declined."
        ),
    ] = "any",
    must_encrypt: Annotated[
        bool, typer.Option("--must-encrypt", help="Decline frames in clear.")
    ] = False,
    expires: Annotated[
        float | None,
        typer.Option(
            metavar="SECONDS",
            help=f"Until the NIC removes it, at most {MOST_SECONDS:.0f}; by default it stays.",
        ),
    ] = None,
    as_json: JsonFlag = False,
) -> None:
    """Put an entry in a place.

    Whatever was there is gone, at once and as a whole.
    """
    said: dict[str, Any] = {"action": action.action, "must_encrypt": must_encrypt}
    said["regions"] = _read("--region", lambda: regions_of(region))
    if model is not None:
        said["model_hash"] = _read("--model", lambda: model_of(model, Path()))
    if next_hop is not None:
        said["hop"] = _read("--next-hop", lambda: next_hop_of(next_hop))
    if expires is not None:
        said["lifetime_us"] = _read("--expires", lambda: lifetime_of(expires))
    said |= {} if tenant is None else {"tenant": tenant}
    said |= {} if cursor is None else {"cursor": cursor}
    with _nic(control) as nic:
        entry = SteeringEntry(**{**nic.loaded._asdict(), **said})
        nic.table.write(index, entry)
        counted = {index: (entry, 0), **nic.table.counted()}  # it may be too old already
        notes = nic.remarks(counted)[index]
    lines = _lines(counted, {index: notes})
    Console(as_json).result(_object(index, counted, notes), "\n".join(lines))


@steer.command()
def clear(
    control: Socket,
    index: Annotated[
        list[int] | None,
        typer.Argument(min=0, max=ENTRIES - 1, help="Places, 0 to 15.", metavar="INDEX..."),
    ] = None,
    everything: Annotated[bool, typer.Option("--all", help="All places.")] = False,
    as_json: JsonFlag = False,
) -> None:
    """Remove entries."""
    if bool(index) == everything:
        raise typer.BadParameter("give places, or --all", param_hint="INDEX")
    with _nic(control) as nic:
        had = sorted(nic.table.entries())
        places = sorted(set(index)) if index else list(range(ENTRIES))
        for place in places:
            nic.table.remove(place)
    removed = [place for place in places if place in had]
    Console(as_json).result(
        {"removed": removed},
        f"removed: {', '.join(map(str, removed))}" if removed else "there was no entry",
    )


@steer.command()
def apply(
    control: Socket,
    file: Annotated[Path, typer.Argument(help="TOML file, as below.", metavar="FILE")],
    as_json: JsonFlag = False,
) -> None:
    """Replace the whole table by a file's.

    Its first entry is put in place 0, and so on; places behind the last one are left empty. Nothing
    is changed if anything in the file is wrong. The file:

    \b
        [[entry]]
        tenant = 7                     # what is left out of these three is the NIC's own
        model = "0123456789abcdef"     # or a bundle's folder; paths are relative to the file
        cursor = 0
        action = "forward"             # or execute, redirect
        next_hop = "02:00:00:00:00:09,10.0.0.9,5220"    # by default the NIC's
        regions = "0,4-7"              # by default any
        must_encrypt = false
        expires = 30                   # seconds; by default it stays
    """
    with _nic(control) as nic:
        nic.table.replace(read_table(file, nic.loaded))
        nic.show(Console(as_json))
