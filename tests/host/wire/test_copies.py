# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""One copy of a tensor on its way out (the kernel's), one on its way in; nothing sleeps."""

from __future__ import annotations

import errno
import re
import socket
import tracemalloc
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import midwire.host
from midwire.host.wire import message
from midwire.host.wire.reassembly import Reassembler
from midwire.host.wire.tensors import from_buffers, to_buffers
from midwire.host.wire.udp import Train, UdpPort, trains
from midwire.hw.formats.tensor import AnyArray, Layout, TensorSpec
from midwire.hw.formats.wire import Header
from midwire.hw.numeric import QType

SIZE = 8 << 20
SPEC = TensorSpec("x", (SIZE,), "float32", QType(8, True, 1.0), Layout.raster((SIZE,)), 1)


def test_a_tensor_leaves_from_where_it_lies() -> None:
    array = np.arange(SIZE, dtype=np.uint32).view(np.int8)[:SIZE]
    [view] = to_buffers([SPEC], [array])
    pieces = [d[1:] for d in message.datagrams(Header(), [[view]])]
    assert all(np.shares_memory(np.frombuffer(p, np.int8), array) for d in pieces for p in d)
    assert sum(len(p) for d in pieces for p in d) == SIZE


def test_sending_and_receiving_allocate_the_tensor_once() -> None:
    array = np.arange(SIZE, dtype=np.uint32).view(np.int8)[:SIZE]
    target = Reassembler(lambda _: [SIZE])
    with UdpPort() as one, UdpPort() as two:
        tracemalloc.start()
        try:
            [view] = to_buffers([SPEC], [array])
            whole = None
            before = tracemalloc.get_traced_memory()[0]
            for train in trains(message.datagrams(Header(request_id=1), [[view]])):
                one.send(train, two.address)
                for datagram, source in two.receive(5.0):
                    header, payload = message.parse(datagram)
                    whole = target.add(header, payload, source, 0.0) or whole
            peak = tracemalloc.get_traced_memory()[1] - before
            assert whole is not None
            [back] = from_buffers([SPEC], whole.tensors)
            after = tracemalloc.get_traced_memory()[1] - before
        finally:
            tracemalloc.stop()
    np.testing.assert_array_equal(back, array)
    assert np.shares_memory(back, np.frombuffer(whole.tensors[0], np.int8))
    # The receiver's tensor, and far less than one more for everything else, both ways.
    assert SIZE <= peak < 1.25 * SIZE
    assert after < 1.25 * SIZE


def test_a_reply_is_sent_and_read_in_place() -> None:
    outputs: dict[str, AnyArray] = {
        "a": np.arange(100_000, dtype=np.float32),
        "b": np.zeros((0, 3)),
        "c": np.ones(7),
    }
    pieces = message.pack_reply(outputs, executed_by="nic", slice_sha256="")
    assert np.shares_memory(np.frombuffer(pieces[1], np.float32), outputs["a"])
    gathered = [b"".join(d[1:]) for d in message.datagrams(Header(), [pieces])]
    data = bytearray(b"".join(gathered))
    assert data == b"".join(pieces)
    found, _ = message.unpack_reply(data)
    for name, array in outputs.items():
        np.testing.assert_array_equal(found[name], array)
    assert np.shares_memory(found["a"], np.frombuffer(data, np.uint8))


@pytest.mark.parametrize("sizes", [[], [5], [5, 5, 3], [5, 3, 5], [3, 5], [9] * 200, [40_000] * 3])
def test_trains_keep_order_and_limits(sizes: list[int]) -> None:
    datagrams = [[bytes([i % 251]) * 2, bytes(size - 2)] for i, size in enumerate(sizes)]
    found = list(trains(datagrams))
    assert [d for train in found for d in train.datagrams] == datagrams
    for train in found:
        lengths = [sum(map(len, d)) for d in train.datagrams]
        assert len(lengths) <= 64 and sum(lengths) <= 65507
        assert all(length == train.size for length in lengths[:-1])
        assert lengths[-1] <= train.size


class WithoutTrains:
    """A socket whose kernel or device cuts no trains."""

    def __init__(self, own: socket.socket) -> None:
        self.own = own
        self.asked = 0

    def sendmsg(self, parts: Sequence[Any], control: Sequence[Any], *rest: Any) -> int:
        if control:
            self.asked += 1
            raise OSError(errno.EIO, "no segmentation here")
        return self.own.sendmsg(parts, control, *rest)


def test_trains_go_one_by_one_where_nobody_cuts_them(monkeypatch: pytest.MonkeyPatch) -> None:
    """And the kernel is asked once only."""
    with UdpPort() as one, UdpPort() as two:
        plain = WithoutTrains(one._socket)
        with monkeypatch.context() as patch:
            patch.setattr(one, "_socket", plain)
            for train in trains([b"%d" % k * 500] for k in range(6)):
                one.send(train, two.address)
            one.send(Train(2, [[b"a", b"b"], [b"c", b"d"]]), two.address)
        found = [bytes(data) for _ in range(8) for data, _ in two.receive(1.0)]
    assert found == [*(b"%d" % k * 500 for k in range(6)), b"ab", b"cd"]
    assert plain.asked == 1


def test_a_datagram_in_crumbs_is_put_together() -> None:
    [train] = trains([[b"x"] * 3000])
    assert train.datagrams == [[b"x" * 3000]]


def test_nothing_sleeps() -> None:
    folder = Path(midwire.host.__file__).parent
    names = (
        "time\\.sleep",
        "from time import",
        "u?sleep\\(",
        "nanosleep",
        "sched_yield",
        "sleep_for",
    )
    sleeps = re.compile(rf"\b({'|'.join(names)})")
    texts = [*folder.rglob("*.py"), *folder.rglob("*.cpp"), *folder.rglob("*.h")]
    assert len(texts) > 30
    found = [path.name for path in texts if sleeps.search(path.read_text("utf-8"))]
    assert not found
