# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""Verilog from Amaranth, and what an interrupt leaves behind: nothing."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import pytest
from amaranth.back import verilog

from midwire.hw.datapath.convert import to_verilog
from midwire.hw.datapath.stream import Fifo, beat


def test_the_module_has_the_name_given() -> None:
    text = to_verilog(Fifo(beat(8, 1), 4), "some_fifo")
    assert "\nmodule some_fifo(" in text


def test_an_interrupt_ends_the_process_that_was_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    started: list[subprocess.Popen[bytes]] = []

    def convert(*given: Any, **options: Any) -> str:
        popen = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
        started.append(popen)
        raise KeyboardInterrupt

    monkeypatch.setattr(verilog, "convert", convert)
    with pytest.raises(KeyboardInterrupt):
        to_verilog(None, "top")
    assert started[0].returncode == -9
