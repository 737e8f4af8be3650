# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""``midwire register``: a register of a running NIC, read or written."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ...hw.console import Console, JsonFlag
from ...hw.formats import csr
from .register_buses import RegisterBuses


def _number(text: str) -> int:
    try:
        return int(text, 0)
    except ValueError:
        raise typer.BadParameter(
            f"{text!r} is no number; 17, 0x11 and 0b10001 are", param_hint="VALUE"
        ) from None


def _of_core(bus: RegisterBuses, core: int, name: str | None, wanted: int | None) -> dict[str, int]:
    """Written and read while ``core_index`` is that core's, and nobody comes between; it is 0 then.

    Of all registers where there is no name.
    """
    cores = bus.read("cores")
    if core >= cores:
        raise typer.BadParameter(
            f"the NIC has {cores} slice(s), 0 to {cores - 1}, and no {core}", param_hint="--core"
        )
    parts = [r.name for r in csr.REGISTERS] if name is None else csr.parts_of(name)
    change = {} if name is None or wanted is None else {name: wanted}
    steps = [({"core_index": core}, ()), (change, parts), ({"core_index": 0}, ())]
    _, found, _ = bus.transact(steps)
    if name is None:
        return found
    value = 0
    for part in found.values():
        value = value << 32 | part
    return {name: value}


def register(
    control: Annotated[
        Path, typer.Argument(help="What `midwire nic --control` was given.", metavar="SOCKET")
    ],
    name: Annotated[
        str | None, typer.Argument(help="Register, as in docs/nic.md; all of them by default.")
    ] = None,
    value: Annotated[str | None, typer.Argument(help="Write this first; 0x... is taken.")] = None,
    core: Annotated[
        int | None,
        typer.Option(
            min=0,
            max=csr.MAX_CORES - 1,
            help="Of a NIC with several slices, the one that registers of access model are of, by "
            "its place among the bundles, from 0 on. Default: what core_index says, 0 at first.",
            show_default=False,
        ),
    ] = None,
    as_json: JsonFlag = False,
) -> None:
    """Read the registers of a running NIC, or write one, while frames move.

    Of a NIC with several instances, SOCKET is all of them: counters are added up, what is written
    is written to all. SOCKET.0, SOCKET.1 and so on are each of them alone.
    """
    console = Console(as_json)
    wanted = None if value is None else _number(value)
    with RegisterBuses.connect(control) as bus:
        if core is not None:
            found = _of_core(bus, core, name, wanted)
        elif name is None:
            found = bus.read_all(r.name for r in csr.REGISTERS)
        else:
            if wanted is not None:
                bus.write(name, wanted)
            found = {name: bus.read(name)}
    console.result(found, "\n".join(f"{key} {number:#x}" for key, number in found.items()))
