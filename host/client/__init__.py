# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""The edge's side of requests: sending them, their outcomes, samples in and summaries out."""
