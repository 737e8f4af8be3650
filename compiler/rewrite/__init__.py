# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""What exporters spell out in many nodes, taken as the operators that it means."""
