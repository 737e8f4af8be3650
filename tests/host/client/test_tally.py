# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""What people read of a stream of requests."""

from __future__ import annotations

from typing import Any

from midwire.host.client.requests import Request, RequestOutcome
from midwire.host.client.tally import Tally, summary_text
from midwire.host.errors import DeadlineError
from midwire.host.steer.paths import NetworkPath
from midwire.hw.console import counters_text


def outcome(**changes: Any) -> RequestOutcome:
    good: dict[str, Any] = {
        "request": Request([]),
        "request_id": 1,
        "outputs": {},
        "error": None,
        "executed_by": "nic",
        "declined": "",
        "cycles": 7,
        "slice_sha256": "",
        "wire_bytes": 1,
        "attempts": 1,
        "path": NetworkPath(("127.0.0.1", 1)),
        "seconds": 0.25,
    }
    return RequestOutcome(**{**good, **changes})


def test_a_summary_says_who_executed_and_why_not() -> None:
    tally = Tally()
    tally.add(outcome())
    for _ in range(2):
        tally.add(outcome(executed_by="cloud", declined="wrong_tenant", attempts=2))
    for _ in range(3):
        error = DeadlineError("no reply in time")
        tally.add(outcome(error=error, outputs=None, executed_by=""))
    summary = tally.summary()
    assert summary["executed_by"] == {"nic": 1, "cloud": 2}
    assert summary["declined"] == {"wrong_tenant": 2}
    assert summary["problems"] == {"no reply in time": 3}
    assert (summary["requests"], summary["resent"]) == (6, 2)
    assert summary_text({**summary, "inferences_per_second": 4.04}) == (
        "3 replies (1 slices executed in the NIC, 2 in the cloud), 3 errors, 4.0 inferences/s, "
        "declined: wrong_tenant 2"
    )


def test_what_the_edge_counted_is_shown() -> None:
    summary = {**Tally().summary(), "inferences_per_second": None}
    counters = {"requests": 9, "replied": 9, "duplicate": 2, "late_reply": 1, "evicted": 0}
    assert summary_text({**summary, "counters": counters}).endswith(
        "0 errors, 0.0 inferences/s, counted: duplicate 2, late_reply 1"
    )
    quiet = {"requests": 9, "replied": 9}
    assert summary_text({**summary, "counters": quiet}).endswith("0 errors, 0.0 inferences/s")


def test_counters_leave_out_what_did_not_happen() -> None:
    counters = {"event": "stopped", "requests": 3, "evicted": 0, "flows": 1, "pipeline": {}}
    assert counters_text(counters) == "requests 3, flows 1"
    assert counters_text({"requests": 0}) == "nothing happened"
