# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""The exact cycle model: an engine, and the timing process of every component."""
