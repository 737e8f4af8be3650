# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""Errors of the simulation side.

::

    SimError
    |-- ToolchainError      no Verilator, no C++ compiler, or one that does not work
    |-- BuildError          Verilator or the compiler refused a design
    `-- SimulationError     the design ran and did something wrong
        |-- ProtocolError   it broke a rule of its streams
        |-- DeadlockError   it stopped moving
        `-- BenchError      a cocotb bench failed
"""

from __future__ import annotations


class SimError(Exception):
    """Base of all errors raised by ``midwire.sim``."""


class ToolchainError(SimError):
    """A program needed to build a simulation is missing or does not work."""


class BuildError(SimError):
    """Verilator or the C++ compiler refused a design."""


class SimulationError(SimError):
    """A design ran and did something wrong."""


class ProtocolError(SimulationError):
    """A design broke a rule of its AXI4-Streams."""


class DeadlockError(SimulationError):
    """A design made no progress for the length of the watchdog."""


class BenchError(SimulationError):
    """A cocotb bench failed."""
