# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""Finishers: from exact accumulators to the integers of the output's type.

A layer makes exact integer accumulators; what follows (scales, bias, activation, rounding,
clipping) is an exact real function of them. A *finisher* computes its correctly rounded value, and
is proven to. Each kind is one file: what it means in numpy, its form in ONNX operators, and its
hardware as data. No Amaranth here; :mod:`midwire.hw.datapath` has the components.
"""
