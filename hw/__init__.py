# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""Numbers, wire and bundle formats, and the streaming components; imports nothing of midwire's own."""
