# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""Numbers, formats, kernels and hardware; imports nothing else of midwire's."""
