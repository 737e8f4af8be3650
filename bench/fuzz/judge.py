# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""One case: a model made from a seed and a number, through a command, in this process.

What may come of it (rules J1 to J4):

J1. A listing, a bundle, or one of our errors: its sentence is one paragraph, says what was found,
    and is no longer than a person reads. Any other exception is a defect, a warning of numpy's too.
J2. No verdict of a listing says that a rule failed: that is a defect that was caught.
J3. It takes at most so many seconds of the processor, and 2 GB of memory.
J4. A refused compile leaves nothing in the place of the bundle.
"""

from __future__ import annotations

import contextlib
import io
import json
import math
import random
import resource
import shutil
import signal
import sys
import traceback
import warnings
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any

import numpy as np
import onnx
import typer

from midwire.compiler import cli
from midwire.hw.errors import MidwireError

from .mutate import mutate

KINDS = ("inspect", "compile")

SECONDS: Mapping[str, float] = {"inspect": 10.0, "compile": 60.0}
"""Processor time of a case: a compile calibrates and measures beside it."""

MEMORY = 2 << 30
"""Bytes that a case may take."""

LONGEST = 16_000
"""Letters of a sentence."""

_SAMPLES, _MOST_ELEMENTS = 3, 1 << 18


class TooLong(BaseException):
    """Out of time. Not an Exception, which somebody might catch on the way."""


@dataclass(frozen=True)
class Verdict:
    """What came of a case.

    Attributes
    ----------
    end : "done", "none" (no slice), or the class of our error
    defect : empty, or one line that is the same for the same defect
    trace : where it happened
    """

    end: str
    defect: str = ""
    trace: str = ""


def case(kind: str, seed: int, number: int, bases: Mapping[str, bytes]) -> tuple[str, bytes]:
    """The base's name and the model of a case."""
    rng = random.Random(f"{kind}/{seed}/{number}")
    name = rng.choice(sorted(bases))
    return name, mutate(bases[name], list(bases.values()), rng)


def judge(kind: str, raw: bytes, number: int, folder: Path) -> Verdict:
    """Run a model through a command; ``folder`` is for its files."""
    model, bundle = folder / "model.onnx", folder / "bundle"
    model.write_bytes(raw)
    shutil.rmtree(bundle, ignore_errors=True)
    output = io.StringIO()
    try:
        with _limited(SECONDS[kind]), _quiet(output):
            as_json = number % 8 != 0  # tables take longer than all else
            if kind == "inspect":
                cli.inspect(model, as_json=as_json)
            else:
                cli.compile_(model, bundle, calibrate=_samples(raw, number, folder))
    except typer.Exit:
        return _listing("none", output.getvalue())
    except MidwireError as error:
        left = bundle.exists()
        return _sentence(error, "a refused compile left files" if left else "")
    except (KeyboardInterrupt, SystemExit):
        raise
    except BaseException as error:
        return Verdict("defect", _signature(error), traceback.format_exc())
    return _listing("done", output.getvalue()) if kind == "inspect" else Verdict("done")


def _listing(end: str, text: str) -> Verdict:
    for line in text.splitlines() or [""]:
        if "rule failed" in line:
            at = line.index("rule failed")
            return Verdict(end, f"verdict: {line[at : at + 90]}", line[max(0, at - 300) : at + 600])
    if text.startswith("{"):
        json.loads(text)
    return Verdict(end)


def _sentence(error: MidwireError, defect: str) -> Verdict:
    text, end = error.paragraph(), type(error).__name__
    if not defect and (len(text) > LONGEST or not error.problem or not text.endswith(".")):
        defect = f"not a sentence: {error.problem[:60]}"
    if not defect and not (error.found and error.remedy):
        defect = f"a sentence that does not teach: {error.problem[:60]}"
    if not defect and "rule failed" in text:
        at = text.index("rule failed")
        defect = f"verdict: {text[at : at + 90]}"
    return Verdict(end, defect, text[:2000] if defect else "")


def _signature(error: BaseException) -> str:
    """The error and the last line of ours that it came by."""
    frames = traceback.extract_tb(error.__traceback__)
    ours = [
        f for f in frames if "/bench/fuzz/" not in f.filename and "site-packages" not in f.filename
    ]
    last = next((f for f in reversed(ours) if "/lib/python" not in f.filename), frames[-1])
    return f"{type(error).__name__} at {Path(last.filename).name}:{last.lineno} {last.name}"


@contextlib.contextmanager
def _quiet(output: io.StringIO) -> Iterator[None]:
    """What goes to standard output goes there; what goes to standard error, nowhere."""
    with contextlib.redirect_stdout(output), contextlib.redirect_stderr(io.StringIO()):
        yield


@contextlib.contextmanager
def _limited(seconds: float) -> Iterator[None]:
    """Warnings are errors, and so is more time than that."""

    def out(number: int, frame: FrameType | None) -> None:
        raise TooLong(f"more than {seconds:g} s")

    before = signal.signal(signal.SIGPROF, out)
    signal.setitimer(signal.ITIMER_PROF, seconds)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.signal(signal.SIGPROF, before)


def limit_memory() -> None:
    """More memory than a case may take is refused to this process from now on."""
    resource.setrlimit(resource.RLIMIT_DATA, (_data_bytes() + MEMORY,) * 2)


def _data_bytes() -> int:
    for line in Path("/proc/self/status").read_text("ascii").splitlines():
        if line.startswith("VmData:"):
            return 1024 * int(line.split()[1])
    return 0


def peak_bytes() -> int:
    """The most that this process had in memory."""
    used = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return used if sys.platform == "darwin" else 1024 * used


def _samples(raw: bytes, number: int, folder: Path) -> Path | None:
    """Samples that suit the model's inputs as they are declared, for two models in three."""
    rng = np.random.default_rng(number)
    if number % 3 == 0:
        return None
    arrays: dict[str, Any] = {}
    try:
        graph = onnx.ModelProto.FromString(raw).graph
        stored = {tensor.name for tensor in graph.initializer}
        for index, value in enumerate(v for v in graph.input if v.name not in stored):
            kind = value.type.tensor_type
            shape = [dim.dim_value for dim in kind.shape.dim][1:]
            if min(shape, default=0) < 0 or math.prod(shape) > _MOST_ELEMENTS:
                return None
            dtype = onnx.helper.tensor_dtype_to_np_dtype(kind.elem_type)
            drawn = rng.normal(0, 2, (_SAMPLES, *shape))
            with np.errstate(all="ignore"):
                arrays[f"in{index}"] = drawn.astype(dtype)
    except Exception:  # whatever is wrong with the model is for the command to find
        return None
    path = folder / "samples.npz"
    np.savez(path, **arrays)
    return path
