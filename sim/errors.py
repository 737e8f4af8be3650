# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""Errors of the simulation side.

::

    MidwireError
      ToolError             (hw)
        ToolchainError      no Verilator, no C++ compiler, or one that does not work
      SimulationError       the simulated hardware broke a rule
        ProtocolError       it broke a rule of its streams
        DeadlockError       it stopped moving
        BenchError          a cocotb bench failed
"""

from __future__ import annotations

from ..hw.errors import MidwireError, ToolError


class ToolchainError(ToolError):
    """A program needed to build a simulation is missing or does not work."""


class SimulationError(MidwireError):
    """The simulated hardware broke a rule."""


class ProtocolError(SimulationError):
    """A design broke a rule of its AXI4-Streams."""


class DeadlockError(SimulationError):
    """A design made no progress for the length of the watchdog."""


class BenchError(SimulationError):
    """A cocotb bench failed."""
