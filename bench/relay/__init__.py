# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""What a frame costs in the NIC's packet loop, without a pipeline in it."""
