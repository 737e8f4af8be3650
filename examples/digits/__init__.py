# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""A small CNN on handwritten digits: the model of ``midwire demo``."""
