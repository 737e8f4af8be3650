# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""Rules S1 to S4 of midwire.host.steer.steering."""

from __future__ import annotations

from midwire.host.steer.paths import NetworkPath
from midwire.host.steer.steering import REST_SECONDS, SILENT_ATTEMPTS, InOrder

PATHS = [NetworkPath(("127.0.0.1", port)) for port in (1, 2, 3)]


def test_the_first_path_while_it_is_alive() -> None:  # S1
    steering = InOrder()
    for now in (0.0, 10.0, 1e6):
        assert steering.choose(PATHS, now) == 0
        assert steering.keep(2, PATHS, now) == 2
        steering.answered(0, 0.1)


def test_silence_counts_in_a_row_only() -> None:  # S2
    steering = InOrder()
    for _ in range(5):
        for _ in range(SILENT_ATTEMPTS - 1):
            steering.unanswered(0, 0.0, refused=False)
        steering.answered(0, 0.1)
    assert steering.choose(PATHS, 0.0) == 0
    for _ in range(SILENT_ATTEMPTS):
        steering.unanswered(0, 0.0, refused=False)
    assert (steering.choose(PATHS, 0.0), steering.keep(0, PATHS, 0.0)) == (1, 1)


def test_a_refusal_is_enough_and_an_answer_revives() -> None:  # S2
    steering = InOrder()
    steering.unanswered(0, 0.0, refused=True)
    assert steering.keep(0, PATHS, 0.0) == 1
    steering.answered(0, 0.1)
    assert steering.choose(PATHS, 0.0) == 0


def test_a_dead_path_is_tried_by_one_request_after_a_rest() -> None:  # S3
    steering = InOrder()
    steering.unanswered(0, 0.0, refused=True)
    assert steering.choose(PATHS, REST_SECONDS - 0.1) == 1
    assert [steering.choose(PATHS, REST_SECONDS) for _ in range(3)] == [0, 1, 1]
    steering.unanswered(0, REST_SECONDS, refused=True)
    assert steering.choose(PATHS, REST_SECONDS + 0.1) == 1


def test_a_request_never_lacks_a_path() -> None:  # S4
    steering = InOrder()
    for now, path in enumerate((1, 0, 2)):
        steering.unanswered(path, float(now), refused=True)
    assert steering.choose(PATHS, 3.0) == 1
    assert steering.keep(2, PATHS, 3.0) == 2
