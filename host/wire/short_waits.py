# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""A selector whose waits are as short as it is told.

Those of epoll are whole milliseconds, which is longer than a fragment takes to come that somebody
asks for.
"""

from __future__ import annotations

import select
import selectors

_MOST_DESCRIPTORS = 1024
"""``select`` knows descriptors below that only; a process that has more waits a little longer."""


class ShortWaits(selectors.DefaultSelector):
    """As the selector of the platform; waits with the resolution of ``select``."""

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        """As of any selector; it is one descriptor itself, which wakes when something is ready."""
        if timeout is not None and timeout > 0 and hasattr(self, "fileno"):
            descriptor = self.fileno()
            if descriptor < _MOST_DESCRIPTORS:
                select.select([descriptor], [], [], timeout)
                timeout = 0
        return super().select(timeout)
