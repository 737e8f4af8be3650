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


def register(
    control: Annotated[
        Path, typer.Argument(help="What `midwire nic --control` was given.", metavar="SOCKET")
    ],
    name: Annotated[
        str | None, typer.Argument(help="Register, as in docs/nic.md; all of them by default.")
    ] = None,
    value: Annotated[str | None, typer.Argument(help="Write this first; 0x... is taken.")] = None,
    as_json: JsonFlag = False,
) -> None:
    """Read the registers of a running NIC, or write one, while frames move.

    Of a NIC with several instances, SOCKET is all of them: counters are added up, what is written
    is written to all. SOCKET.0, SOCKET.1 and so on are each of them alone.
    """
    console = Console(as_json)
    wanted = None if value is None else _number(value)
    with RegisterBuses.connect(control) as bus:
        if name is None:
            found = bus.read_all(r.name for r in csr.REGISTERS)
        else:
            if wanted is not None:
                bus.write(name, wanted)
            found = {name: bus.read(name)}
    console.result(found, "\n".join(f"{key} {number:#x}" for key, number in found.items()))
