# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""OpenNIC's user logic box of 250 MHz with the NIC pipeline between packet adapters and QDMA.

Facts from OpenNIC shell's README (its repository ``Xilinx/open-nic-shell``, release 1.0, sections
"User Plugin Integration" and "Shell Interface"), and the names in its box and its default plugin.

Rules, cited by tests as O1 to O4:

O1. Each of the first ``SHELLS`` ports has a pipeline of its own (:mod:`.port`); others are wires.
O2. ``tuser_size`` is the frame's, the same on each of its beats: frames leave when they are whole.
O3. ``tuser_dst`` is the port that the frame leaves by: physical function ``n`` to the host, MAC
    port ``n`` to the network, where the packet adapter drops others. ``tuser_src`` is where it came
    from, of frames that are made here the MAC port.
O4. The box's registers are a list of register blocks, one every 4 KiB, one for each pipeline. They
    have OpenNIC's clock for registers.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from .port_shape import PortShape
from .register_windows import AXIL, register_pins, windows
from .verilog import COPYRIGHT, Port, each_port, header, instance, stream

USER_BITS = 32  # size and source
ADDRESS_BITS = 20  # the box's window is 1 MiB
RESET_CYCLES = 255

PORT = PortShape(64, USER_BITS, sized=True)
"""What each port of a box is."""

_FIELDS = {
    "tdata": "512",
    "tkeep": "64",
    "tlast": "1",
    "tuser_size": "16",
    "tuser_src": "16",
    "tuser_dst": "16",
}
_STREAMS = {
    "s_axis_qdma_h2c": False,
    "m_axis_qdma_c2h": True,
    "m_axis_adap_tx_250mhz": True,
    "s_axis_adap_rx_250mhz": False,
}
_ANSWERS = {"awready", "wready", "bresp", "bvalid", "arready", "rdata", "rresp", "rvalid"}
_BITS = {"awaddr": "32", "araddr": "32", "wdata": "32", "rdata": "32", "bresp": "2", "rresp": "2"}

PORTS: tuple[Port, ...] = (
    *(
        Port("output" if name in _ANSWERS else "input", _BITS.get(name), f"s_axil_{name}")
        for name in AXIL
        if name != "wstrb"
    ),
    *(port for name, out in _STREAMS.items() for port in stream(name, _FIELDS, "PORTS", out=out)),
    Port("input", None, "mod_rstn"),
    Port("output", None, "mod_rst_done"),
    Port("input", None, "axil_aclk"),
    Port("input", None, "axis_aclk"),
)
"""Those of the module; the box's own wires of the same names are connected to them."""


def top(prefix: str) -> str:
    """The module that the box instantiates."""
    return f"{prefix}_box_250mhz"


def adapter(prefix: str) -> str:
    """The Verilog of that module, around ``{prefix}_port`` and ``{prefix}_windows``."""
    lines = [
        *COPYRIGHT,
        f"// OpenNIC's user box of 250 MHz with {prefix}_nic between packet adapter and QDMA of",
        "// the first SHELLS ports: frames to our address become results, which leave by the same",
        "// port. README.md beside this says how to build it in.",
        *header(top(prefix), {"PORTS": "1", "SHELLS": "1"}, PORTS),
        *_RESET,
        *_windows(prefix),
        *each_port("PORTS", _shell(prefix), _straight(), of_all=[_NUMBERS]),
        "endmodule",
    ]
    return "\n".join(lines) + "\n"


_NUMBERS = "            wire [15:0] mac = 16'd1 << (n + 6), host = 16'd1 << n;"

_RESET = f"""
    // A pulse of mod_rstn resets all of it, and so does the beginning.
    reg [7:0] since;
    (* ASYNC_REG = "TRUE" *) reg reset_once, reset;
    initial begin
        since = 8'd0;
        {{reset_once, reset}} = 2'b11;
    end
    assign mod_rst_done = since == 8'd{RESET_CYCLES};
    always @(posedge axil_aclk)
        if (!mod_rstn) since <= 8'd0;
        else if (!mod_rst_done) since <= since + 8'd1;
    always @(posedge axis_aclk) begin
        reset_once <= !mod_rst_done;
        reset <= reset_once;
    end
""".strip("\n").splitlines()


def _windows(prefix: str) -> Iterator[str]:
    clocks = {"s_clk": "axil_aclk", "s_rst": "!mod_rst_done", "clk": "axis_aclk", "rst": "reset"}
    pins = {name: f"s_axil_{name}" for name in AXIL} | {"wstrb": "4'hf"}
    for name in ("awaddr", "araddr"):
        pins[name] = f"s_axil_{name}[{ADDRESS_BITS - 1}:0]"
    yield from windows(prefix, "SHELLS", str(ADDRESS_BITS), clocks, pins)


def _of_port(signal: str, field: str) -> str:
    width = _FIELDS.get(field, "1")
    return f"{signal}_{field}[n]" if width == "1" else f"{signal}_{field}[n * {width}+:{width}]"


_SIGNALS = ("tdata", "tkeep", "tlast", "tvalid", "tready")


def _shell(prefix: str) -> Iterator[str]:
    pad = " " * 16
    pins = {"clk": "axis_aclk", "aresetn": "!reset", **register_pins("n")}
    network, host = "adap_tx_250mhz", "qdma_c2h"
    for ours, theirs in (
        ("s_net", "s_axis_adap_rx_250mhz"),
        ("m_host", f"m_axis_{host}"),
        ("s_host", "s_axis_qdma_h2c"),
        ("m_net", f"m_axis_{network}"),
    ):
        for name in _SIGNALS:
            pins[f"{ours}_axis_{name}"] = _of_port(theirs, name)
    size, source = (_of_port("s_axis_qdma_h2c", f"tuser_{name}") for name in ("size", "src"))
    pins |= {
        "s_net_axis_tuser": "1'b0",
        "m_host_axis_tuser": "unused_bad",
        "m_host_axis_tsize": "passed_size",
        "s_host_axis_tuser": f"{{{source}, {size}}}",
        "m_net_axis_tuser": "{source, size}",
        "m_net_axis_tid": "made",
        "m_net_axis_tsize": "made_size",
    }
    yield f"{pad}wire unused_bad, made;"
    yield f"{pad}wire [14:0] passed_size, made_size;"
    yield f"{pad}wire [15:0] source, size;"
    yield from instance(f"{prefix}_port", "pipeline", {}, pins, 16)
    for way, values in (
        (host, ("{1'b0, passed_size}", "mac", "host")),
        (network, ("made ? {1'b0, made_size} : size", "made ? mac : source", "mac")),
    ):
        for name, value in zip(("size", "src", "dst"), values, strict=True):
            yield f"{pad}assign {_of_port(f'm_axis_{way}', f'tuser_{name}')} = {value};"


def _straight() -> Iterator[str]:
    pad = " " * 16
    for out, into, to in (
        ("m_axis_qdma_c2h", "s_axis_adap_rx_250mhz", "host"),
        ("m_axis_adap_tx_250mhz", "s_axis_qdma_h2c", "mac"),
    ):
        for name in (*_SIGNALS, "tuser_size", "tuser_src"):
            there, back = (into, out) if name == "tready" else (out, into)
            yield f"{pad}assign {_of_port(there, name)} = {_of_port(back, name)};"
        yield f"{pad}assign {_of_port(out, 'tuser_dst')} = {to};"


_CHECKED = """
initial begin
  if (USE_PHYS_FUNC == 0)
    $fatal(1, "midwire needs the host's streams: build with -use_phys_func 1");
  if (NUM_QDMA != 1) $fatal(1, "midwire knows one QDMA subsystem: build with -num_qdma 1");
  if (NUM_PHYS_FUNC != NUM_CMAC_PORT)
    $fatal(1, "midwire takes a host function for each port: -num_phys_func as -num_cmac_port");
end
""".strip().splitlines()


def glue(prefix: str, sources: Sequence[str], images: Sequence[str]) -> dict[str, str]:
    """What the shell's build script reads of a user plugin, by paths in its folder.

    ``sources`` and ``images`` are paths of the bundle, above that folder.
    """
    pins = {port.name: port.name for port in PORTS}
    pins |= {name: f"{name}[0]" for name in ("mod_rstn", "mod_rst_done")}
    included = [
        *COPYRIGHT,
        "// Included by the box. Raise SHELLS for a pipeline on further ports.",
        *_CHECKED,
        "assign mod_rst_done[15:1] = {15{1'b1}};",
        *instance(top(prefix), "midwire", {"PORTS": "NUM_CMAC_PORT", "SHELLS": "1"}, pins, 0),
    ]
    unused = "The registers are connected as they are: there is no"
    script = [
        "# Sourced by the shell's build script, in this folder.",
        *(f"read_verilog -quiet ../{path}" for path in sources),
        *(f"add_files -quiet -norecurse ../{path}" for path in images),
    ]
    box = "box_250mhz"
    return {
        f"{box}/user_plugin_250mhz_inst.vh": "\n".join(included) + "\n",
        f"{box}/{box}_address_map_inst.vh": f"// {unused} address map.\n",
        f"{box}/{box}_address_map.v": f"// {unused} address map.\n",
        f"{box}/{box}_axi_crossbar.tcl": f"# {unused} crossbar.\n",
        f"build_{box}.tcl": "\n".join(script) + "\n",
    }
