# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""What came of a stream of requests, for programs and for people."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ...hw.console import counters_text
from .requests import RequestOutcome


@dataclass
class Tally:
    """Counts outcomes as they come.

    Attributes
    ----------
    by : who executed the slice of how many requests
    declined : reason to how many requests a hop declined
    problems : what was wrong to how many requests ended so
    """

    replies: int = 0
    failed: int = 0
    by: dict[str, int] = field(default_factory=lambda: {"nic": 0, "cloud": 0})
    declined: Counter[str] = field(default_factory=Counter)
    problems: Counter[str] = field(default_factory=Counter)
    cycles: list[int] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)
    resent: int = 0
    started: float = field(default_factory=time.monotonic)

    def add(self, outcome: RequestOutcome) -> None:
        """Count one outcome."""
        self.resent += outcome.attempts - 1
        if outcome.error is not None:
            self.failed += 1
            self.problems[outcome.error.problem] += 1
            return
        self.replies += 1
        self.seconds.append(outcome.seconds)
        self.by[outcome.executed_by] = self.by.get(outcome.executed_by, 0) + 1
        if outcome.declined:
            self.declined[outcome.declined] += 1
        if outcome.cycles:  # a reference datapath has none
            self.cycles.append(outcome.cycles)

    def summary(self) -> dict[str, Any]:
        """For the last line of JSON."""
        elapsed = time.monotonic() - self.started
        return {
            "requests": self.replies + self.failed,
            "replies": self.replies,
            "failed": self.failed,
            "problems": dict(self.problems),
            "executed_by": self.by,
            "declined": dict(self.declined),
            "resent": self.resent,
            "seconds": elapsed,
            "inferences_per_second": self.replies / elapsed if elapsed > 0 else None,
            "latency_ms": {
                name: float(np.quantile(self.seconds, share)) * 1e3 if self.seconds else None
                for name, share in (("p50", 0.5), ("p99", 0.99))
            },
            "cycles_per_inference": float(np.median(self.cycles)) if self.cycles else None,
        }


SAID_ALREADY = frozenset({"requests", "replied", "failed"})
"""Counters of the client that the summary has under other names."""


def summary_text(summary: Mapping[str, Any]) -> str:
    """One line for people from :meth:`Tally.summary`, with the client's ``counters`` if it has any.

    Counters of what did not happen are left out.
    """
    by = summary["executed_by"]
    parts = [
        (
            f"{summary['replies']} replies ({by['nic']} slices executed in the NIC, {by['cloud']} "
            f"in the cloud)"
        ),
        f"{summary['failed']} errors",
        f"{summary['inferences_per_second'] or 0:.1f} inferences/s",
    ]
    declined = [f"{reason} {count}" for reason, count in summary["declined"].items()]
    if declined:
        parts.append(f"declined: {', '.join(declined)}")
    counters = summary.get("counters", {})
    told = {name: count for name, count in counters.items() if name not in SAID_ALREADY and count}
    if told:
        parts.append(f"counted: {counters_text(told)}")
    return ", ".join(parts)
