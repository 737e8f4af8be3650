# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""From an Amaranth component to Verilog, leaving no Yosys behind."""

from __future__ import annotations

import subprocess
import traceback
from types import TracebackType
from typing import Any

from amaranth.back import verilog


def to_verilog(top: Any, name: str, **options: bool) -> str:
    """Verilog of a component, without source locations.

    Parameters
    ----------
    top : the component
    name : of its module
    options : passed on to :func:`amaranth.back.verilog.convert`
    """
    try:
        return verilog.convert(top, name=name, emit_src=False, **options)
    except BaseException as error:
        _kill_children_in(error.__traceback__)
        raise


def _kill_children_in(trace: TracebackType | None) -> None:
    """Kill the processes that interrupted frames were waiting for.

    Amaranth starts Yosys and, when interrupted, forgets it; only its frame knows the process.
    """
    for frame, _ in traceback.walk_tb(trace):
        for value in list(frame.f_locals.values()):
            if isinstance(value, subprocess.Popen) and value.poll() is None:
                value.kill()
                value.wait()
