# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""Running nodes told and asked: today, the registers of a NIC; later, plans and advertisements."""
