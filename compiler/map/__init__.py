# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""From real operators to integer nodes, and from those to components with FIFOs between them."""
