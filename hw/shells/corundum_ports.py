# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""The interface of Corundum's application block: names, widths and directions.

Facts from Corundum's documentation, the pages ``mqnic_app_block`` and ``mqnic_core`` of its modules
(its repository, ``docs/source/modules``; as of December 2023), and from the ports that
``mqnic_core`` connects. Both are by name, so their order here is ours.
"""

from __future__ import annotations

from .verilog import Port, axil, stream

_DRAM = ("aw", "w", "b", "ar", "r")


def _dram_parameters(kind: str) -> dict[str, str]:
    found = {f"{kind}_CH": "1", f"{kind}_ENABLE": "0", f"{kind}_GROUP_SIZE": "1"}
    bits = f"AXI_{kind}"
    found |= {
        f"{bits}_DATA_WIDTH": "256",
        f"{bits}_ADDR_WIDTH": "32",
        f"{bits}_STRB_WIDTH": f"{bits}_DATA_WIDTH / 8",
        f"{bits}_ID_WIDTH": "8",
    }
    for channel in _DRAM:
        found[f"{bits}_{channel.upper()}USER_ENABLE"] = "0"
        found[f"{bits}_{channel.upper()}USER_WIDTH"] = "1"
    found[f"{bits}_MAX_BURST_LEN"] = "256"
    return found | {f"{bits}_{kind_of}_BURST": "0" for kind_of in ("NARROW", "FIXED", "WRAP")}


def _dram_ports(kind: str) -> list[Port]:
    low, bits, count = kind.lower(), f"AXI_{kind}", f"{kind}_CH"
    address = {
        "id": f"{bits}_ID_WIDTH",
        "addr": f"{bits}_ADDR_WIDTH",
        "len": "8",
        "size": "3",
        "burst": "2",
        "lock": "1",
        "cache": "4",
        "prot": "3",
        "qos": "4",
    }
    channels = {
        "aw": address,
        "w": {"data": f"{bits}_DATA_WIDTH", "strb": f"{bits}_STRB_WIDTH", "last": "1"},
        "b": {"id": f"{bits}_ID_WIDTH", "resp": "2"},
        "ar": address,
        "r": {"id": f"{bits}_ID_WIDTH", "data": f"{bits}_DATA_WIDTH", "resp": "2", "last": "1"},
    }
    ports = [Port("input", count, f"{low}_{name}") for name in ("clk", "rst", "status")]
    for channel, fields in channels.items():
        wires = {f"{channel}{name}": width for name, width in fields.items()}
        wires[f"{channel}user"] = f"{bits}_{channel.upper()}USER_WIDTH"
        for port in stream(
            f"m_axi_{low}", wires, count, out=channel not in "br", valid=f"{channel}valid"
        ):
            ports.append(port)
    return ports


PARAMETERS: dict[str, str] = {
    "IF_COUNT": "1",
    "PORTS_PER_IF": "1",
    "SCHED_PER_IF": "PORTS_PER_IF",
    "PORT_COUNT": "IF_COUNT * PORTS_PER_IF",
    "CLK_PERIOD_NS_NUM": "4",
    "CLK_PERIOD_NS_DENOM": "1",
    "PTP_CLK_PERIOD_NS_NUM": "4",
    "PTP_CLK_PERIOD_NS_DENOM": "1",
    "PTP_TS_WIDTH": "96",
    "PTP_PORT_CDC_PIPELINE": "0",
    "PTP_PEROUT_ENABLE": "0",
    "PTP_PEROUT_COUNT": "1",
    "PTP_TS_ENABLE": "1",
    "TX_TAG_WIDTH": "16",
    "MAX_TX_SIZE": "9214",
    "MAX_RX_SIZE": "9214",
    **_dram_parameters("DDR"),
    **_dram_parameters("HBM"),
    "APP_ID": "0",  # replaced: our own
    "APP_CTRL_ENABLE": "1",
    "APP_DMA_ENABLE": "1",
    "APP_AXIS_DIRECT_ENABLE": "1",
    "APP_AXIS_SYNC_ENABLE": "1",
    "APP_AXIS_IF_ENABLE": "1",
    "APP_STAT_ENABLE": "1",
    "APP_GPIO_IN_WIDTH": "32",
    "APP_GPIO_OUT_WIDTH": "32",
    "DMA_ADDR_WIDTH": "64",
    "DMA_IMM_ENABLE": "0",
    "DMA_IMM_WIDTH": "32",
    "DMA_LEN_WIDTH": "16",
    "DMA_TAG_WIDTH": "16",
    "RAM_SEL_WIDTH": "4",
    "RAM_ADDR_WIDTH": "16",
    "RAM_SEG_COUNT": "2",
    "RAM_SEG_DATA_WIDTH": "256 * 2 / RAM_SEG_COUNT",
    "RAM_SEG_BE_WIDTH": "RAM_SEG_DATA_WIDTH / 8",
    "RAM_SEG_ADDR_WIDTH": "RAM_ADDR_WIDTH - $clog2(RAM_SEG_COUNT * RAM_SEG_BE_WIDTH)",
    "RAM_PIPELINE": "2",
    "AXIL_APP_CTRL_DATA_WIDTH": "32",
    "AXIL_APP_CTRL_ADDR_WIDTH": "16",
    "AXIL_APP_CTRL_STRB_WIDTH": "AXIL_APP_CTRL_DATA_WIDTH / 8",
    "AXIL_CTRL_DATA_WIDTH": "32",
    "AXIL_CTRL_ADDR_WIDTH": "16",
    "AXIL_CTRL_STRB_WIDTH": "AXIL_CTRL_DATA_WIDTH / 8",
    "AXIS_DATA_WIDTH": "512",
    "AXIS_KEEP_WIDTH": "AXIS_DATA_WIDTH / 8",
    "AXIS_TX_USER_WIDTH": "TX_TAG_WIDTH + 1",
    "AXIS_RX_USER_WIDTH": "(PTP_TS_ENABLE ? PTP_TS_WIDTH : 0) + 1",
    "AXIS_RX_USE_READY": "0",
    "AXIS_SYNC_DATA_WIDTH": "AXIS_DATA_WIDTH",
    "AXIS_SYNC_KEEP_WIDTH": "AXIS_SYNC_DATA_WIDTH / 8",
    "AXIS_SYNC_TX_USER_WIDTH": "AXIS_TX_USER_WIDTH",
    "AXIS_SYNC_RX_USER_WIDTH": "AXIS_RX_USER_WIDTH",
    "AXIS_IF_DATA_WIDTH": "AXIS_SYNC_DATA_WIDTH * 2 ** $clog2(PORTS_PER_IF)",
    "AXIS_IF_KEEP_WIDTH": "AXIS_IF_DATA_WIDTH / 8",
    "AXIS_IF_TX_ID_WIDTH": "12",
    "AXIS_IF_RX_ID_WIDTH": "PORTS_PER_IF > 1 ? $clog2(PORTS_PER_IF) : 1",
    "AXIS_IF_TX_DEST_WIDTH": "$clog2(PORTS_PER_IF) + 4",
    "AXIS_IF_RX_DEST_WIDTH": "8",
    "AXIS_IF_TX_USER_WIDTH": "AXIS_SYNC_TX_USER_WIDTH",
    "AXIS_IF_RX_USER_WIDTH": "AXIS_SYNC_RX_USER_WIDTH",
    "STAT_ENABLE": "1",
    "STAT_INC_WIDTH": "24",
    "STAT_ID_WIDTH": "12",
}
"""All parameters, with the defaults that the documentation gives them."""

COMPLETION = {"ts": "PTP_TS_WIDTH", "tag": "TX_TAG_WIDTH"}
"""Fields of a transmit completion."""


def _frames(bits: str, way: str) -> dict[str, str]:
    return {
        "tdata": f"{bits}_DATA_WIDTH",
        "tkeep": f"{bits}_KEEP_WIDTH",
        "tlast": "1",
        "tuser": f"{bits}_{way.upper()}_USER_WIDTH",
    }


def _ethernet(kind: str, bits: str, count: str) -> list[Port]:
    """One of the three places where frames pass through the block, both ways."""
    ports = []
    for side, out in (("s", False), ("m", True)):
        for way in ("tx", "rx"):
            fields = _frames(bits, way)
            if kind == "if":
                for name in ("id", "dest"):
                    fields[f"t{name}"] = f"{bits}_{way.upper()}_{name.upper()}_WIDTH"
            ports += stream(f"{side}_axis_{kind}_{way}", fields, count, out=out)
        name = f"{side}_axis_{kind}_tx_cpl"
        ports += stream(name, COMPLETION, count, out=out, valid="valid")
    return ports


def _dma(kind: str) -> list[Port]:
    """Descriptors, their status, and the memory that DMA reads and writes."""
    ports: list[Port] = []
    for way in ("read", "write"):
        name = f"axis_{kind}_dma_{way}_desc"
        fields = {
            "dma_addr": "DMA_ADDR_WIDTH",
            "ram_sel": "RAM_SEL_WIDTH",
            "ram_addr": "RAM_ADDR_WIDTH",
            "len": "DMA_LEN_WIDTH",
            "tag": "DMA_TAG_WIDTH",
        }
        if way == "write":
            fields["imm"] = "DMA_IMM_WIDTH"
        ports += [Port("output", width, f"m_{name}_{field}") for field, width in fields.items()]
        if way == "write":
            ports.append(Port("output", None, f"m_{name}_imm_en"))
        ports += [Port("output", None, f"m_{name}_valid"), Port("input", None, f"m_{name}_ready")]
        ports += [
            Port("input", "DMA_TAG_WIDTH", f"s_{name}_status_tag"),
            Port("input", "4", f"s_{name}_status_error"),
            Port("input", None, f"s_{name}_status_valid"),
        ]
    address = {"sel": "RAM_SEL_WIDTH", "addr": "RAM_SEG_ADDR_WIDTH"}
    written = {**address, "be": "RAM_SEG_BE_WIDTH", "data": "RAM_SEG_DATA_WIDTH"}
    for command, fields, out in (
        ("wr_cmd", written, False),
        ("rd_cmd", address, False),
        ("rd_resp", {"data": "RAM_SEG_DATA_WIDTH"}, True),
    ):
        name = f"{kind}_dma_ram_{command}"
        ports += stream(name, fields, "RAM_SEG_COUNT", out=out, valid="valid")
    return [*ports, Port("output", "RAM_SEG_COUNT", f"{kind}_dma_ram_wr_done")]


_PTP = {
    "clk": None,
    "rst": None,
    "sample_clk": None,
    "td_sd": None,
    "pps": None,
    "pps_str": None,
    "sync_locked": None,
    "sync_ts_rel": "PTP_TS_WIDTH",
    "sync_ts_rel_step": None,
    "sync_ts_tod": "PTP_TS_WIDTH",
    "sync_ts_tod_step": None,
    "sync_pps": None,
    "sync_pps_str": None,
    "perout_locked": "PTP_PEROUT_COUNT",
    "perout_error": "PTP_PEROUT_COUNT",
    "perout_pulse": "PTP_PEROUT_COUNT",
}

PORTS: tuple[Port, ...] = (
    Port("input", None, "clk"),
    Port("input", None, "rst"),
    *axil(
        "s_axil_app_ctrl",
        "AXIL_APP_CTRL_ADDR_WIDTH",
        "AXIL_APP_CTRL_DATA_WIDTH",
        "AXIL_APP_CTRL_STRB_WIDTH",
        manager=False,
    ),
    *axil(
        "m_axil_ctrl",
        "AXIL_CTRL_ADDR_WIDTH",
        "AXIL_CTRL_DATA_WIDTH",
        "AXIL_CTRL_STRB_WIDTH",
        manager=True,
    ),
    *_dma("ctrl"),
    *_dma("data"),
    *(Port("input", width, f"ptp_{name}") for name, width in _PTP.items()),
    *(
        Port("input", "PORT_COUNT", f"direct_{way}_{name}")
        for way in ("tx", "rx")
        for name in ("clk", "rst")
    ),
    *_ethernet("direct", "AXIS", "PORT_COUNT"),
    *_ethernet("sync", "AXIS_SYNC", "PORT_COUNT"),
    *_ethernet("if", "AXIS_IF", "IF_COUNT"),
    *_dram_ports("DDR"),
    *_dram_ports("HBM"),
    *stream("m_axis_stat", {"tdata": "STAT_INC_WIDTH", "tid": "STAT_ID_WIDTH"}, "1", out=True),
    Port("input", "APP_GPIO_IN_WIDTH", "gpio_in"),
    Port("output", "APP_GPIO_OUT_WIDTH", "gpio_out"),
    *(Port("input", None, f"jtag_{name}") for name in ("tdi", "tms", "tck")),
    Port("output", None, "jtag_tdo"),
)
"""All ports."""
