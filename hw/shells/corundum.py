# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""Corundum's application block with the NIC pipeline on its ``sync`` streams.

Rules, cited by tests as A1 to A4:

A1. Each of the first ``SHELLS`` ports has a pipeline of its own between network and host
    (:mod:`.port`); all others, and all other streams, are wires.
A2. A frame that is made here has the transmit tag 0 on its way out. Corundum's transmit engine sets
    the highest bit of its tags, so completions without it are of our frames: they end here.
    All others go on as they are.
A3. What passes keeps its bad-frame bit. Its time of arrival is 0: a pipeline does not carry it.
A4. The application window is a list of register blocks, one every 4 KiB, one for each pipeline.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from ..formats.csr import TYPE
from .corundum_ports import PARAMETERS, PORTS
from .port_shape import PortShape
from .register_windows import AXIL, register_pins, windows
from .verilog import COPYRIGHT, Port, each_port, header, instance

TOP = "mqnic_app_block"
USER_BITS = 32

_CHECKS = (
    (
        f"APP_ID != 32'h{TYPE:08x}",
        f"APP_ID must be 32'h{TYPE:08x}, in config.tcl",
    ),
    ("AXIS_SYNC_DATA_WIDTH != {bits}", "AXIS_SYNC_DATA_WIDTH must be {bits}: compile for another"),
    ("AXIL_APP_CTRL_DATA_WIDTH != 32", "AXIL_APP_CTRL_DATA_WIDTH must be 32"),
    ("AXIL_APP_CTRL_ADDR_WIDTH < 13", "AXIL_APP_CTRL_ADDR_WIDTH must be at least 13"),
    ("AXIS_SYNC_TX_USER_WIDTH != TX_TAG_WIDTH + 1", "AXIS_SYNC_TX_USER_WIDTH must be a tag and 1"),
    (f"TX_TAG_WIDTH >= {USER_BITS - 1}", f"TX_TAG_WIDTH must be below {USER_BITS - 1}"),
    ("SHELLS < 1 || SHELLS > PORT_COUNT", "SHELLS must be 1 to PORT_COUNT"),
)


def shape(beat_bytes: int) -> PortShape:
    """What each port of a block is."""
    return PortShape(beat_bytes, USER_BITS, sized=False)


def adapter(prefix: str, beat_bytes: int) -> str:
    """The Verilog of the application block, around ``{prefix}_port`` and ``{prefix}_windows``."""
    parameters = {**PARAMETERS, "APP_ID": f"32'h{TYPE:08x}", "SHELLS": "1"}
    lines = [
        *COPYRIGHT,
        f"// Corundum's application block with {prefix}_nic between network and host of the first",
        "// SHELLS ports (SHELLS is ours; Corundum sets none): frames to our address become",
        "// results, which leave by the same port. README.md beside this says how to build it in.",
        *header(TOP, parameters, PORTS),
        *_checks(beat_bytes),
        *_windows(prefix),
        *each_port("PORT_COUNT", _shell(prefix), _straight()),
        *_wires(),
        "endmodule",
    ]
    return "\n".join(lines) + "\n"


def _checks(beat_bytes: int) -> Iterator[str]:
    yield "    initial begin"
    for condition, message in _CHECKS:
        found = condition.format(bits=8 * beat_bytes)
        text = message.format(bits=8 * beat_bytes)
        yield f"        if ({found}) begin"
        yield f'            $display("{TOP}: {text}.");'
        yield "            $finish;"
        yield "        end"
    yield "    end"


def _windows(prefix: str) -> Iterator[str]:
    clocks = {"s_clk": "clk", "s_rst": "rst", "clk": "clk", "rst": "rst"}
    pins = {name: f"s_axil_app_ctrl_{name}" for name in AXIL}
    yield from windows(prefix, "SHELLS", "AXIL_APP_CTRL_ADDR_WIDTH", clocks, pins)


_SYNC = {
    "tdata": "AXIS_SYNC_DATA_WIDTH",
    "tkeep": "AXIS_SYNC_KEEP_WIDTH",
    "tvalid": None,
    "tready": None,
    "tlast": None,
}


def _of_port(signal: str, width: str | None) -> str:
    return f"{signal}[n]" if width is None else f"{signal}[n * {width}+:{width}]"


def _shell(prefix: str) -> Iterator[str]:
    pad = " " * 16
    tag = "s_axis_sync_tx_cpl_tag[n * TX_TAG_WIDTH + TX_TAG_WIDTH - 1]"
    yield f"{pad}wire bad;"
    yield f"{pad}wire [{USER_BITS} - 1:0] user;"
    yield f"{pad}wire unused_made;"
    pins = {"clk": "clk", "aresetn": "!rst", **register_pins("n")}
    for ours, theirs in (
        ("s_net", "s_axis_sync_rx"),
        ("m_host", "m_axis_sync_rx"),
        ("s_host", "s_axis_sync_tx"),
        ("m_net", "m_axis_sync_tx"),
    ):
        for name, width in _SYNC.items():
            pins[f"{ours}_axis_{name}"] = _of_port(f"{theirs}_{name}", width)
    pins |= {
        "s_net_axis_tuser": "s_axis_sync_rx_tuser[n * AXIS_SYNC_RX_USER_WIDTH]",
        "m_host_axis_tuser": "bad",
        "s_host_axis_tuser": (
            f"{{{{{USER_BITS} - AXIS_SYNC_TX_USER_WIDTH{{1'b0}}}},\n{pad}        "
            f"{_of_port('s_axis_sync_tx_tuser', 'AXIS_SYNC_TX_USER_WIDTH')}}}"
        ),
        "m_net_axis_tuser": "user",
        "m_net_axis_tid": "unused_made",
    }
    yield from instance(f"{prefix}_port", "pipeline", {}, pins, 16)
    rx, tx = "AXIS_SYNC_RX_USER_WIDTH", "AXIS_SYNC_TX_USER_WIDTH"
    yield f"{pad}assign {_of_port('m_axis_sync_tx_tuser', tx)} = user[{tx} - 1:0];"
    yield f"{pad}assign m_axis_sync_rx_tuser[n * {rx}] = bad;"
    yield f"{pad}if ({rx} > 1) begin : time_of_arrival"
    yield f"{pad}    assign m_axis_sync_rx_tuser[n * {rx} + 1+:{rx} - 1] = 0;"
    yield f"{pad}end"
    yield f"{pad}// Completions of our own frames end here."
    yield f"{pad}assign m_axis_sync_tx_cpl_valid[n] = s_axis_sync_tx_cpl_valid[n] && {tag};"
    yield f"{pad}assign s_axis_sync_tx_cpl_ready[n] = m_axis_sync_tx_cpl_ready[n] || !{tag};"


def _straight() -> Iterator[str]:
    pad = " " * 16
    for way in ("rx", "tx"):
        user = f"AXIS_SYNC_{way.upper()}_USER_WIDTH"
        for name, width in {**_SYNC, "tuser": user}.items():
            there, back = f"m_axis_sync_{way}_{name}", f"s_axis_sync_{way}_{name}"
            if name == "tready":
                there, back = back, there
            yield f"{pad}assign {_of_port(there, width)} = {_of_port(back, width)};"
    yield f"{pad}assign m_axis_sync_tx_cpl_valid[n] = s_axis_sync_tx_cpl_valid[n];"
    yield f"{pad}assign s_axis_sync_tx_cpl_ready[n] = m_axis_sync_tx_cpl_ready[n];"


def _wires() -> Iterator[str]:
    """All other outputs: what passes through, and what is not used."""
    names = {port.name for port in PORTS}
    completion = "m_axis_sync_tx_cpl_"
    for port in PORTS:
        if port.way == "input" or _driven(port):
            continue
        if port.name == "jtag_tdo":
            yield "    assign jtag_tdo = jtag_tdi;"
            continue
        kind = port.name.removeprefix("m_axis_").removeprefix("s_axis_")
        through = kind.startswith(("direct_", "if_")) or port.name.startswith(completion)
        other = ("s" if port.name.startswith("m_axis_") else "m") + port.name[1:]
        if through and other in names:
            yield f"    assign {port.name} = {other};"
        elif port.name.endswith("ready"):
            yield f"    assign {port.name} = {{{port.width or '1'}{{1'b1}}}};"
        else:
            yield f"    assign {port.name} = 0;"


def _driven(port: Port) -> bool:
    """Whether an output is that of the window or of a port's streams."""
    if port.name.startswith("s_axil_app_ctrl_"):
        return True
    cpl = port.name in ("m_axis_sync_tx_cpl_valid", "s_axis_sync_tx_cpl_ready")
    streams = ("s_axis_sync_rx_", "m_axis_sync_rx_", "s_axis_sync_tx_t", "m_axis_sync_tx_t")
    return cpl or port.name.startswith(streams)


CONFIG = {
    "APP_ID": f"32'h{TYPE:08x}",
    "APP_ENABLE": "1",
    "APP_CTRL_ENABLE": "0",
    "APP_DMA_ENABLE": "0",
    "APP_AXIS_DIRECT_ENABLE": "0",
    "APP_AXIS_SYNC_ENABLE": "1",
    "APP_AXIS_IF_ENABLE": "0",
    "APP_STAT_ENABLE": "0",
    "AXIL_APP_CTRL_DATA_WIDTH": "32",
    "AXIL_APP_CTRL_ADDR_WIDTH": "24",
}
"""What a board's config.tcl must say."""


def glue(prefix: str, sources: Sequence[str], images: Sequence[str]) -> dict[str, str]:
    """Parts of a board's Makefile and of its config.tcl, by name.

    ``sources`` and ``images`` are paths of the bundle.
    """
    del prefix
    makefile = [
        "# Included by the Makefile of a board's build, before common/vivado.mk, with MIDWIRE the",
        "# absolute path of the bundle; in place of another mqnic_app_block.",
        *(f"SYN_FILES += $(MIDWIRE)/{path}" for path in sources),
        *(f"SYN_FILES += $(MIDWIRE)/{path}" for path in images),
    ]
    config = [
        "# Sourced by a board's config.tcl behind its own `dict set params` of the application",
        "# block, before anything is made of them.",
        *(f'dict set params {name} "{value}"' for name, value in CONFIG.items()),
    ]
    return {"files.mk": "\n".join(makefile) + "\n", "config.tcl": "\n".join(config) + "\n"}
