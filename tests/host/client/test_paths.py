# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""Rule R6 of midwire.host.client.edge_client, and several models at one cloud."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from midwire.host.client.edge_client import EdgeClient
from midwire.host.client.requests import Request
from midwire.host.errors import RefusedError, StartError, UnreachableError
from midwire.host.nodes.cloud import MAX_BUNDLES, CloudNode
from midwire.host.steer.paths import MAX_PATHS, NetworkPath
from midwire.host.steer.steering import SILENT_ATTEMPTS, InOrder
from midwire.host.wire.udp import UdpPort
from midwire.hw.formats import wire
from midwire.hw.formats.bundle import Bundle

from ..conftest import Cloud, make_bundle, make_wide_bundle, relay, straight

SAMPLE = np.array([0.5, -1.0, 30.0, -64.0], np.float32)


def nobody() -> NetworkPath:
    with UdpPort() as port:
        return NetworkPath(port.address)


def test_all_fragments_and_resends_take_one_path(tmp_path: Path) -> None:  # R6
    bundle = make_wide_bundle(tmp_path / "wide")
    seen: list[list[tuple[int, bool, int]]] = [[], []]

    def hop(side: int, lost: int) -> Any:
        def one(datagram: bytes) -> list[bytes]:
            header = wire.decode(datagram)
            seen[side].append((header.request_id, header.resend, header.tensor_index))
            return [] if len(seen[side]) <= lost else [datagram]

        return one

    class Turns(InOrder):
        """One path after the other."""

        number = -1

        def choose(self, paths: object, now: float) -> int:
            self.number += 1
            return self.number % 2

    with (
        Cloud(bundle) as cloud,
        relay(hop(0, 4), cloud.port.address) as first,
        relay(hop(1, 0), cloud.port.address) as second,
    ):
        paths = [NetworkPath(first), NetworkPath(second)]
        with EdgeClient(bundle, paths, steering=Turns(), deadline=2.0) as client:
            inputs = [np.zeros(4, np.float32), np.ones(3000, np.float32)]
            outcomes = [client.infer(Request(inputs)) for _ in range(4)]
    assert [o.error for o in outcomes] == [None] * 4
    assert [o.path for o in outcomes] == [*paths, *paths]
    assert [o.attempts for o in outcomes] == [2, 1, 1, 1]
    for side in (0, 1):
        mine = {outcome.request_id for outcome in outcomes[side::2]}
        assert {request for request, _, _ in seen[side]} == mine
    lost, kept = (
        [resend for request, resend, _ in seen[0] if request == outcome.request_id]
        for outcome in outcomes[::2]
    )
    assert lost[:4] == kept[:4] == [False] * 4
    assert len(lost) >= 8 and all(lost[4:])  # a probe, and what was asked for then


def test_a_refused_path_is_left_at_once(bundle: Bundle, cloud: Any) -> None:  # R6, S2
    paths = [nobody(), NetworkPath(cloud.port.address, ("cloud",))]
    with EdgeClient(bundle, paths, deadline=60.0) as client:
        outcomes = list(client.stream(Request([SAMPLE]) for _ in range(5)))
    assert all(o.error is None and o.path == paths[1] for o in outcomes)
    assert [o.attempts for o in outcomes] == [2, 1, 1, 1, 1]
    assert outcomes[0].seconds < 10.0  # without waiting for an answer first
    assert client.counters["moved"] == client.counters["resent"] == 1


def test_a_silent_path_is_left_before_the_deadline(bundle: Bundle, cloud: Any) -> None:  # R1, S2
    with UdpPort() as deaf:
        paths = [NetworkPath(deaf.address), NetworkPath(cloud.port.address)]
        with EdgeClient(bundle, paths, deadline=1.5, retries=2) as client:
            outcomes = list(client.stream(Request([SAMPLE]) for _ in range(3)))
    assert all(o.error is None and o.path == paths[1] for o in outcomes)
    assert [o.attempts for o in outcomes] == [SILENT_ATTEMPTS + 1, 1, 1]
    assert outcomes[0].seconds < 1.5


def test_with_nothing_alive_every_request_still_ends(bundle: Bundle) -> None:  # R1, S4
    with EdgeClient(bundle, [nobody(), nobody()], deadline=60.0, retries=3) as client:
        outcome = client.infer(Request([SAMPLE]))
    assert isinstance(outcome.error, UnreachableError)
    assert outcome.seconds < 30.0


def test_a_client_has_paths_but_not_too_many(bundle: Bundle) -> None:
    EdgeClient(bundle, [NetworkPath(("127.0.0.1", 9))] * MAX_PATHS).close()
    for count in (0, MAX_PATHS + 1):
        with pytest.raises(StartError) as caught:
            EdgeClient(bundle, [NetworkPath(("127.0.0.1", 9))] * count)
        assert str(caught.value) == (
            f"the edge: no usable set of paths; expected 1 to {MAX_PATHS} paths; found {count}."
        )


def test_a_path_says_what_is_on_it() -> None:
    path = NetworkPath.parse("nic,cloud@127.0.0.1:5210")
    assert path == NetworkPath(("127.0.0.1", 5210), ("nic", "cloud"))
    assert str(path) == "127.0.0.1:5210 (nic, cloud)"
    assert NetworkPath.parse(":7") == NetworkPath(("127.0.0.1", 7))
    with pytest.raises(StartError, match="not a usable --target"):
        NetworkPath.parse("nic@nowhere")


def test_a_cloud_has_bundles_but_not_too_many(bundle: Bundle) -> None:
    with UdpPort() as port:
        for count in (0, MAX_BUNDLES + 1):
            with pytest.raises(StartError) as caught:
                CloudNode([bundle] * count, port)
            assert str(caught.value) == (
                f"the cloud: no usable set of bundles; expected 1 to {MAX_BUNDLES} bundles; found "
                f"{count}."
            )


def test_one_cloud_serves_several_models(bundle: Bundle, tmp_path: Path) -> None:
    wide, other = make_wide_bundle(tmp_path / "wide"), make_bundle(tmp_path / "other", "other")
    with Cloud(bundle, wide) as cloud:
        with EdgeClient(bundle, straight(cloud.port.address)) as client:
            narrow = client.infer(Request([SAMPLE]))
        with EdgeClient(wide, straight(cloud.port.address)) as client:
            broad = client.infer(Request([np.zeros(4, np.float32), np.zeros(3000, np.float32)]))
        with EdgeClient(other, straight(cloud.port.address)) as client:
            refused = client.infer(Request([SAMPLE]))
    assert narrow.outputs is not None and list(narrow.outputs) == ["y"]
    assert broad.outputs is not None and list(broad.outputs) == ["y0", "y1"]
    assert isinstance(refused.error, RefusedError)
    served = f"{bundle.model_hash.hex()}, {wide.model_hash.hex()}"
    assert refused.error.found == f"the cloud serves models {served}, not {other.model_hash.hex()}"
    assert [(m["name"], m["replies"]) for m in cloud.node.models] == [("double", 1), ("wide", 1)]


def test_an_error_is_an_answer_too(bundle: Bundle, cloud: Any, tmp_path: Path) -> None:  # S2
    heard: list[int] = []

    class Listening(InOrder):
        """Remembers by which paths answers came."""

        def answered(self, path: int, seconds: float) -> None:
            heard.append(path)

    other = make_bundle(tmp_path / "other", "other")
    with EdgeClient(other, straight(cloud.port.address), steering=Listening()) as client:
        assert isinstance(client.infer(Request([SAMPLE])).error, RefusedError)
    assert heard == [0]
