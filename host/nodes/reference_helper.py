# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""The numpy reference behind the NIC's packet loop: whole tensors in, whole tensors out.

The other end of ``cpp/reference_helper.h``, a thread of the NIC's own Python process, which has
nothing else to do. Tensors that have come meanwhile are run together: the busier, the larger the
batches, without a Python step per packet.
"""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt

from ...hw.formats.bundle import Bundle
from ...hw.formats.tensor import AnyArray, TensorSpec, as_frames
from ...hw.kernels.reference import Reference
from ...hw.numeric import QType

BATCH = 64
"""Tensors that are run together at most."""

CLOSE_SECONDS = 1.0
"""How long the batch under way gets to end: one of a large model takes minutes."""

_HEAD = 8


def _bytes(specs: Sequence[TensorSpec]) -> int:
    return sum(spec.wire_bytes for spec in specs)


def _low_bits(wire: AnyArray, qtype: QType) -> AnyArray:
    """Values as the hardware reads them: it does not look at a container's bits above the type's.

    A sender may put anything there, and a table of the reference has no entry for it.
    """
    spare = 8 * qtype.container_bytes - qtype.bits
    return wire << spare >> spare


class ReferenceHelper:
    """Serves one packet loop until it hangs up. Use as a context manager.

    Parameters
    ----------
    bundle : whose slice is run
    say : takes a line if the reference fails; the loop is then hung up, and ends

    Attributes
    ----------
    fd : the loop's end of the socket; pass it on, then call :meth:`passed_on`
    """

    def __init__(self, bundle: Bundle, say: Callable[[str], None]) -> None:
        self._inputs, self._outputs = bundle.manifest.inputs, bundle.manifest.outputs
        self._say = say
        self._reference = Reference.of_bundle(bundle)
        self._ours, self._theirs = socket.socketpair()
        self.fd = self._theirs.fileno()
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def passed_on(self) -> None:
        """The loop has its end: close ours of it, so that its death is seen."""
        self._theirs.close()

    def close(self) -> None:
        """Hang up; a batch that is being computed is not waited for long."""
        self._theirs.close()
        with contextlib.suppress(OSError):
            self._ours.shutdown(socket.SHUT_RDWR)
        self._thread.join(CLOSE_SECONDS)
        self._ours.close()

    def __enter__(self) -> ReferenceHelper:
        return self

    def __exit__(self, *details: object) -> None:
        self.close()

    def _serve(self) -> None:
        try:
            self._work()
        except OSError:
            return  # the loop has ended
        except Exception as error:
            self._say(f"error: the numpy reference failed: {type(error).__name__}: {error}")
        finally:
            with contextlib.suppress(OSError):
                self._ours.shutdown(socket.SHUT_RDWR)

    def _work(self) -> None:
        record = _HEAD + _bytes(self._inputs)
        buffer = np.empty((BATCH, record), np.uint8)
        view = buffer.data.cast("B")
        filled = 0
        while got := self._ours.recv_into(view[filled:]):
            filled += got
            whole, rest = divmod(filled, record)
            if whole:
                self._ours.sendall(self._answers(buffer[:whole]))
                view[:rest] = view[filled - rest : filled]
                filled = rest

    def _answers(self, asked: npt.NDArray[np.uint8]) -> memoryview:
        at, wires = _HEAD, []
        for spec in self._inputs:
            columns = np.ascontiguousarray(asked[:, at : at + spec.wire_bytes])
            wires.append(_low_bits(spec.of_frames(columns), spec.qtype))
            at += spec.wire_bytes
        answers = np.zeros((len(asked), _HEAD + _bytes(self._outputs)), np.uint8)
        answers[:, :_HEAD] = asked[:, :_HEAD]
        at = _HEAD
        for spec, result in zip(self._outputs, self._reference.run_wire(wires), strict=True):
            frames = as_frames(result.astype(spec.qtype.wire_dtype))
            answers[:, at : at + spec.wire_bytes] = frames
            at += spec.wire_bytes
        return answers.data.cast("B")
