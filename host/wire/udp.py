# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""A UDP socket that sends and receives trains of datagrams.

A tensor is many datagrams of one size. Linux cuts a train in the kernel (UDP_SEGMENT) and joins one
on its way in (UDP_GRO), so that Python does not work per datagram; elsewhere, and where the kernel
refuses, datagrams go one by one.
"""

from __future__ import annotations

import contextlib
import errno
import select
import socket
import struct
import time
from collections.abc import Iterator
from types import TracebackType

from ..errors import StartError

Address = tuple[str, int]
"""IPv4 address as dotted text, and UDP port."""

LOOPBACK = "127.0.0.1"

MAX_TRAIN_SEGMENTS = 64
MAX_TRAIN_BYTES = 65507

PACE_SECONDS = 0.004
"""Pause between two trains: a receiver's socket holds little more than one, and a Python node takes
about that long to read it."""

_SOL_UDP = 17
_UDP_SEGMENT = 103
_UDP_GRO = 104
_BUFFER_BYTES = 4 << 20
_NO_TRAINS = {errno.EINVAL, errno.EIO, errno.ENOPROTOOPT, errno.EOPNOTSUPP, errno.EMSGSIZE}


def parse_address(text: str, what: str = "address") -> Address:
    """Read ``HOST:PORT``; the host may be left out (loopback) and the port may be 0 (any free one).

    Raises
    ------
    StartError
        If it is neither.
    """
    host, _, port = text.rpartition(":")
    try:
        if not port.isascii() or not port.isdecimal():
            raise ValueError(f"{port!r}, which is no port number")
        number = int(port)
        if number > 0xFFFF:
            raise ValueError(f"port {number}")
        ip = socket.getaddrinfo(host or LOOPBACK, number, socket.AF_INET, socket.SOCK_DGRAM)
    except (ValueError, OSError) as error:
        raise StartError(
            f"not a usable {what}",
            where=repr(text),
            expected="HOST:PORT, as in 127.0.0.1:5210",
            found=(error.strerror if isinstance(error, OSError) else "") or str(error),
            remedy="Name a host with an IPv4 address and a port from 0 (any free one) to 65535",
        ) from error
    return str(ip[0][4][0]), number


def format_address(address: Address) -> str:
    """The address as ``HOST:PORT``."""
    return f"{address[0]}:{address[1]}"


class UdpPort:
    """A bound UDP socket.

    Parameters
    ----------
    bind : where to listen; loopback and any free port by default
    peer : if given, only datagrams from there are received, and its ICMP errors surface

    Raises
    ------
    StartError
        If the address cannot be bound.
    """

    def __init__(self, bind: Address = (LOOPBACK, 0), peer: Address | None = None) -> None:
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        try:
            self._socket.bind(bind)
            if peer is not None:
                self._socket.connect(peer)
        except OSError as error:
            self._socket.close()
            raise StartError(
                "cannot open a UDP socket",
                where=format_address(bind),
                expected="an address of this machine and a free port",
                found=error.strerror or str(error),
                remedy="Choose another address or port; port 0 is any free one",
            ) from error
        for option in (socket.SO_RCVBUF, socket.SO_SNDBUF):
            self._socket.setsockopt(socket.SOL_SOCKET, option, _BUFFER_BYTES)
        with contextlib.suppress(OSError):  # where it is unknown, datagrams come one by one
            self._socket.setsockopt(_SOL_UDP, _UDP_GRO, 1)
        self._peer = peer
        self._trains = True
        self._buffer = bytearray(1 << 16)
        self.address: Address = self._socket.getsockname()

    @property
    def sends_trains(self) -> bool:
        """Whether the kernel has cut every train so far."""
        return self._trains

    def fileno(self) -> int:
        """For ``select``."""
        return self._socket.fileno()

    def send_train(self, data: bytes | bytearray | memoryview, size: int, to: Address) -> None:
        """Send ``data`` as datagrams of ``size`` bytes, the last one as long as what is left.

        Raises
        ------
        OSError
            As the socket's own; ConnectionRefusedError if ``to`` is the peer and nobody listens
            there.
        """
        view = memoryview(data)
        step = min(MAX_TRAIN_SEGMENTS, MAX_TRAIN_BYTES // size) * size
        destination = () if self._peer == to else to
        for start in range(0, len(view), step):
            if start:
                time.sleep(PACE_SECONDS)
            train = view[start : start + step]
            if self._trains and len(train) > size:
                try:
                    control = [(_SOL_UDP, _UDP_SEGMENT, struct.pack("=H", size))]
                    self._sendmsg(train, control, destination)
                    continue
                except OSError as error:
                    if error.errno not in _NO_TRAINS:
                        raise
                    self._trains = False  # a kernel or device without them; the loop below does it
            for at in range(0, len(train), size):
                self._sendmsg(train[at : at + size], [], destination)

    def _sendmsg(
        self,
        data: memoryview,
        control: list[tuple[int, int, bytes]],
        to: Address | tuple[()],
    ) -> None:
        if to:
            self._socket.sendmsg([data], control, 0, to)
        else:
            self._socket.sendmsg([data], control)

    def receive(self, timeout: float) -> Iterator[tuple[memoryview, Address]]:
        """Wait up to ``timeout`` seconds; yield what has come, perhaps nothing.

        A view is valid until the next one is asked for. Reads what one call to the kernel gives, so
        that a flood of datagrams cannot keep the caller from its timeouts.

        Raises
        ------
        OSError
            ConnectionRefusedError if the peer's machine says that nobody listens.
        """
        ready, _, _ = select.select([self._socket], [], [], max(0.0, timeout))
        if not ready:
            return
        try:
            count, control, _, source = self._socket.recvmsg_into(
                [self._buffer], socket.CMSG_SPACE(4), socket.MSG_DONTWAIT
            )
        except BlockingIOError:  # the kernel dropped it: its UDP checksum was wrong
            return
        size = count
        for level, kind, value in control:
            if (level, kind) == (_SOL_UDP, _UDP_GRO):
                size = struct.unpack_from("=H", value)[0]
        view = memoryview(self._buffer)[:count]
        for at in range(0, max(count, 1), max(size, 1)):
            yield view[at : at + size], source

    def close(self) -> None:
        """Close the socket."""
        self._socket.close()

    def __enter__(self) -> UdpPort:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()
