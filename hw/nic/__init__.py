# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""The NIC shell: a bump in the wire around a slice. :mod:`.top` is the whole on one page."""
