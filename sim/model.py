# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""A Verilated slice behind numpy arrays: whole frames in, whole frames out, no Python per cycle."""

from __future__ import annotations

import ctypes
import os
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import TypedDict

import numpy as np
import numpy.typing as npt

from ..hw.errors import DataError
from .errors import DeadlockError, ProtocolError, SimulationError

Bytes = npt.NDArray[np.uint8]
Cycles = npt.NDArray[np.uint64]

ABI = 4
WATCHDOG_CYCLES = 2_000_000
"""Cycles without a beat on any port after which a run fails: far above any layer's schedule."""

_CALL_SECONDS = 0.2  # one call into C++ should last about that long, so that Ctrl-C works
_FAILURES = {-1: DeadlockError, -2: ProtocolError, -3: SimulationError}


@dataclass(frozen=True)
class RunResult:
    """What a run gave.

    Attributes
    ----------
    outputs : list of array, uint8, (count, frame bytes)
        One per output port.
    first_in : array, uint64, (count,)
        Cycle in which the first beat of an inference was taken (the earliest over all inputs).
        Cycles count rising clock edges from 0 at the start of the run.
    last_out : array, uint64, (count,)
        Cycle in which the last beat of an inference was transferred (the latest over all outputs).
    cycles : int
        Cycles up to and with the last transfer.
    """

    outputs: list[Bytes]
    first_in: Cycles
    last_out: Cycles
    cycles: int

    @property
    def latency_cycles(self) -> int:
        """Cycles of the first inference: first beat in to last beat out, both counted."""
        return int(self.last_out[0] - self.first_in[0]) + 1

    @property
    def interval_cycles(self) -> int | None:
        """Cycles between the ends of the last two inferences; None if there was only one."""
        if len(self.last_out) < 2:
            return None
        return int(self.last_out[-1] - self.last_out[-2])


class Model:
    """An instance of a Verilated design.

    Instances are independent, several of one library included, but each must be used by one thread
    at a time. The design keeps its state from run to run; after a failed or interrupted run, the
    next one starts with a reset.

    Parameters
    ----------
    library : Path
        What :func:`midwire.sim.build.build_model` returned.
    images_dir : Path, optional
        Folder of the memory images; may be left out if the design has none.

    Raises
    ------
    SimulationError
        If the library cannot be loaded, or an image is missing.
    """

    def __init__(self, library: Path, images_dir: Path | None = None) -> None:
        self._handle: int | None = None
        self._library = _load(library)
        encoded = None if images_dir is None else os.fsencode(images_dir.resolve())
        text = ctypes.create_string_buffer(2048)
        self._handle = self._library.mw_open(encoded, text, len(text))
        if not self._handle:
            images = "none was given" if images_dir is None else str(images_dir)
            raise SimulationError(
                f"the design did not start: {text.value.decode(errors='replace')}",
                found=f"folder of memory images: {images}",
            )
        self._dirty = False
        lib = self._library
        self.input_beat_bytes = tuple(lib.mw_input_bytes(i) for i in range(lib.mw_inputs()))
        self.output_beat_bytes = tuple(lib.mw_output_bytes(i) for i in range(lib.mw_outputs()))
        self.side_beat_bytes = tuple(lib.mw_side_bytes(i) for i in range(lib.mw_sides()))

    def run(
        self,
        inputs: Sequence[Bytes],
        *,
        output_bytes: Sequence[int] | None = None,
        stall: float | tuple[float, float] = 0.0,
        seed: int = 0,
        watchdog: int = WATCHDOG_CYCLES,
        progress: Callable[[int, int], None] | None = None,
        loads: Mapping[int, Bytes] | None = None,
    ) -> RunResult:
        """Run inferences back to back.

        Parameters
        ----------
        inputs : sequence of array, uint8, (count, frame bytes)
            One per input port; frames are whole beats.
        output_bytes : sequence of int, optional
            Bytes per frame of each output port. By default the first frame says, and the others
            must be like it.
        stall : float or (float, float), optional
            Probability per cycle, in [0, 1), that a port pauses; as a pair: (inputs, outputs).
        seed : int, optional
            Seed of the stalls.
        watchdog : int, optional
            Fail after so many cycles in which no beat moved.
        progress : callable, optional
            Called with (inferences done, count) several times a second.
        loads : mapping, optional
            Words that side ports take meanwhile, by port, as :meth:`load`; they pause like inputs.

        Returns
        -------
        RunResult
            Outputs and cycles.

        Raises
        ------
        DataError
            If an argument does not fit the design.
        ProtocolError
            If the design breaks a rule of its streams; names port, beat and cycle.
        DeadlockError
            If nothing moves any more; says what each port waits for.
        SimulationError
            If the design stops the simulation itself.
        """
        handle = self._open_handle()
        arrays, count = self._check_inputs(inputs)
        expected = self._check_outputs(output_bytes)
        source, sink = stall if isinstance(stall, tuple) else (stall, stall)
        thresholds = [_threshold(source), _threshold(sink)]
        _check_watchdog(watchdog)
        given = {port: self._check_words(port, words) for port, words in (loads or {}).items()}
        if self._dirty:
            self.reset()
        lib = self._library
        pointers = (ctypes.c_void_p * len(arrays))(*(array.ctypes.data for array in arrays))
        sizes = (ctypes.c_uint64 * len(arrays))(*(array.shape[1] for array in arrays))
        outs = (ctypes.c_uint64 * len(expected))(*expected)
        self._dirty = True  # until the run has ended as it should
        self._raise_for(
            lib.mw_start(
                handle, count, pointers, sizes, outs, *thresholds, seed % (1 << 64), watchdog
            )
        )
        for port, array in given.items():
            lib.mw_load_beside(
                handle,
                port,
                array.ctypes.data,
                array.size,
                thresholds[0],
                (seed + port) % (1 << 64),
            )
        self._finish(handle, count, progress)
        self._dirty = False
        return RunResult(
            outputs=[self._output(handle, port, count) for port in range(len(expected))],
            first_in=np.ctypeslib.as_array(lib.mw_first_in(handle), (count,)).copy(),
            last_out=np.ctypeslib.as_array(lib.mw_last_out(handle), (count,)).copy(),
            cycles=int(lib.mw_cycles(handle)),
        )

    def load(
        self,
        port: int,
        words: Bytes,
        *,
        stall: float = 0.0,
        seed: int = 0,
        watchdog: int = WATCHDOG_CYCLES,
    ) -> None:
        """Write the bank that is not read of a memory, through side port ``port``; neither reset
        nor a new run undoes it.

        Parameters
        ----------
        words : array, uint8, (words, bytes of a word), at least one
            :func:`midwire.hw.formats.images.unpack_image` makes them of a memory image.
        stall, seed, watchdog
            As in :meth:`run`; the probability is that of a pause between words.

        Raises
        ------
        DataError
            If there is no such port, or the words do not fit it.
        DeadlockError, ProtocolError, SimulationError
            As in :meth:`run`.
        """
        handle = self._open_handle()
        array = self._check_words(port, words)
        _check_watchdog(watchdog)
        if self._dirty:
            self.reset()
        self._dirty = True
        self._library.mw_load(
            handle,
            port,
            array.ctypes.data,
            array.size,
            _threshold(stall),
            seed % (1 << 64),
            watchdog,
        )
        self._finish(handle, 0, None)
        self._dirty = False

    def choose(self, bank: int) -> None:
        """From now on, read bank 0 or 1 of the memories with side ports; a reset leaves it so."""
        if bank not in (0, 1):
            raise DataError("no such bank of weights", **_told("0 or 1", bank))
        self._library.mw_choose(self._open_handle(), bank)

    def reset(self) -> None:
        """Reset the design through ``aresetn``."""
        self._raise_for(self._library.mw_reset(self._open_handle()))
        self._dirty = False

    def close(self) -> None:
        """Free the instance; it cannot be used afterwards."""
        if self._handle:
            self._library.mw_close(self._handle)
            self._handle = None

    def __enter__(self) -> Model:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def __del__(self) -> None:
        if getattr(self, "_handle", None):
            self.close()

    def _open_handle(self) -> int:
        if not self._handle:
            raise ValueError("this Model is closed")
        return self._handle

    def _finish(self, handle: int, count: int, progress: Callable[[int, int], None] | None) -> None:
        cycles = 1000
        while True:
            started = time.monotonic()
            status = self._library.mw_step(handle, cycles)
            self._raise_for(status)
            if progress is not None:
                progress(int(self._library.mw_done(handle)), count)
            if status == 1:
                return
            seconds = max(time.monotonic() - started, 1e-6)
            # At most fourfold at a time: a quick stretch says little about the next one.
            cycles = max(1, int(cycles * min(4.0, _CALL_SECONDS / seconds)))

    def _raise_for(self, status: int) -> None:
        if status < 0:
            self._dirty = True
            text = self._library.mw_error(self._open_handle()).decode(errors="replace")
            raise _FAILURES[status](text)

    def _check_inputs(self, inputs: Sequence[Bytes]) -> tuple[list[Bytes], int]:
        beats = self.input_beat_bytes
        if len(inputs) != len(beats):
            raise DataError("one array is needed per input port", **_told(len(beats), len(inputs)))
        arrays = []
        for port, (array, beat) in enumerate(zip(inputs, beats, strict=True)):
            where = f"input {port}"
            if array.dtype != np.uint8 or array.ndim != 2:
                raise DataError(
                    "the wire bytes have the wrong shape or type",
                    where=where,
                    **_told("uint8 (count, frame bytes)", f"{array.dtype} {array.shape}"),
                )
            self._check_frame(where, array.shape[1], beat)
            arrays.append(np.ascontiguousarray(array))
        counts = {len(array) for array in arrays}
        if len(counts) != 1 or counts == {0}:
            raise DataError(
                "inputs must hold the same number of inferences, and at least one",
                found=str([len(array) for array in arrays]),
            )
        return arrays, counts.pop()

    def _check_words(self, port: int, words: Bytes) -> Bytes:
        beats = self.side_beat_bytes
        if port not in range(len(beats)):
            raise DataError("no such side port", **_told(f"one of {len(beats)}", port))
        if (
            words.dtype != np.uint8
            or words.ndim != 2
            or words.shape[1] != beats[port]
            or not len(words)
        ):
            raise DataError(
                "the words have the wrong shape or type",
                where=f"side port {port}",
                **_told(f"uint8 (words, {beats[port]})", f"{words.dtype} {words.shape}"),
            )
        return np.ascontiguousarray(words)

    def _check_outputs(self, output_bytes: Sequence[int] | None) -> list[int]:
        beats = self.output_beat_bytes
        if output_bytes is None:
            return [0] * len(beats)
        if len(output_bytes) != len(beats):
            raise DataError(
                "one frame size is needed per output port", **_told(len(beats), len(output_bytes))
            )
        for port, (size, beat) in enumerate(zip(output_bytes, beats, strict=True)):
            self._check_frame(f"output {port}", size, beat)
        return list(output_bytes)

    def _check_frame(self, where: str, size: int, beat: int) -> None:
        if size <= 0 or size % beat:
            raise DataError(
                "a frame must be whole beats",
                where=where,
                **_told(f"a multiple of {beat} bytes", f"{size} bytes"),
            )

    def _output(self, handle: int, port: int, count: int) -> Bytes:
        size = ctypes.c_uint64()
        pointer = self._library.mw_output(handle, port, ctypes.byref(size))
        return np.ctypeslib.as_array(pointer, (count, size.value)).copy()


class _Told(TypedDict):
    expected: str
    found: str


def _told(expected: object, found: object) -> _Told:
    return {"expected": str(expected), "found": str(found)}


def _check_watchdog(cycles: int) -> None:
    if cycles < 1:
        raise DataError("the watchdog is in cycles", **_told("at least 1", cycles))


def _threshold(probability: float) -> int:
    if not 0.0 <= probability < 1.0:
        raise DataError("a stall is a probability", **_told("0 <= p < 1", probability))
    return int(probability * (1 << 32))


def _load(path: Path) -> ctypes.CDLL:
    remedy = f"Delete the folder {path.parent} and build again"
    try:
        library = ctypes.CDLL(str(path), mode=os.RTLD_LOCAL | os.RTLD_NOW)
        version = library.mw_abi()
    except (OSError, AttributeError) as error:
        raise SimulationError(
            "the file cannot be loaded as a Verilated model",
            where=str(path),
            found=str(error),
            remedy=remedy,
        ) from error
    if version != ABI:
        raise SimulationError(
            "the Verilated model was built with another version of the driver",
            where=str(path),
            remedy=remedy,
            **_told(ABI, version),
        )
    word, handle, pointer = ctypes.c_uint64, ctypes.c_void_p, ctypes.POINTER
    signatures: dict[str, tuple[object, list[object]]] = {
        "mw_inputs": (ctypes.c_uint32, []),
        "mw_outputs": (ctypes.c_uint32, []),
        "mw_sides": (ctypes.c_uint32, []),
        "mw_input_bytes": (ctypes.c_uint32, [ctypes.c_uint32]),
        "mw_side_bytes": (ctypes.c_uint32, [ctypes.c_uint32]),
        "mw_output_bytes": (ctypes.c_uint32, [ctypes.c_uint32]),
        "mw_open": (handle, [ctypes.c_char_p, ctypes.c_char_p, word]),
        "mw_close": (None, [handle]),
        "mw_reset": (ctypes.c_int, [handle]),
        "mw_start": (
            ctypes.c_int,
            [handle, word, handle, handle, handle, ctypes.c_uint32, ctypes.c_uint32, word, word],
        ),
        "mw_load": (
            None,
            [handle, ctypes.c_uint32, handle, word, ctypes.c_uint32, word, word],
        ),
        "mw_load_beside": (
            None,
            [handle, ctypes.c_uint32, handle, word, ctypes.c_uint32, word],
        ),
        "mw_choose": (None, [handle, ctypes.c_uint32]),
        "mw_step": (ctypes.c_int, [handle, word]),
        "mw_error": (ctypes.c_char_p, [handle]),
        "mw_done": (word, [handle]),
        "mw_cycles": (word, [handle]),
        "mw_first_in": (pointer(word), [handle]),
        "mw_last_out": (pointer(word), [handle]),
        "mw_output": (pointer(ctypes.c_uint8), [handle, ctypes.c_uint32, pointer(word)]),
    }
    for name, (result, arguments) in signatures.items():
        function = getattr(library, name)
        function.restype = result
        function.argtypes = arguments
    return library
