# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""Simulation: Verilated models driven from C++, and the shared cocotb bench."""

from __future__ import annotations

from .verify import Verification, verify

__all__ = ["Verification", "verify"]
