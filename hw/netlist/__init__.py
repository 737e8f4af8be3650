# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""What is in a netlist of words, and how many primitives a synthesiser makes of it."""
