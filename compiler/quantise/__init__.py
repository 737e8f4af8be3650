# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""Grids: what values tensors take, which grid loses least, and what it costs."""
