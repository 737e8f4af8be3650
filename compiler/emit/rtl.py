# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""The files of a slice's hardware: its Verilog, its memories, and what they hold."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib.resources import files

from ...hw.elaborate import prefixed, verilog_of
from ...hw.formats.bundle import PREFIX
from ..ir.dataflow import Dataflow
from .netlist import Elaborate, slice_verilog

MEMORIES = ("rom", "ram")


def slice_files(
    flow: Dataflow,
    elaborate: Elaborate = verilog_of,
    prefix: str = PREFIX,
    origins: Mapping[str, Sequence[str]] | None = None,
) -> dict[str, str]:
    """Text of every file by its name, which begins with the prefix.

    ``origins`` as :func:`~.netlist.slice_verilog`.
    """
    return {
        f"{prefix}_slice.v": slice_verilog(flow, elaborate, prefix, origins),
        **{f"{prefix}_{kind}.v": prefixed(_memory(kind), prefix) for kind in MEMORIES},
        **image_files(flow, prefix),
    }


def image_files(flow: Dataflow, prefix: str = PREFIX) -> dict[str, str]:
    """The memory images alone."""
    return {
        f"{prefix}_{name}": text for stage in flow.stages for name, text in stage.images.items()
    }


def _memory(kind: str) -> str:
    return files("midwire.hw").joinpath(f"verilog/mw_{kind}.v").read_text("utf-8")
