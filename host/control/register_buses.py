# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""Registers of the instances of a NIC as if they were one NIC's.

What is written is written to all, one after the other. Counters are added up; any other register is
read from the first, since all have the same but where one instance was written to alone.
"""

from __future__ import annotations

import contextlib
import itertools
import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from ..errors import RegisterError
from .register_bus import RegisterBus, Step


class RegisterBuses:
    """Reads and writes registers of several.

    Parameters
    ----------
    buses : one of each instance, of the same description; closed with this
    """

    def __init__(self, buses: Sequence[RegisterBus]) -> None:
        self._buses = list(buses)

    @classmethod
    def connect(cls, path: str | os.PathLike[str]) -> RegisterBuses:
        """Those of a NIC that was started with ``--control PATH``, however many instances it has.

        Raises
        ------
        RegisterError
            If nobody listens there.
        """
        try:
            return cls([RegisterBus.connect(path)])
        except RegisterError:
            found: list[RegisterBus] = []
            for each in map(Path, (f"{os.fspath(path)}.{n}" for n in itertools.count())):
                if not each.exists():
                    break
                with contextlib.suppress(RegisterError):  # left by a NIC that was killed
                    found.append(RegisterBus.connect(each))
            if not found:
                raise
            return cls(found)

    @property
    def each(self) -> tuple[RegisterBus, ...]:
        """That of each instance."""
        return tuple(self._buses)

    def read(self, name: str) -> int:
        """The value of a register, as :meth:`.register_bus.RegisterBus.read`."""
        values = [bus.read(name) for bus in self._asked(name)]
        return sum(values)

    def read_all(self, names: Iterable[str]) -> dict[str, int]:
        """Values of registers by name, as :meth:`.register_bus.RegisterBus.read_all`."""
        (found,) = self.transact([({}, names)])
        return found

    def transact(self, steps: Iterable[Step]) -> list[dict[str, int]]:
        """Writes and reads in order, as :meth:`.register_bus.RegisterBus.transact`."""
        wanted = [(values, list(names)) for values, names in steps]
        of_each = zip(*(bus.transact(wanted) for bus in self._buses), strict=True)
        return [
            {name: sum(each[name] for each in found[: len(self._asked(name))]) for name in found[0]}
            for found in of_each
        ]

    def counters(self) -> dict[str, int]:
        """Values of all counters by name, added up."""
        found = [bus.counters() for bus in self._buses]
        return {name: sum(each[name] for each in found) for name in found[0]}

    def write(self, name: str, value: int) -> None:
        """Write a register of all, as :meth:`.register_bus.RegisterBus.write`."""
        for bus in self._buses:
            bus.write(name, value)

    def write_all(self, values: Mapping[str, int]) -> None:
        """Write registers of all, as :meth:`.register_bus.RegisterBus.write_all`."""
        for bus in self._buses:
            bus.write_all(values)

    def configure(self, **values: int) -> None:
        """Write many of all, as :meth:`.register_bus.RegisterBus.configure`."""
        for bus in self._buses:
            bus.configure(**values)

    def close(self) -> None:
        """Hang up."""
        for bus in self._buses:
            bus.close()

    def __enter__(self) -> RegisterBuses:
        return self

    def __exit__(self, *details: object) -> None:
        self.close()

    def _asked(self, name: str) -> list[RegisterBus]:
        """Those whose values make that of a register."""
        return self._buses if self._buses[0].counts(name) else self._buses[:1]
