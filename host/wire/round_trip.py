# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""How long an answer takes by a path, and how long to wait for one: RFC 6298.

Rules, cited by tests as T1 to T4:

T1. The first measurement is the smoothed round trip, half of it the deviation. Each later one moves
    the deviation by a quarter, then the smoothed round trip by an eighth.
T2. The wait is the smoothed round trip and four deviations. Before any measurement, and at most
    after T4, it is what the caller says.
T3. Only requests that were sent once are measured (Karn): of one that was sent again, nobody knows
    what the answer belongs to. That is the caller's to keep.
T4. A wait that ends without an answer doubles the next ones by the path, until there is another
    measurement (the other half of Karn's rule): a path that has become slow has no request that
    was sent once, and would be flooded for ever.
"""

from __future__ import annotations

GAIN, DEVIATION_GAIN = 1 / 8, 1 / 4
DEVIATIONS = 4


class RoundTrip:
    """Estimates of one path, in seconds.

    Attributes
    ----------
    smoothed : the round trip; None before any measurement
    """

    def __init__(self) -> None:
        self.smoothed: float | None = None
        self._deviation = 0.0
        self._backed_off = 0.0

    def measured(self, seconds: float) -> None:
        """An answer came after so long, to a request that was sent once (T1, T3)."""
        if self.smoothed is None:
            self.smoothed, self._deviation = seconds, seconds / 2
        else:
            off = abs(self.smoothed - seconds)
            self._deviation += DEVIATION_GAIN * (off - self._deviation)
            self.smoothed += GAIN * (seconds - self.smoothed)
        self._backed_off = 0.0

    def timed_out(self, waited: float) -> None:
        """No answer came within that wait (T4)."""
        self._backed_off = max(self._backed_off, 2 * waited)

    def wait(self, unmeasured: float) -> float:
        """How long to wait for an answer (T2)."""
        if self.smoothed is None:
            return unmeasured
        estimate = self.smoothed + DEVIATIONS * self._deviation
        return max(estimate, min(self._backed_off, unmeasured))
