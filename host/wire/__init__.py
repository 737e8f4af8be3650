# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""Datagrams: sockets, fragments put together, replies and errors."""
