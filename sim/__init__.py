# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""Simulation: Verilated models driven from C++, and the shared cocotb bench."""
