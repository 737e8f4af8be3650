# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""What runs where: topology files today; later, placements from measured profiles."""
