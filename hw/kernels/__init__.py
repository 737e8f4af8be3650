# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""Kernels: what a slice computes on integers, in numpy, exactly."""
