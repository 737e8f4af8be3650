# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""The NIC pipeline inside other people's FPGA NICs: adapters to their user blocks."""
