# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""Registers of a running NIC, by name: the other end of ``cpp/control_channel.h``.

Rules, cited by tests as B1 to B3:

B1. A read or a write is one transaction of the datapath (AXI-Lite for RTL), made while frames
    move; when it returns, it has been made.
B2. What the hardware refuses (SLVERR) is a :class:`~..errors.RegisterError` that names the
    register.
B3. Several registers in one call go in one packet, in order: nothing of the loop comes between.
"""

from __future__ import annotations

import contextlib
import os
import socket
import struct
import threading
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from ...hw.formats import csr
from ..errors import RegisterError

ANSWER_SECONDS = 5.0
"""How long a NIC may take to answer: it looks at registers between two short turns."""

MAX_RECORDS = 512
"""In one packet; longer calls go in several. A whole steering table and its counters fit."""

_RECORD = struct.Struct(">B3xII")
_READ, _WRITE = 0, 1
_DONE = 0


class _Record(NamedTuple):
    """One word that is read or written."""

    operation: int
    register: csr.Register
    address: int
    value: int = 0


Step = tuple[Mapping[str, int], Iterable[str]]
"""Registers to write, by name, and others to read behind that."""


def _values(records: Sequence[_Record], words: Iterable[int]) -> dict[str, int]:
    """What was read, by name; of several words, the first one is the highest (C4)."""
    found: dict[str, int] = {}
    for record, word in zip(records, words, strict=False):
        if record.operation == _READ:
            name = record.register.name
            high = 0 if record.address == record.register.offset else found[name]
            found[name] = high << 32 | word
    return found


class RegisterBus:
    """Reads and writes registers.

    Parameters
    ----------
    channel : connected SOCK_SEQPACKET socket to the NIC; closed with the bus
    registers : the description; the NIC's own by default
    """

    def __init__(
        self, channel: socket.socket, registers: Sequence[csr.Register] = csr.REGISTERS
    ) -> None:
        self._channel = channel
        self._channel.settimeout(ANSWER_SECONDS)
        self._registers = {register.name: register for register in registers}
        self._lock = threading.Lock()

    @classmethod
    def connect(cls, path: str | os.PathLike[str]) -> RegisterBus:
        """The bus of a NIC that was started with ``--control PATH``.

        Raises
        ------
        RegisterError
            If nobody listens there.
        """
        channel = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        try:
            channel.connect(os.fspath(path))
        except OSError as error:
            channel.close()
            raise RegisterError(
                "no NIC at the control socket",
                where=os.fspath(path),
                expected="the path that a running `midwire nic --control PATH` was given",
                found=error.strerror or str(error),
                remedy="Start the NIC with --control, or correct the path",
            ) from error
        return cls(channel)

    def read(self, name: str) -> int:
        """The value of a register; of all parts where the name has ``_high`` and ``_low``, or
        ``_0`` to ``_3``.

        A counter is read as it is now: by a snapshot of all.

        Raises
        ------
        RegisterError
            If there is no such register, or the NIC has gone.
        """
        value = 0
        for part in self.read_all(self._parts(name)).values():
            value = value << 32 | part
        return value

    def read_all(self, names: Iterable[str]) -> dict[str, int]:
        """Values of registers by name (B3); of counters, those of one snapshot (C5)."""
        (found,) = self.transact([({}, names)])
        return found

    def transact(self, steps: Iterable[Step]) -> list[dict[str, int]]:
        """Writes and reads in this order (B3); for each step the values that it reads, by name.

        Counters are those of one snapshot (C5), taken before the first step.

        Raises
        ------
        RegisterError
            As :meth:`write`; before anything is written if it is a name or a value.
        """
        asked: list[list[_Record]] = []
        for values, names in steps:
            wanted = [self._register(name) for name in names]
            reads = [_Record(_READ, each, at) for each in wanted for at in each.addresses]
            asked.append(self._writes(values) + reads)
        first = self._snapshot(asked)
        words = self._transfer(first + [record for step in asked for record in step])[len(first) :]
        found = []
        for step in asked:
            found.append(_values(step, words))
            del words[: len(step)]
        return found

    def counts(self, name: str) -> bool:
        """Whether a register is a counter."""
        found = self._registers.get(name)
        return found is not None and found.access == "counter"

    def counters(self) -> dict[str, int]:
        """Values of all counters by name."""
        return self.read_all(r.name for r in self._registers.values() if r.access == "counter")

    def write(self, name: str, value: int) -> None:
        """Write a register, or all parts of one.

        Raises
        ------
        RegisterError
            If there is no such register, the value does not fit, the register cannot be written, or
            the NIC has gone.
        """
        self.write_all({name: value})

    def write_all(self, values: Mapping[str, int]) -> None:
        """Write registers, or all parts of them, in this order (B3).

        Raises
        ------
        RegisterError
            As :meth:`write`; before anything is written if it is a name or a value.
        """
        self._transfer(self._writes(values))

    def configure(self, **values: int) -> None:
        """Write many by name, ``control`` last, as :func:`midwire.hw.formats.csr.settings` says."""
        at = {register.offset: register for register in self._registers.values()}
        writes = csr.settings(**values)
        self._transfer([_Record(_WRITE, at[address], address, value) for address, value in writes])

    def close(self) -> None:
        """Hang up."""
        self._channel.close()

    def __enter__(self) -> RegisterBus:
        return self

    def __exit__(self, *details: object) -> None:
        self.close()

    def _writes(self, values: Mapping[str, int]) -> list[_Record]:
        found = []
        for name, value in values.items():
            parts = [self._register(part) for part in self._parts(name)]
            width = parts[0].width + 32 * (len(parts) - 1)
            if not 0 <= value < 1 << width:
                raise RegisterError(
                    "the value does not fit the register",
                    where=name,
                    expected=f"0 to {(1 << width) - 1:#x}",
                    found=f"{value:#x}",
                )
            words = [value >> 32 * k & 0xFFFF_FFFF for k in reversed(range(len(parts)))]
            found += [
                _Record(_WRITE, r, r.offset, word) for r, word in zip(parts, words, strict=True)
            ]
        return found

    def _snapshot(self, steps: Iterable[Sequence[_Record]]) -> list[_Record]:
        """What makes counters read as they are now, where any is read."""
        snapshot = self._registers.get("snapshot")
        counts = any(
            record.register.access == "counter" and record.operation == _READ
            for step in steps
            for record in step
        )
        if snapshot is None or not counts:
            return []
        return [_Record(_WRITE, snapshot, snapshot.offset, 1)]

    def _parts(self, name: str) -> list[str]:
        parts = csr.parts_of(name)
        return parts if set(parts) <= self._registers.keys() else [name]

    def _register(self, name: str) -> csr.Register:
        found = self._registers.get(name)
        if found is None:
            raise RegisterError(
                "no such register",
                where=name,
                expected=f"one of {', '.join(self._registers)}",
                remedy="docs/nic.md has the table",
            )
        return found

    def _transfer(self, records: Sequence[_Record]) -> list[int]:
        values: list[int] = []
        for start in range(0, len(records), MAX_RECORDS):
            batch = records[start : start + MAX_RECORDS]
            packet = b"".join(_RECORD.pack(r.operation, r.address, r.value) for r in batch)
            answers = list(_RECORD.iter_unpack(self._exchange(packet)))
            for record, (status, _, found) in zip(batch, answers, strict=True):
                if status != _DONE:
                    raise self._refused(record)
                values.append(found)
        return values

    def _exchange(self, packet: bytes) -> bytes:
        answer = b""
        problem = "it has hung up"
        with self._lock:
            try:
                self._channel.send(packet)
                answer = self._channel.recv(len(packet))
            except OSError as error:
                problem = error.strerror or str(error)
                with contextlib.suppress(OSError):  # an answer that comes late would be taken for
                    self._channel.shutdown(socket.SHUT_RDWR)  # that of the next call
        if len(answer) != len(packet):
            raise RegisterError(
                "the NIC does not answer",
                where="its registers",
                expected=f"an answer within {ANSWER_SECONDS:g} s",
                found=problem,
                remedy="See whether it still runs",
            )
        return answer

    def _refused(self, record: _Record) -> RegisterError:
        register, writes = record.register, record.operation == _WRITE
        return RegisterError(
            f"the register cannot be {'written' if writes else 'read'}",
            where=f"{register.name} (address {register.offset:#05x}, {register.access})",
            expected="a register that takes it",
            found="SLVERR" + (f" on {record.value:#x}" if writes else ""),
            remedy="docs/nic.md says which registers can be written",
        )
