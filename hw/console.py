# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""What every ``midwire`` command shares: ``--json``, progress, and how an error looks.

Rules, cited by tests as C1 to C4:

C1. With ``--json``, a command writes JSON objects to standard output and nothing else: one object
    for a command that ends by itself; one object a line, the ready line first, for one that keeps
    running.
C2. Progress and logs go to standard error, always.
C3. Exit status 0 means success, 1 an error or a failed check, 2 wrong usage
    (:attr:`.errors.MidwireError.usage`), 130 interrupted. An option's value that makes no sense is
    wrong usage, and so is a path to read at which there is nothing, or a folder for a file.
C4. An error is one paragraph on standard error; with ``--json``, ``{"error": {...}}`` on standard
    output.

A command is a plain function with annotated parameters (typer's rules); among them, by convention,
``as_json: JsonFlag = False``::

    def inspect(model: Path, as_json: JsonFlag = False) -> None:
        \"\"\"Say which nodes can run in the NIC, and why the others cannot.\"\"\"
        console = Console(as_json)
        console.say("reading", str(model))
        console.result({"nodes": [...]}, "4 of 5 nodes are supported")

It raises :class:`.errors.MidwireError` for what the user can act on, and ``typer.Exit(1)`` after
its result where a check failed.
"""

from __future__ import annotations

import contextlib
import json
import math
import os
import sys
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Annotated, Any

import typer

from .errors import DataError, MidwireError

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

Report = Callable[[str, int, int], None]
"""Progress: what is being done, steps done, steps in all (0: not known)."""

JsonFlag = Annotated[
    bool, typer.Option("--json", help="JSON on standard output, logs on standard error.")
]
"""Type of the parameter behind ``--json``; its default is ``False``."""

MAX_SECONDS = 86_400.0
"""Of an option in seconds, a day: what waits for events takes some weeks at most."""

SUCCESS, FAILURE, USAGE, INTERRUPTED = 0, 1, 2, 130
"""Exit statuses (rule C3)."""


def seconds(least: float) -> Callable[[str | float], float]:
    """Parser of an option in seconds, for ``typer.Option(parser=...)``: ``least`` to a day."""

    def parse(text: str | float) -> float:
        with contextlib.suppress(ValueError):
            if least <= (value := float(text)) <= MAX_SECONDS:  # so neither NaN nor infinity
                return value
        raise typer.BadParameter(
            f"{text} is not a number of seconds from {least:g} to {MAX_SECONDS:g}, a day"
        )

    parse.__name__ = "seconds"  # stands in --help
    return parse


def plain(value: Any) -> Any:
    """The value in JSON's own types, numpy's and paths included; NaN and infinity are null."""
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple, set, frozenset)):
        return [plain(item) for item in value]
    if isinstance(value, os.PathLike):
        return os.fspath(value)
    if hasattr(value, "tolist"):  # numpy, without importing it
        return plain(value.tolist())
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value


def counters_text(counters: Mapping[str, Any]) -> str:
    """Counters for people: what has not happened is left out."""
    shown = [f"{name} {count}" for name, count in counters.items() if type(count) is int and count]
    return ", ".join(shown) or "nothing happened"


class Console:
    """Output of one command.

    Parameters
    ----------
    as_json : the command was given ``--json``
    """

    def __init__(self, as_json: bool = False) -> None:
        self.as_json = as_json

    def say(self, *words: object) -> None:
        """Write one line of progress to standard error."""
        sys.stderr.write(" ".join(str(word) for word in words) + "\n")
        sys.stderr.flush()

    def event(self, data: Mapping[str, Any], text: str = "") -> None:
        """Write one line at once: JSON, or the text (if any) for people."""
        if self.as_json:
            line = json.dumps(plain(data), allow_nan=False)
        elif text:
            line = text
        else:
            return
        _print(line)

    def result(self, data: Mapping[str, Any], text: str) -> None:
        """Write what the command found: one JSON object, or the text for people."""
        self.event(data, text)

    def progress(self) -> Progress:
        """A live display on standard error, silent where that is not a terminal."""
        from rich.console import Console as RichConsole
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn
        from rich.progress import TimeElapsedColumn as Elapsed

        terminal = RichConsole(stderr=True)
        return Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            Elapsed(),
            TextColumn("{task.fields[note]}"),
            console=terminal,
            disable=not terminal.is_terminal,
        )

    @contextlib.contextmanager
    def phases(self) -> Iterator[Report]:
        """A live line for each phase of a long command; gives what reports them."""
        with self.progress() as display:
            tasks: dict[str, TaskID] = {}

            def end_all() -> None:
                for task in tasks.values():
                    display.update(task, completed=1, total=1)

            def report(what: str, done: int, total: int) -> None:
                if what not in tasks:
                    end_all()  # one phase ends where the next begins
                    tasks[what] = display.add_task(what, total=total or None, note="")
                if total:
                    display.update(tasks[what], completed=done, total=total)

            yield report
            end_all()


def _print(line: str) -> None:
    """Write a line to standard output.

    Raises
    ------
    BrokenPipeError
        If its reader has gone.
    DataError
        If it is closed, or cannot take the line, as on a full disk.
    """
    found = "a closed one"
    try:
        if sys.stdout is not None:  # as it is where a shell closed it
            sys.stdout.write(line + "\n")
            sys.stdout.flush()
            return
    except BrokenPipeError:
        raise
    except OSError as reason:
        found = reason.strerror or str(reason)
        abandon_output()
    raise DataError(
        "the output cannot be written",
        where="standard output",
        expected="one that takes it",
        found=found,
        remedy="Make room where it goes, or send it elsewhere",
    )


def abandon_output() -> None:
    """Send what is left to write to standard output nowhere: the interpreter would try it again at
    its end, fail again, and say so in its own words and with a status of its own.
    """
    with contextlib.suppress(OSError, ValueError):
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, sys.stdout.fileno())
        os.close(nowhere)


def visible(text: str) -> str:
    """The text with ``\\u`` escapes for what does not show, or does more than that in a terminal:
    controls, line ends, marks that turn the direction of writing, halves of surrogate pairs.
    """
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else f"\\u{ord(c):04x}" for c in text)


def error_object(error: BaseException) -> dict[str, Any]:
    """The object behind ``error`` in a JSON answer."""
    if isinstance(error, MidwireError):
        return error.as_json()
    return {"type": type(error).__name__, "message": str(error)}


def report_error(error: BaseException, *, as_json: bool, message: str = "") -> None:
    """Write an error as rule C4 says."""
    found = error_object(error)
    if message:
        found["message"] = message
    lines = [visible(line) for line in found["message"].split("\n")]
    sys.stderr.write("error: {}\n".format("\n".join(lines)))
    sys.stderr.flush()
    if as_json:  # last: whoever reads it may end this process
        with contextlib.suppress(DataError):  # standard error has it
            _print(json.dumps({"error": plain(found)}, allow_nan=False))
