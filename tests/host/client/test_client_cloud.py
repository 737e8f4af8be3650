# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""Edge and cloud without a NIC, and with one that is played by the test. Rules R1 to R5, A2."""

from __future__ import annotations

import threading
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from midwire.host.client.edge_client import EdgeClient
from midwire.host.client.requests import Request
from midwire.host.client.under_way import RESEND_PAUSE_SECONDS
from midwire.host.errors import DeadlineError, RefusedError, StartError, UnreachableError
from midwire.host.policy.permission import EXECUTE_IN_CLOUD
from midwire.host.wire import message, udp
from midwire.host.wire.udp import UdpPort
from midwire.hw.errors import DataError
from midwire.hw.formats import fragments, wire
from midwire.hw.formats.bundle import Bundle
from midwire.hw.formats.tensor import AnyArray
from midwire.hw.formats.wire import DeclineReason, Header, encode

from ..conftest import changed, make_bundle, make_wide_bundle, relay, send, straight

SAMPLE = np.array([0.5, -1.0, 30.0, -64.0], np.float32)
DOUBLED = np.array([1.0, -2.0, 60.0, -64.0], np.float32)


def test_cloud_runs_a_slice_that_no_hop_executed(bundle: Bundle, cloud: Any) -> None:
    with EdgeClient(bundle, straight(cloud.port.address)) as client:
        outcome = client.infer(Request([SAMPLE]))
    assert outcome.error is None and outcome.outputs is not None
    np.testing.assert_array_equal(outcome.outputs["y"], DOUBLED)
    assert (outcome.executed_by, outcome.declined, outcome.attempts) == ("cloud", "", 1)
    assert outcome.wire_bytes == 4


def test_a_decline_and_its_reason_reach_the_edge(bundle: Bundle, cloud: Any) -> None:
    def hop(datagram: bytes) -> list[bytes]:
        return [changed(datagram, declined=True, reason=DeclineReason.POLICY)]

    with relay(hop, cloud.port.address) as address, EdgeClient(bundle, straight(address)) as client:
        outcome = client.infer(Request([SAMPLE], permission=EXECUTE_IN_CLOUD))
    assert outcome.outputs is not None
    np.testing.assert_array_equal(outcome.outputs["y"], DOUBLED)
    assert (outcome.executed_by, outcome.declined) == ("cloud", "policy")


def test_executed_on_the_way_gives_the_same_bits(bundle: Bundle, cloud: Any) -> None:
    def hop(datagram: bytes) -> list[bytes]:
        doubled = np.frombuffer(datagram[64:], np.int8).astype(int) * 2
        payload = np.clip(doubled, -128, 127).astype(np.int8).tobytes()
        return [changed(datagram, payload, cursor=1, result=True, telemetry=True, cycles=77)]

    with relay(hop, cloud.port.address) as address, EdgeClient(bundle, straight(address)) as client:
        outcome = client.infer(Request([SAMPLE]))
    with EdgeClient(bundle, straight(cloud.port.address)) as client:
        other = client.infer(Request([SAMPLE]))
    assert (outcome.executed_by, outcome.cycles) == ("nic", 77)
    assert outcome.slice_sha256 == other.slice_sha256
    assert outcome.outputs is not None and other.outputs is not None
    assert outcome.outputs["y"].tobytes() == other.outputs["y"].tobytes()


def test_many_requests_in_a_window_end_once_each(bundle: Bundle, cloud: Any) -> None:
    requests = [Request([SAMPLE * (i % 3)], tag=i) for i in range(100)]
    with EdgeClient(bundle, straight(cloud.port.address), window=8) as client:
        outcomes = list(client.stream(requests))
    assert sorted(outcome.request.tag for outcome in outcomes) == list(range(100))
    assert all(outcome.error is None for outcome in outcomes)
    assert client.counters["requests"] == client.counters["replied"] == 100


def test_a_lost_request_is_sent_again_and_flagged(bundle: Bundle, cloud: Any) -> None:
    seen: list[bool] = []

    def hop(datagram: bytes) -> list[bytes]:
        seen.append(wire.decode(datagram).resend)
        return [datagram] if len(seen) > 2 else []

    with (
        relay(hop, cloud.port.address) as address,
        EdgeClient(bundle, straight(address), deadline=1.5) as client,
    ):
        outcome = client.infer(Request([SAMPLE]))
    assert outcome.error is None
    assert (outcome.attempts, seen) == (3, [False, True, True])


def test_a_doubled_path_gives_one_outcome(bundle: Bundle, cloud: Any) -> None:
    with (
        relay(lambda datagram: [datagram, datagram], cloud.port.address) as address,
        EdgeClient(bundle, straight(address)) as client,
    ):
        outcomes = list(client.stream([Request([SAMPLE], tag=i) for i in range(5)]))
    assert [outcome.request.tag for outcome in outcomes] == [0, 1, 2, 3, 4]
    assert all(outcome.error is None for outcome in outcomes)


def test_silence_ends_in_a_typed_error_before_the_deadline(bundle: Bundle) -> None:
    with (
        UdpPort() as deaf,
        EdgeClient(bundle, straight(deaf.address), deadline=1.2, retries=2) as client,
    ):
        outcome = client.infer(Request([SAMPLE]))
        found = sum(1 for _ in range(9) for _ in deaf.receive(0.0))
    assert isinstance(outcome.error, DeadlineError)
    assert outcome.seconds < 1.2
    assert found == outcome.attempts == 3
    assert str(outcome.error) == (
        f"request {outcome.request_id:016x}: no reply in time; expected a reply by way of "
        f"127.0.0.1:{deaf.address[1]} within 1.2 s; found none after 3 attempt(s). Look at the "
        "counters of the NIC and of the cloud node, or raise --deadline."
    )


def test_resends_are_no_flood(bundle: Bundle) -> None:
    """However many retries a short deadline has to hold (R2)."""
    with UdpPort() as deaf:
        with EdgeClient(bundle, straight(deaf.address), deadline=0.4, retries=100) as client:
            outcome = client.infer(Request([SAMPLE]))
        found = 0
        while came := len(list(deaf.receive(0.0))):
            found += came
    assert isinstance(outcome.error, DeadlineError)
    assert 2 <= found == outcome.attempts <= 0.4 / RESEND_PAUSE_SECONDS


@pytest.mark.parametrize("retries", [-1, 101])
def test_retries_are_bounded(bundle: Bundle, retries: int) -> None:
    with pytest.raises(StartError) as caught:
        EdgeClient(bundle, straight(("127.0.0.1", 9)), retries=retries)
    assert str(caught.value) == (
        f"the edge: no usable number of retries; expected 0 to 100; found {retries}. Raise the "
        "deadline instead: each wait is twice as long as the one before."
    )


def test_nobody_listening_is_said_long_before_the_deadline(bundle: Bundle) -> None:
    with UdpPort() as port:
        gone = port.address
    with EdgeClient(bundle, straight(gone), deadline=30.0, retries=1) as client:
        outcome = client.infer(Request([SAMPLE]))
    assert isinstance(outcome.error, UnreachableError)
    assert outcome.seconds < 10.0
    assert "nobody listens at the first hop" in str(outcome.error)


def test_another_model_is_refused(bundle: Bundle, cloud: Any, tmp_path: Path) -> None:
    other = make_bundle(tmp_path / "other", "another")
    with EdgeClient(other, straight(cloud.port.address)) as client:
        outcome = client.infer(Request([SAMPLE]))
    assert isinstance(outcome.error, RefusedError)
    assert str(outcome.error) == (
        f"request {outcome.request_id:016x}: the cloud cannot serve the request; expected a "
        f"result; found the cloud serves model {bundle.model_hash.hex()}, not "
        f"{other.model_hash.hex()}. Give the edge and the cloud the same bundle."
    )


def test_a_sample_of_another_shape_is_not_accepted(bundle: Bundle, cloud: Any) -> None:
    with EdgeClient(bundle, straight(cloud.port.address)) as client:
        with pytest.raises(DataError) as caught:
            client.infer(Request([np.zeros(5, np.float32)]))
        assert client.infer(Request([SAMPLE])).error is None
    assert str(caught.value) == (
        "input 'x': wrong shape; expected shape [4]; found shape [5]. Give one "
        "sample at a time, as the model takes it."
    )


@pytest.mark.parametrize(
    ("inputs", "problem"),
    [
        (
            [np.array(["1", "2", "3", "4"])],
            (
                "input 'x': not numbers; expected integers, floats or booleans; found dtype <U1. "
                "Convert them as the model's input takes them."
            ),
        ),
        (
            [np.array([1.0, np.nan, 1e300, 0.0])],
            (
                "input 'x': values that the model's input cannot take; expected finite "
                "numbers; found 2 others, the first being nan. Prepare the samples as for ONNX "
                "Runtime."
            ),
        ),
        (
            [SAMPLE, SAMPLE],
            (
                "a sample: wrong number of inputs; expected one array for each of x; found 2 "
                "arrays. Give one sample at a time, its arrays in the order of the model's inputs."
            ),
        ),
    ],
)
def test_values_that_the_model_cannot_take_are_not_accepted(
    bundle: Bundle, cloud: Any, inputs: list[AnyArray], problem: str
) -> None:
    with EdgeClient(bundle, straight(cloud.port.address)) as client:
        with pytest.raises(DataError) as caught:
            client.infer(Request(inputs))
        assert client.infer(Request([SAMPLE])).error is None
    assert str(caught.value) == problem


def test_what_becomes_of_fragments_of_replies_is_counted(bundle: Bundle) -> None:
    with UdpPort() as hop, EdgeClient(bundle, straight(hop.address), deadline=5.0) as client:

        def answer() -> None:
            for datagram, source in hop.receive(5.0):
                error = b'{"message": "' + b"n" * 100 + b'"}'
                header = replace(wire.decode(datagram), message_type=wire.MessageType.ERROR)
                pieces = list(fragments.datagrams(header, error, 172))
                wrong = changed(pieces[1], total_bytes=len(error) + 64)
                for piece in (pieces[0], pieces[0], wrong, pieces[1]):
                    send(hop, piece, len(piece), source)

        thread = threading.Thread(target=answer)
        thread.start()
        outcome = client.infer(Request([SAMPLE]))
        thread.join()
    assert isinstance(outcome.error, RefusedError)
    assert client.counters["duplicate"] == 1
    assert sum(client.counters.get(name, 0) for name in ("wrong_length", "bad_length")) == 1


def test_bad_datagrams_at_the_cloud_are_counted_and_do_no_harm(bundle: Bundle, cloud: Any) -> None:
    good = Header(model_hash=bundle.model_hash, request_id=7, last=True, total_bytes=4)
    data = bytes([1, 2, 3, 4])
    sound = encode(good) + data
    broken = bytearray(sound)
    broken[24] ^= 1
    bad = {
        "too_short": b"MW\x01",
        "bad_magic": b"XX" + sound[2:],
        "bad_version": sound[:2] + b"\x09" + sound[3:],
        "bad_crc": bytes(broken),
        "bad_length": sound + b"\x00",
        "wrong_length": encode(replace(good, total_bytes=5)) + data + b"\x00",
        "unknown_message": encode(replace(good, cursor=9)) + data,
        "not_for_the_cloud": encode(replace(good, message_type=wire.MessageType.ERROR)) + data,
    }
    with UdpPort() as port:
        for datagram in bad.values():
            send(port, datagram, len(datagram), cloud.port.address)
    with EdgeClient(bundle, straight(cloud.port.address)) as client:
        assert client.infer(Request([SAMPLE])).error is None
    counters = cloud.node.counters
    assert {name: counters.get(name) for name in bad} == dict.fromkeys(bad, 1)
    assert counters["by_cloud"] == 1


def test_bad_datagrams_at_the_edge_are_counted_and_do_no_harm(bundle: Bundle) -> None:
    with UdpPort() as hop, EdgeClient(bundle, straight(hop.address), deadline=5.0) as client:
        answers: list[bytes] = []

        def answer() -> None:
            for datagram, source in hop.receive(5.0):
                header = replace(
                    wire.decode(datagram), message_type=wire.MessageType.REPLY, last=True
                )
                nonsense = encode(replace(header, total_bytes=5)) + b"\xff" * 5
                stranger = encode(replace(header, request_id=1, total_bytes=5)) + b"\xff" * 5
                error = b'{"message": "no"}'
                last = replace(header, message_type=wire.MessageType.ERROR, total_bytes=len(error))
                answers.extend([b"junk", nonsense, stranger, encode(last) + error])
                for text in answers:
                    send(hop, text, len(text), source)

        thread = threading.Thread(target=answer)
        thread.start()
        outcome = client.infer(Request([SAMPLE]))
        thread.join()
    assert isinstance(outcome.error, RefusedError) and outcome.error.found == "no"
    assert client.counters["too_short"] == 1
    assert client.counters["bad_reply"] == 1
    assert client.counters["late_reply"] == 1


def test_a_reply_that_is_too_large_is_refused_and_does_not_end_the_cloud(
    bundle: Bundle, cloud: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    with EdgeClient(bundle, straight(cloud.port.address)) as client:
        with monkeypatch.context() as patch:
            patch.setattr(message, "MAX_REPLY_BYTES", 150)
            outcome = client.infer(Request([SAMPLE]))
        assert isinstance(outcome.error, RefusedError)
        assert "too large for a reply" in outcome.error.found
        assert client.infer(Request([SAMPLE])).error is None


def test_a_first_answer_that_was_lost_in_part_does_not_harm_the_second(bundle: Bundle) -> None:
    """The cloud's answer is longer than the NIC's, by the name of who executed."""

    def answer() -> None:
        answers = iter(("nic", "cloud"))
        executed_by = ""
        while executed_by != "cloud":
            for datagram, source in hop.receive(5.0):
                request = wire.decode(datagram)
                if request.message_type == wire.MessageType.MISSING:
                    continue  # this hop keeps no answers
                executed_by = next(answers)
                header = message.answer_header(request, wire.MessageType.REPLY)
                pieces = message.pack_reply(
                    {"y": DOUBLED}, executed_by=executed_by, slice_sha256="0" * 64
                )
                whole = [b"".join(d) for d in message.datagrams(header, [pieces], 172)]
                for piece in whole if executed_by == "cloud" else whole[:-1]:
                    send(hop, piece, len(piece), source)

    with UdpPort() as hop, EdgeClient(bundle, straight(hop.address), deadline=2.0) as client:
        thread = threading.Thread(target=answer)
        thread.start()
        outcome = client.infer(Request([SAMPLE]))
        thread.join()
    assert (outcome.error, outcome.executed_by, outcome.attempts) == (None, "cloud", 2)
    assert "bad_reply" not in client.counters


def test_what_an_abandoned_stream_had_to_send_is_forgotten(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(udp, "MAX_TRAIN_SEGMENTS", 2)  # 24 trains
    bundle = make_wide_bundle(tmp_path / "wide")
    good = [np.zeros(4, np.float32), np.zeros(3000, np.float32)]
    with (
        UdpPort() as deaf,
        EdgeClient(
            bundle, straight(deaf.address), window=2, mtu=172, deadline=0.4, retries=0
        ) as client,
    ):
        with pytest.raises(DataError):
            list(client.stream([Request(good), Request([SAMPLE, SAMPLE])]))
        while list(deaf.receive(0.0)):
            pass
        outcome = client.infer(Request(good))
        found = set()
        while seen := {wire.decode(data).request_id for data, _ in deaf.receive(0.0)}:
            found |= seen
    assert found == {outcome.request_id}
