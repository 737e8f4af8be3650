# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""Which nodes can be built, where a model can be cut, and which slice is chosen."""
