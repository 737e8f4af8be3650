# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""``midwire report``: what a bundle's manifest says, as one HTML page."""
