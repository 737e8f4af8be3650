# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""Requests, and how they end."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from ...hw.formats.tensor import AnyArray
from ..errors import RequestError
from ..policy.permission import EXECUTE_ANYWHERE, Permission
from ..steer.paths import NetworkPath


@dataclass(frozen=True)
class Request:
    """One sample to infer.

    Attributes
    ----------
    inputs : arrays in the order of the model's inputs
    permission : what hops on the path may do
    tag : anything; comes back with the outcome
    """

    inputs: Sequence[AnyArray]
    permission: Permission = EXECUTE_ANYWHERE
    tag: Any = None


@dataclass(frozen=True)
class RequestOutcome:
    """How a request ended: with ``outputs``, or with ``error``.

    Attributes
    ----------
    executed_by : ``"nic"`` or ``"cloud"``: who ran the slice
    declined : reason why a hop did not execute it; empty if none declined
    cycles : that the slice took in the hop that executed it
    slice_sha256 : fingerprint of the slice's outputs; equal bits, equal fingerprint
    wire_bytes : tensor bytes that left the edge, once
    attempts : how often it was sent
    path : that it took last
    seconds : from the start of the first layers to the outcome
    """

    request: Request
    request_id: int
    outputs: dict[str, AnyArray] | None
    error: RequestError | None
    executed_by: str
    declined: str
    cycles: int
    slice_sha256: str
    wire_bytes: int
    attempts: int
    path: NetworkPath
    seconds: float
