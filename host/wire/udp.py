# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""A UDP socket that sends and receives trains of datagrams.

A tensor is many datagrams of one size. Linux cuts a train in the kernel (UDP_SEGMENT) and joins one
on its way in (UDP_GRO), so that Python does not work per datagram; elsewhere, and where the kernel
refuses, datagrams go one by one. Headers and payloads are gathered from where they lie: the
kernel's copy is the only one.
"""

from __future__ import annotations

import contextlib
import errno
import ipaddress
import select
import socket
import struct
import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from types import TracebackType
from typing import NamedTuple

from ..errors import StartError

Address = tuple[str, int]
"""IP address as text, as the kernel writes it and without a zone, and UDP port."""

LOOPBACK = "127.0.0.1"
LOOPBACK6 = "::1"

MAX_TRAIN_SEGMENTS = 64
MAX_TRAIN_BYTES = 65507

MAX_PARTS = 1000
"""Pieces of memory in a train; the kernel takes 1024."""

Datagram = Sequence[bytes | bytearray | memoryview]
"""One datagram in pieces that lie anywhere in memory."""


class Train(NamedTuple):
    """Datagrams that leave in one call: all of ``size`` bytes, the last one perhaps shorter."""

    size: int
    datagrams: list[Datagram]

    @classmethod
    def of(cls, datagram: bytes) -> Train:
        """The train of one datagram."""
        return cls(len(datagram), [[datagram]])


def trains(datagrams: Iterable[Datagram]) -> Iterator[Train]:
    """Put datagrams into trains, in their order, without looking at or copying their bytes."""
    train, total = Train(0, []), 0
    for datagram in datagrams:
        if len(datagram) > MAX_PARTS // MAX_TRAIN_SEGMENTS:
            datagram = [b"".join(datagram)]  # crumbs: one piece costs the kernel less
        size = sum(map(len, datagram))
        ended = train.datagrams and (
            total < train.size * len(train.datagrams)  # the last one was shorter
            or size > train.size
            or len(train.datagrams) == MAX_TRAIN_SEGMENTS
            or total + size > MAX_TRAIN_BYTES
        )
        if ended:
            yield train
        if ended or not train.datagrams:
            train, total = Train(size, []), 0
        train.datagrams.append(datagram)
        total += size
    if train.datagrams:
        yield train


_SOL_UDP = 17
_UDP_SEGMENT = 103
_UDP_GRO = 104
_SO_TIMESTAMPNS = 35
_TIMESPEC = struct.Struct("@ll")
_MOST_AGE_NS = 1_000_000_000
_BUFFER_BYTES = 4 << 20
_NO_TRAINS = {errno.EINVAL, errno.EIO, errno.ENOPROTOOPT, errno.EOPNOTSUPP, errno.EMSGSIZE}


def is_ipv6(address: Address) -> bool:
    """Whether an address is of IPv6."""
    return ":" in address[0]


def loopback(like: Address) -> Address:
    """Any free port on loopback, in the IP version of an address."""
    return (LOOPBACK6 if is_ipv6(like) else LOOPBACK), 0


def _ip_of(host: str, port: int) -> str:
    """The IP address of a host: of IPv6 if it is one in brackets, else of IPv4."""
    if host.startswith("[") and host.endswith("]"):
        ip = ipaddress.IPv6Address(host[1:-1])
        if ip.scope_id or ip.is_link_local:
            raise ValueError(f"{host}, which needs a zone")
        if ip.ipv4_mapped:
            raise ValueError(f"{host}, an IPv4 address")
        return socket.inet_ntop(socket.AF_INET6, ip.packed)
    if ":" in host:
        raise ValueError(f"{host}, which is in no brackets")
    found = socket.getaddrinfo(host or LOOPBACK, port, socket.AF_INET, socket.SOCK_DGRAM)
    return str(found[0][4][0])


def parse_address(text: str, what: str = "address") -> Address:
    """Read ``HOST:PORT``; the host may be left out (loopback) and the port may be 0 (any free one).

    An IPv6 address stands in brackets; a name is looked up in IPv4.

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
        return _ip_of(host, number), number
    except (ValueError, OSError) as error:
        raise StartError(
            f"not a usable {what}",
            where=repr(text),
            expected="HOST:PORT, as in 127.0.0.1:5210",
            found=(error.strerror if isinstance(error, OSError) else "") or str(error),
            remedy="Name a host with an IPv4 address, or an IPv6 address in brackets, and a port "
            "from 0 (any free one) to 65535",
            usage=isinstance(error, ValueError),  # what no name server knows may be known tomorrow
        ) from error


def parse_peer(text: str, what: str) -> Address:
    """Read an address to send to, as :func:`parse_address`; no port can be left to the system.

    Raises
    ------
    StartError
        If it is none.
    """
    address = parse_address(text, what)
    if address[1] == 0:
        raise StartError(
            f"not a usable {what}",
            where=repr(text),
            expected="HOST:PORT, as in 127.0.0.1:5210",
            found="port 0, at which nobody listens",
            remedy="Give the port that the node's ready line says",
            usage=True,
        )
    return address


def format_address(address: Address) -> str:
    """The address as ``HOST:PORT``, of IPv6 with brackets."""
    return f"[{address[0]}]:{address[1]}" if is_ipv6(address) else f"{address[0]}:{address[1]}"


_CONTROL_BYTES = socket.CMSG_SPACE(4) + socket.CMSG_SPACE(_TIMESPEC.size)


def _age(timespec: bytes) -> float:
    """Seconds since a time of the system's clock, which may have been set meanwhile."""
    whole, rest = _TIMESPEC.unpack_from(timespec)
    age = time.time_ns() - (whole * 1_000_000_000 + rest)
    return min(max(0, age), _MOST_AGE_NS) / 1e9


class UdpPort:
    """A bound UDP socket.

    Attributes
    ----------
    address : where it is bound
    arrived : when what was taken last had come in, on the monotonic clock: all that had come by
        then was taken, whatever still waits. Where the kernel does not say, when it was taken

    Parameters
    ----------
    bind : where to listen; loopback and any free port by default, in the IP version of the peer
    peer : if given, only datagrams from there are received, and its ICMP errors surface

    Raises
    ------
    StartError
        If the address cannot be bound.
    """

    def __init__(self, bind: Address | None = None, peer: Address | None = None) -> None:
        bind = bind or loopback(peer or (LOOPBACK, 0))
        family = socket.AF_INET6 if is_ipv6(bind) else socket.AF_INET
        self._socket = socket.socket(family, socket.SOCK_DGRAM)
        try:
            self._socket.bind(bind)
        except OSError as error:
            self._socket.close()
            raise StartError(
                "cannot open a UDP socket",
                where=format_address(bind),
                expected="an address of this machine and a free port",
                found=error.strerror or str(error),
                remedy="Choose another address or port; port 0 is any free one",
            ) from error
        if peer is not None:
            self._connect(peer)
        for option in (socket.SO_RCVBUF, socket.SO_SNDBUF):
            self._socket.setsockopt(socket.SOL_SOCKET, option, _BUFFER_BYTES)
        with contextlib.suppress(OSError):  # where it is unknown, datagrams come one by one
            self._socket.setsockopt(_SOL_UDP, _UDP_GRO, 1)
        if sys.platform == "linux":
            with contextlib.suppress(OSError):
                self._socket.setsockopt(socket.SOL_SOCKET, _SO_TIMESTAMPNS, 1)
        self._peer = peer
        self._trains = True
        self._buffer = bytearray(1 << 16)
        self.address: Address = self._socket.getsockname()[:2]
        self.arrived = time.monotonic()

    def _connect(self, peer: Address) -> None:
        try:
            self._socket.connect(peer)
        except OSError as error:
            here = format_address(self._socket.getsockname()[:2])
            self._socket.close()
            raise StartError(
                "no way to the other side",
                where=format_address(peer),
                expected=f"a machine that can be reached from {here}",
                found=error.strerror or str(error),
                remedy="Bind to the address of the interface towards it; 127.0.0.1 reaches this "
                "machine only",
            ) from error

    @property
    def sends_trains(self) -> bool:
        """Whether the kernel has cut every train so far."""
        return self._trains

    def fileno(self) -> int:
        """For ``select``."""
        return self._socket.fileno()

    def send(self, train: Train, to: Address) -> None:
        """Send a train; its bytes are gathered by the kernel from where they lie.

        Raises
        ------
        OSError
            As the socket's own; ConnectionRefusedError if ``to`` is the peer and nobody listens
            there.
        """
        destination = () if self._peer == to else (to,)
        if self._trains and len(train.datagrams) > 1:
            try:
                control = [(_SOL_UDP, _UDP_SEGMENT, struct.pack("=H", train.size))]
                parts = [part for datagram in train.datagrams for part in datagram]
                self._socket.sendmsg(parts, control, 0, *destination)
                return
            except OSError as error:
                if error.errno not in _NO_TRAINS:
                    raise
                self._trains = False  # a kernel or device without them; the loop below does it
        for datagram in train.datagrams:
            self._socket.sendmsg(datagram, [], 0, *destination)

    def receive(self, timeout: float) -> Iterator[tuple[memoryview, Address]]:
        """Wait up to ``timeout`` seconds, then :meth:`take`."""
        ready, _, _ = select.select([self._socket], [], [], max(0.0, timeout))
        if ready:
            yield from self.take()

    def take(self) -> Iterator[tuple[memoryview, Address]]:
        """Yield what has come, perhaps nothing, without waiting.

        A view is valid until the next one is asked for. Reads what one call to the kernel gives, so
        that a flood of datagrams cannot keep the caller from its timeouts.

        Raises
        ------
        OSError
            ConnectionRefusedError if the peer's machine says that nobody listens.
        """
        try:
            count, control, _, source = self._socket.recvmsg_into(
                [self._buffer], _CONTROL_BYTES, socket.MSG_DONTWAIT
            )
        except BlockingIOError:  # the kernel dropped it: its UDP checksum was wrong
            return
        size = count
        self.arrived = time.monotonic()
        for level, kind, value in control:
            if (level, kind) == (_SOL_UDP, _UDP_GRO):
                size = struct.unpack_from("=i", value)[0]  # sent as 16 bits, told as an int
            elif (level, kind) == (socket.SOL_SOCKET, _SO_TIMESTAMPNS):
                self.arrived -= _age(value)
        view = memoryview(self._buffer)[:count]
        for at in range(0, max(count, 1), max(size, 1)):
            yield view[at : at + size], source[:2]

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
