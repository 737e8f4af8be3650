# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""Errors of the live system.

::

    MidwireError
      RuntimeFault            a live process failed
        StartError            a process or a socket did not start
        NodeLostError         a process ended although nobody had stopped it
        RegisterError         a register of a NIC cannot be read or written
        RequestError          an accepted request ended without a result
          DeadlineError       nobody answered in time
          UnreachableError    nobody listens at the address
          RefusedError        the cloud answered that it cannot serve the request

Every accepted request ends in exactly one reply or one :class:`RequestError`.
"""

from __future__ import annotations

from ..hw.errors import MidwireError


class RuntimeFault(MidwireError):
    """A live process failed."""


class StartError(RuntimeFault):
    """A process or a socket did not start."""


class NodeLostError(RuntimeFault):
    """A process ended although nobody had stopped it."""


class RegisterError(RuntimeFault):
    """A register of a running NIC cannot be read or written."""


class RequestError(RuntimeFault):
    """An accepted request ended without a result."""


class DeadlineError(RequestError):
    """Nobody answered in time."""


class UnreachableError(RequestError):
    """Nobody listens at the address."""


class RefusedError(RequestError):
    """The cloud answered that it cannot serve the request."""
