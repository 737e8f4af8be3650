# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""Kernels: what a slice computes on integers, exactly, and every way to build it, as data.

No Amaranth here: :mod:`midwire.hw.datapath` has the components.
"""
