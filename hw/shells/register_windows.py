# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""The register files of several pipelines in one window: text that adapters share."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from .verilog import instance

_CHANNELS = {
    "aw": ("addr", "valid", "ready"),
    "w": ("data", "strb", "valid", "ready"),
    "b": ("resp", "valid", "ready"),
    "ar": ("addr", "valid", "ready"),
    "r": ("data", "resp", "valid", "ready"),
}
AXIL = tuple(f"{channel}{field}" for channel, fields in _CHANNELS.items() for field in fields)
"""Signals of an AXI4-Lite without protection bits."""

_BROADCAST = {"awaddr": 12, "araddr": 12, "wdata": 32, "wstrb": 4}
_WIDE = {"bresp": 2, "rresp": 2, "rdata": 32}


def windows(
    prefix: str, count: str, address_bits: str, clocks: Mapping[str, str], pins: Mapping[str, str]
) -> Iterator[str]:
    """An instance of ``{prefix}_windows`` for ``count`` pipelines, and the wires to them,
    ``axil_*``; ``pins`` are those of :data:`AXIL` towards the shell."""
    for name in AXIL:
        if name in _BROADCAST:
            yield f"    wire [{_BROADCAST[name] - 1}:0] axil_{name};"
        else:
            bits = f"{_WIDE[name]} * {count}" if name in _WIDE else count
            yield f"    wire [{bits} - 1:0] axil_{name};"
    connected = dict(clocks)
    connected |= {f"s_axil_{name}": pins[name] for name in AXIL}
    connected |= {f"m_axil_{name}": f"axil_{name}" for name in AXIL}
    parameters = {"COUNT": count, "ADDRESS_BITS": address_bits}
    yield from instance(f"{prefix}_windows", "windows", parameters, connected, 4)


def register_pins(index: str) -> dict[str, str]:
    """How the pipeline of an index is connected to those wires."""
    found = {}
    for name in AXIL:
        if name in _BROADCAST:
            of_one = ""
        elif name in _WIDE:
            of_one = f"[{_WIDE[name]} * {index}+:{_WIDE[name]}]"
        else:
            of_one = f"[{index}]"
        found[f"s_axil_{name}"] = f"axil_{name}{of_one}"
    return found
