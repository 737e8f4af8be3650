# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""Ports and modules as text: what adapters are written with."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

COPYRIGHT = (
    "// SPDX-FileCopyrightText: 2026 midwire contributors",
    "// SPDX-License-Identifier: Apache-2.0",
)
"""What generated Verilog begins with."""


class Port(NamedTuple):
    """A port of a module: its way, its width as a Verilog expression (None: one bit), its name."""

    way: str
    width: str | None
    name: str

    @property
    def declared(self) -> str:
        """As it stands in the list of ports."""
        bits = "" if self.width is None else f" [{self.width} - 1:0]"
        return f"{self.way} wire{bits} {self.name}"


def stream(
    name: str, fields: Mapping[str, str], count: str, *, out: bool, valid: str = "tvalid"
) -> list[Port]:
    """The ports of ``count`` streams, as vectors: ``fields`` with their widths, one bit where that
    is ``1``; ``valid``, and the ready that goes the other way."""
    there, back = ("output", "input") if out else ("input", "output")
    ports = [
        Port(there, count if width == "1" else f"{count} * {width}", f"{name}_{field}")
        for field, width in fields.items()
    ]
    ready = valid.replace("valid", "ready")
    return [*ports, Port(there, count, f"{name}_{valid}"), Port(back, count, f"{name}_{ready}")]


def axil(name: str, address: str, data: str, strobes: str, *, manager: bool) -> list[Port]:
    """The ports of an AXI4-Lite, with protection bits."""
    there, back = ("output", "input") if manager else ("input", "output")
    ports = []
    for channel in ("aw", "ar"):
        ports += [
            Port(there, address, f"{name}_{channel}addr"),
            Port(there, "3", f"{name}_{channel}prot"),
        ]
    ports += [Port(there, data, f"{name}_wdata"), Port(there, strobes, f"{name}_wstrb")]
    ports += [Port(back, data, f"{name}_rdata")]
    ports += [Port(back, "2", f"{name}_{channel}resp") for channel in ("b", "r")]
    for channel, way, other in (
        ("aw", there, back),
        ("w", there, back),
        ("ar", there, back),
        ("b", back, there),
        ("r", back, there),
    ):
        ports += [
            Port(way, None, f"{name}_{channel}valid"),
            Port(other, None, f"{name}_{channel}ready"),
        ]
    return ports


def header(module: str, parameters: Mapping[str, str], ports: Sequence[Port]) -> list[str]:
    """A module up to its body."""
    lines = [f"module {module} #("]
    lines += _listed(f"    parameter {name} = {value}" for name, value in parameters.items())
    lines.append(") (")
    lines += _listed(f"    {port.declared}" for port in ports)
    return [*lines, ");"]


def instance(
    module: str, name: str, parameters: Mapping[str, str], pins: Mapping[str, str], indent: int
) -> list[str]:
    """An instance whose pins are connected by name."""
    pad = " " * indent
    if parameters:
        lines = [f"{pad}{module} #("]
        lines += _listed(f"{pad}    .{key}({value})" for key, value in parameters.items())
        lines.append(f"{pad}) {name} (")
    else:
        lines = [f"{pad}{module} {name} ("]
    lines += _listed(f"{pad}    .{key}({value})" for key, value in pins.items())
    return [*lines, f"{pad});"]


def each_port(
    count: str, shell: Iterable[str], straight: Iterable[str], of_all: Iterable[str] = ()
) -> list[str]:
    """A block for each of ``count`` ports ``n``: ``of_all`` of them, then ``shell`` of the first
    ``SHELLS``, and ``straight`` of the others."""
    return [
        "    genvar n;",
        "    generate",
        f"        for (n = 0; n < {count}; n = n + 1) begin : port",
        *of_all,
        "            if (n < SHELLS) begin : shell",
        *shell,
        "            end else begin : straight",
        *straight,
        "            end",
        "        end",
        "    endgenerate",
    ]


def _listed(items: Iterable[str]) -> list[str]:
    *most, last = items
    return [*(f"{item}," for item in most), last]
