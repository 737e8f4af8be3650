# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""Formats that cross between parts: bundle, tensors, header, fragments, registers, ``.npz``.

Standard library and numpy only: running nodes import this.
"""
