# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""placeholder"""
from typing import Any
def divisors(n: int) -> list[int]:
    """Divisors of a positive integer, ascending."""
    return [d for d in range(1, n + 1) if n % d == 0]
conv_stage: Any = None
add_stage: Any = None
scale_stage: Any = None
pool_stage: Any = None
