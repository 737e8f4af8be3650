# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""Numbers, wire and bundle formats, streaming components; imports nothing else of midwire's."""
