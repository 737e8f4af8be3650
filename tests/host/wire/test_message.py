# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""The bytes of replies and errors."""

from __future__ import annotations

import contextlib
import json
import random

import numpy as np
import pytest

from midwire.host.wire import message
from midwire.hw.formats import wire
from midwire.hw.formats.tensor import AnyArray
from midwire.hw.formats.wire import BadCrc, Header, TooShort


def test_a_reply_comes_back_as_it_was() -> None:
    outputs: dict[str, AnyArray] = {
        "logits": np.array([[0.5, -1.0]], np.float32),
        "boxes": np.arange(6, dtype=np.int64).reshape(1, 2, 3),
        "count": np.array(7, np.uint8),
        "empty": np.zeros((0, 4), np.float16),
    }
    data = b"".join(message.pack_reply(outputs, executed_by="nic", slice_sha256="ab"))
    found, about = message.unpack_reply(data)
    assert about == {"executed_by": "nic", "slice_sha256": "ab"}
    assert list(found) == list(outputs)
    for name, array in outputs.items():
        assert (found[name].dtype, found[name].shape) == (array.dtype, array.shape)
        assert found[name].tobytes() == array.tobytes()


def _reply(outputs: object, tail: bytes = b"") -> bytes:
    text = json.dumps({"outputs": outputs, "executed_by": "nic", "slice_sha256": ""}).encode()
    return len(text).to_bytes(4, "big") + text + tail


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\xff" * 4,
        b"\0\0\0\x02{}",
        b"\0\0\0\x02[]",
        b"\0\0\0\x04null",
        _reply([{"name": "y", "dtype": "float32", "shape": [2]}], bytes(7)),
        _reply([{"name": "y", "dtype": "float32", "shape": [2]}], bytes(9)),
        _reply([{"name": "y", "dtype": "float32", "shape": [-2]}], bytes(8)),
        _reply([{"name": "y", "dtype": "float32", "shape": [1 << 62, 1 << 62]}]),
        _reply([{"name": "y", "dtype": "object", "shape": [1]}], bytes(8)),
        _reply([{"name": "y", "dtype": "float32", "shape": "22"}], bytes(8)),
        _reply([{"name": "y", "dtype": ["float32"], "shape": [2]}], bytes(8)),
        _reply(5),
        _reply([]),
        b"\0\0\xff\xff" + b"[" * 65535,
    ],
)
def test_other_bytes_are_not_a_reply(data: bytes) -> None:
    with pytest.raises(message.BadReply):
        message.unpack_reply(data)
    with pytest.raises(message.BadReply):
        message.unpack_error(data)


def test_random_damage_never_raises_anything_else() -> None:
    seed = random.randrange(1 << 32)
    print("seed", seed)
    rng = random.Random(seed)
    pieces = message.pack_reply({"y": np.zeros(3, np.float32)}, executed_by="nic", slice_sha256="")
    whole = b"".join(pieces)
    for _ in range(2000):
        data = bytearray(whole[: rng.randrange(len(whole) + 1)])
        for _ in range(rng.randrange(4)):
            if data:
                data[rng.randrange(len(data))] = rng.randrange(256)
        with contextlib.suppress(message.BadReply):
            message.unpack_reply(bytes(data))


def test_an_error_comes_back_as_it_was() -> None:
    assert message.unpack_error(message.pack_error("no slot")) == "no slot"
    assert (
        message.unpack_error(message.pack_error("\x1b[2J no\nslot \u00e9")) == "?[2J no?slot \u00e9"
    )
    assert len(message.unpack_error(message.pack_error("x" * 5000))) == message.MAX_ERROR_TEXT


def test_messages_are_the_datagrams_of_the_wire_format() -> None:
    tensors = [bytes(range(256)) * 12, b"short"]
    whole = [b"".join(d) for d in message.datagrams(Header(request_id=5), [[t] for t in tensors])]
    parts = [message.parse(memoryview(datagram)) for datagram in whole]
    for index, tensor in enumerate(tensors):
        of_tensor = [(h, payload) for h, payload in parts if h.tensor_index == index]
        assert b"".join(payload for _, payload in of_tensor) == tensor
        assert {(h.source_count, h.request_id) for h, _ in of_tensor} == {(2, 5)}
        assert all(len(payload) == 1344 for _, payload in of_tensor[:-1])


def test_counters_are_named_by_the_error() -> None:
    assert message.reason_of(TooShort("x")) == "too_short"
    assert message.reason_of(BadCrc("x")) == "bad_crc"
    assert message.reason_of(message.BadReply("x")) == "bad_reply"
    assert issubclass(message.BadReply, wire.WireError)


def test_a_reply_that_nobody_takes_is_not_packed(monkeypatch: pytest.MonkeyPatch) -> None:
    outputs = {"y": np.zeros(100, np.uint8)}
    size = sum(map(len, message.pack_reply(outputs, executed_by="nic", slice_sha256="")))
    monkeypatch.setattr(message, "MAX_REPLY_BYTES", size)
    message.pack_reply(outputs, executed_by="nic", slice_sha256="")
    with pytest.raises(message.BadReply) as caught:
        message.pack_reply(outputs, executed_by="cloud", slice_sha256="")
    assert str(caught.value) == (
        f"the model's outputs are too large for a reply; expected at most {size} bytes; found "
        f"{size + 2} bytes."
    )
