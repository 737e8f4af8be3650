# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""The processes of a live system: edge, NIC, cloud, and the command that starts them all."""
