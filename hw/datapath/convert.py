# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""From an Amaranth component to Verilog, leaving no Yosys behind."""

from __future__ import annotations

import re
import subprocess
import traceback
from collections.abc import Sequence
from types import TracebackType
from typing import Any

from amaranth.back import rtlil, verilog


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


def to_part(top: Any, index: int) -> str:
    """A component elaborated as part ``index`` of a :func:`to_verilog_batch`."""
    return str(rtlil.convert(top, name=_numbered(index), emit_src=False))


def to_verilog_batch(parts: Sequence[str], name: str) -> list[str]:
    """Verilog of several components, each with the top module ``name``, by one run of Yosys.

    Yosys takes longer to start than to convert a small component, and Amaranth's public function
    starts it for each. ``parts`` are those of :func:`to_part`, from 0 up.
    """
    text = verilog._convert_rtlil_text("\n".join(parts), strip_internal_attrs=True)
    found: list[list[str]] = [[] for _ in parts]
    for module in _MODULE.findall(text):
        number = _NUMBER.search(module)
        assert number is not None, module[:80]
        found[int(number[1])].append(module)
    return ["\n".join(modules).replace(_numbered(k), name) for k, modules in enumerate(found)]


_MODULE = re.compile(r"^module .*?^endmodule$", re.MULTILINE | re.DOTALL)

_NUMBER = re.compile(r"MwBatch(\d+)x")


def _numbered(index: int) -> str:
    """The name of a component's top in a batch: nothing else contains it."""
    return f"MwBatch{index}x"


def _kill_children_in(trace: TracebackType | None) -> None:
    """Kill the processes that interrupted frames were waiting for.

    Amaranth starts Yosys and, when interrupted, forgets it; only its frame knows the process.
    """
    for frame, _ in traceback.walk_tb(trace):
        for value in list(frame.f_locals.values()):
            if isinstance(value, subprocess.Popen) and value.poll() is None:
                value.kill()
                value.wait()
