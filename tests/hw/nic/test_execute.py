# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""Requests that the NIC executes."""

from __future__ import annotations

from typing import Any


def test_one_fragment(small: Any, tools: Any) -> None:
    for _ in range(5):
        request = tools.request(small.sizes)
        tools.check_result(request, small.send(*request.frames()))
    counts = small.check_counters()
    assert (counts["collected"], counts["requests"], counts["results"]) == (5, 5, 5)


def test_several_fragments(large: Any, tools: Any) -> None:
    for _ in range(3):
        request = tools.request(large.sizes)
        assert len(request.frames()) == 2
        tools.check_result(request, large.send(*request.frames()))
    counts = large.check_counters()
    assert (counts["collected"], counts["requests"], counts["result_frames"]) == (6, 3, 6)
