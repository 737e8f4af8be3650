# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""The weights of a running NIC (:mod:`midwire.hw.nic.weights` has the rules): loaded while it
executes, then swapped.

Rules, cited by tests as L1 to L4:

L1. What does not fit is refused before any weight is written: the bundle's slice must have the very
    Verilog, fixed memories and ports of the one that the NIC was built from.
L2. Until the commit nothing has changed: whoever stops before it, however, leaves the NIC with the
    model that it had, and the next one who loads begins anew.
L3. One program loads at a time: the folder of the control socket is locked meanwhile.
L4. It has ended when model hash and epoch are read back as what was asked for.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from ...hw.formats import csr
from ...hw.formats.bundle import Bundle
from ...hw.formats.images import unpack_image
from ..errors import RegisterError
from .register_bus import MAX_RECORDS, RegisterBus, Step

Progress = Callable[[int, int], None]
"""Called with the bytes that were written, and all."""

PART_BYTES = 4  # that a register takes
_AT_ONCE = MAX_RECORDS - 1  # parts in one packet, behind the core that they are for
_LOOK_SECONDS = 0.01


@dataclass(frozen=True)
class WeightsInForce:
    """Which weights a NIC has.

    Attributes
    ----------
    model_hash, epoch : of the frames that it executes
    hardware : what its slice was built from (:attr:`~midwire.hw.formats.bundle.Bundle.hardware`)
    ports : side ports of its slice; 0: its weights are fixed
    bank : that is read
    loaded, waits : whether the other bank has been loaded; whether a commit waits for its swap
    """

    model_hash: bytes
    epoch: int
    hardware: int
    ports: int
    bank: int
    loaded: bool
    waits: bool


class SliceWeights:
    """Reads, loads and swaps the weights of one slice of a NIC.

    Parameters
    ----------
    bus : its registers; of several instances, those of one
    core : that the slice is in, of several
    """

    def __init__(self, bus: RegisterBus, core: int = 0) -> None:
        self._bus = bus
        self._core = {"core_index": core}

    @classmethod
    def all_of(cls, bus: RegisterBus) -> list[SliceWeights]:
        """Those of each core.

        Raises
        ------
        RegisterError
            If the NIC has gone.
        """
        return [cls(bus, core) for core in range(bus.read("cores"))]

    @property
    def core(self) -> int:
        """That the slice is in."""
        return self._core["core_index"]

    def read(self) -> WeightsInForce:
        """Which weights it has, as of one moment: registers are read one after the other, and all
        again if a swap came between.

        Raises
        ------
        RegisterError
            If the NIC has gone.
        """
        names = [*csr.parts_of("model_hash"), "epoch", "weights_hardware", "weights_ports"]
        while True:
            before, words = self._bus.transact(
                [(self._core, ["weights_status"]), (self._core, [*names, "weights_status"])]
            )
            status = words["weights_status"]
            if status == before["weights_status"]:
                break
        high, low = (words[name] for name in csr.parts_of("model_hash"))
        return WeightsInForce(
            (high << 32 | low).to_bytes(8, "big"),
            words["epoch"],
            words["weights_hardware"],
            words["weights_ports"],
            int(bool(status & csr.WEIGHTS_BANK)),
            bool(status & csr.WEIGHTS_LOADED),
            bool(status & csr.WEIGHTS_WAIT),
        )

    def check(self, bundle: Bundle) -> None:
        """Refuse a bundle whose weights do not fit (L1).

        Raises
        ------
        RegisterError
            Says what differs; or the NIC has gone.
        """
        found = self.read()
        memories = bundle.manifest.memories
        if not found.ports:
            raise RegisterError(
                "the weights of this NIC are fixed",
                expected="the RTL of a slice that was compiled with --strategy loadable",
                found="a slice without side ports, or the reference datapath",
                remedy="Compile both models with --strategy loadable and start the NIC with "
                "--datapath rtl; or start another NIC with the new bundle",
            )
        if not memories:
            raise RegisterError(
                "the weights of this bundle are fixed",
                where=str(bundle.root),
                expected="memories that can be loaded",
                found="none",
                remedy="Compile it with --strategy loadable",
            )
        different = self._differences(bundle, found.ports)
        if different or found.hardware != bundle.hardware:
            raise RegisterError(
                "the NIC's slice is other hardware than the bundle's",
                where=str(bundle.root),
                expected="the same Verilog, fixed memories and ports "
                f"(hardware {found.hardware:#010x})",
                found="; ".join([*different[:4], f"hardware {bundle.hardware:#010x}"]),
                remedy="Compile both models with the same options, shapes and names of layers; "
                "grids of inputs that are padded, and layers that are not loadable, count too"
                if found.hardware
                else "Write its bundle's to the register weights_hardware: nobody has",
            )

    def load(self, bundle: Bundle, progress: Progress | None = None) -> None:
        """Write the images of a bundle that fits to the bank that is not read (L2).

        Raises
        ------
        RegisterError
            If a commit waits for its swap, or the NIC has gone.
        """
        if self.read().waits:
            raise RegisterError(
                "a commit waits for its swap",
                where="weights_status",
                expected="that the weights that were loaded last are in force",
                remedy="Try again when requests under way have left the NIC",
            )
        images = [_parts(bundle, k) for k in range(len(bundle.manifest.memories))]
        total, written = sum(map(len, images)), 0
        for port, parts in enumerate(images):
            self._bus.write_all({**self._core, "weights_port": port})
            for start in range(0, len(parts), _AT_ONCE):
                some = parts[start : start + _AT_ONCE].tolist()
                # Between two packets another program may have looked at another core.
                steps: list[Step] = [({"weights_data": part}, ()) for part in some]
                self._bus.transact([(self._core, ()), *steps])
                written += len(some)
                if progress is not None:
                    progress(written * PART_BYTES, total * PART_BYTES)

    def commit(self, model_hash: bytes, epoch: int) -> None:
        """Have the NIC swap, as soon as the slice is empty.

        Raises
        ------
        RegisterError
            If not all memories have been loaded, or the NIC has gone.
        """
        self._bus.write_all(
            {
                **self._core,
                "weights_model_hash": int.from_bytes(model_hash, "big"),
                "weights_epoch": epoch,
                "weights_commit": 1,
            }
        )

    def wait(self, model_hash: bytes, epoch: int, seconds: float) -> WeightsInForce:
        """Until these are in force (L4); returns them.

        Raises
        ------
        RegisterError
            If they are not in so many seconds, or others are, or the NIC has gone.
        """
        until, looks = time.monotonic() + seconds, threading.Event()
        while (found := self.read()).waits and time.monotonic() < until:
            looks.wait(_LOOK_SECONDS)  # no news comes of it
        if not found.waits and (found.model_hash, found.epoch) == (model_hash, epoch):
            return found
        late = "its commit still waits for requests under way" if found.waits else "others are"
        raise RegisterError(
            "the weights are not in force",
            where="the NIC's registers",
            expected=f"model {model_hash.hex()}, epoch {epoch}",
            found=f"model {found.model_hash.hex()}, epoch {found.epoch}: {late}",
            remedy="Look again with `midwire weights SOCKET`; a commit stands, and comes true when "
            "results under way have left",
        )

    def _differences(self, bundle: Bundle, ports: int) -> list[str]:
        """How the bundle's memories differ from what the NIC's side ports take."""
        memories = bundle.manifest.memories
        if len(memories) != ports:
            return [f"{len(memories)} memories for {ports} side ports"]
        names = ("weights_words", "weights_beat_bytes")
        steps: list[Step] = [({**self._core, "weights_port": k}, names) for k in range(ports)]
        shapes = self._bus.transact(steps)
        wrong = []
        for port, (memory, shape) in enumerate(zip(memories, shapes, strict=True)):
            mine, theirs = (memory.words, memory.word_bytes), tuple(shape[name] for name in names)
            if mine != theirs:
                wrong.append(
                    f"{memory.image} has {mine[0]} words of {mine[1]} bytes, and side port {port} "
                    f"takes {theirs[0]} of {theirs[1]}"
                )
        return wrong


def swap_weights(
    nics: Sequence[SliceWeights],
    bundle: Bundle,
    epoch: int | None = None,
    *,
    seconds: float = 30.0,
    progress: Progress | None = None,
) -> list[WeightsInForce]:
    """Load a bundle's weights into a slice of a NIC, or of each instance of one, and swap them;
    inside :func:`only_one` where other programs may do so too.

    Parameters
    ----------
    epoch : of the new weights; by default that of those in force
    seconds : how long each swap may wait for requests under way

    Raises
    ------
    RegisterError
        As :meth:`SliceWeights.check`, ``load`` and ``wait``. Up to the first commit nothing has
        changed.
    """
    for nic in nics:
        nic.check(bundle)
    epochs = [nic.read().epoch if epoch is None else epoch for nic in nics]
    for nic in nics:
        nic.load(bundle, progress)
    for nic, wanted in zip(nics, epochs, strict=True):
        nic.commit(bundle.model_hash, wanted)
    return [
        nic.wait(bundle.model_hash, wanted, seconds)
        for nic, wanted in zip(nics, epochs, strict=True)
    ]


def that_fits(cores: Sequence[SliceWeights], bundle: Bundle) -> SliceWeights:
    """The only one of a NIC's slices that a bundle's weights fit.

    Raises
    ------
    RegisterError
        If they fit none, or several.
    """
    if len(cores) == 1:
        return cores[0]
    fitting = [core for core in cores if core.read().hardware == bundle.hardware]
    if len(fitting) == 1:
        return fitting[0]
    raise RegisterError(
        "the bundle's weights fit several slices of this NIC"
        if fitting
        else "the bundle's weights fit no slice of this NIC",
        where=str(bundle.root),
        expected=f"one core with hardware {bundle.hardware:#010x}",
        found=", ".join(f"{core.core}: {core.read().hardware:#010x}" for core in cores),
        remedy="Say which core it is for with --core",
    )


@contextlib.contextmanager
def only_one(control: Path) -> Iterator[None]:
    """While this program loads weights of a NIC behind a control socket, no other one does (L3).

    Raises
    ------
    RegisterError
        If one does.
    """
    try:
        folder = os.open(control.resolve().parent, os.O_RDONLY | os.O_DIRECTORY)
    except OSError:  # there is no NIC either, and who connects is told so
        yield
        return
    try:
        fcntl.flock(folder, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        os.close(folder)
        raise RegisterError(
            "another program loads weights",
            where=str(control.parent),
            expected="one at a time for the control sockets of a folder",
            found=error.strerror or str(error),
            remedy="Wait until it has ended",
        ) from error
    try:
        yield
    finally:
        os.close(folder)


def _parts(bundle: Bundle, port: int) -> npt.NDArray[np.uint32]:
    """What is written for a memory: its words, each filled up to whole parts."""
    memory = bundle.manifest.memories[port]
    text = bundle.path(f"rtl/{memory.image}").read_text("ascii")
    words = unpack_image(text, memory.width)
    padded = np.pad(words, [(0, 0), (0, -words.shape[1] % PART_BYTES)])
    return np.ascontiguousarray(padded).view("<u4").reshape(-1)
