# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""``python -m midwire``: the command ``midwire``, by any interpreter that has it."""

from __future__ import annotations

import sys

from .host.cli import main

sys.exit(main())
