# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""The ``midwire`` command.

How a sub-command gets here: an entry point in the group ``midwire.commands`` of ``pyproject.toml``,
name to ``module:function``. The function is a plain one with annotated parameters, as typer wants
them, and follows the rules of :mod:`midwire.hw.console`; where one is not enough, it is a
``typer.Typer`` of several, with its line as ``help``. Only the chosen command's module is
imported, so that an edge or cloud process never loads Amaranth or the compiler, and this module
never names them (the import direction holds). ``midwire --help`` reads the first line of each
function's docstring (or a group's ``help``) from its source without importing it. So a new command
is a function and a line in ``pyproject.toml``, then ``pip install -e .`` again, because entry
points are installed metadata. Other packages can add commands in the same way. Exit statuses and
the look of errors are decided here, once, for all commands.
"""

from __future__ import annotations

import ast
import errno
import io
import os
import signal
import sys
import time
import traceback
import warnings
from collections.abc import Callable, Sequence
from importlib import metadata
from pathlib import Path
from typing import Any

import typer

from ..hw.console import FAILURE, INTERRUPTED, SUCCESS, USAGE, abandon_output, report_error
from ..hw.errors import MidwireError
from .nodes.process import die_with_parent

_NAME = "midwire"

GROUP = "midwire.commands"
"""Entry-point group of the sub-commands."""

CLEANUP_SECONDS = 10.0
"""How long after an interrupt the next one is ignored."""


def commands() -> dict[str, metadata.EntryPoint]:
    """Every installed sub-command by name; nothing is imported."""
    return {point.name: point for point in sorted(metadata.entry_points(group=GROUP))}


def _source_of(module: str) -> str:
    """Text of a module; unlike ``importlib.util.find_spec``, does not import its packages."""
    places: Sequence[str] | None = None
    origin: str | None = None
    parts = module.split(".")
    for end in range(1, len(parts) + 1):
        name = ".".join(parts[:end])
        found = (finder.find_spec(name, places) for finder in sys.meta_path)
        spec = next((spec for spec in found if spec is not None), None)
        if spec is None:
            raise ImportError(f"no module {name}")
        places, origin = spec.submodule_search_locations, spec.origin
    return Path(origin).read_text(encoding="utf-8") if origin else ""


def summary(point: metadata.EntryPoint) -> str:
    """First line of the command's docstring, from the source of its module."""
    try:
        tree = ast.parse(_source_of(point.module))
    except (ImportError, OSError, SyntaxError, ValueError) as error:
        return f"(not available: {error})"
    for node in tree.body:
        if isinstance(node, ast.FunctionDef) and node.name == point.attr:
            return (ast.get_docstring(node) or "").partition("\n")[0]
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == point.attr:
            return _help_of(node.value)
    return "(not available)"


def _help_of(group: ast.expr) -> str:
    """What the call of ``typer.Typer`` is given as ``help``."""
    given = group.keywords if isinstance(group, ast.Call) else []
    values = (word.value for word in given if word.arg == "help")
    return next((str(v.value) for v in values if isinstance(v, ast.Constant)), "(not available)")


def _version(value: bool) -> None:
    if value:
        sys.stdout.write(f"midwire {metadata.version('midwire')}\n")
        raise typer.Exit


def _root(
    version: bool = typer.Option(
        False, "--version", callback=_version, is_eager=True, help="Print the version and stop."
    ),
) -> None:
    """The middle layers of a model, in the wire."""


def _listed(text: str) -> Callable[[], None]:
    """A stand-in that only brings its line to ``--help``."""

    def stand_in() -> None: ...

    stand_in.__doc__ = text
    return stand_in


def build_app(arguments: Sequence[str]) -> typer.Typer:
    """A typer application in which only the command that the arguments choose is loaded."""
    app = typer.Typer(
        name=_NAME,
        pretty_exceptions_enable=False,
        rich_markup_mode=None,
        context_settings={"help_option_names": ["-h", "--help"]},
    )
    app.callback()(_root)
    found = commands()
    chosen = next((word for word in arguments if not word.startswith("-")), None)
    if chosen in found:
        command = found[chosen].load()
        if isinstance(command, typer.Typer):
            app.add_typer(command, name=chosen)
        else:
            app.command(chosen)(command)
    else:
        for name, point in found.items():
            line = summary(point)
            app.command(name, short_help=line)(_listed(line))  # whole, where click would cut it
    return app


def _to_complete() -> list[str]:
    """The words behind ``midwire`` that a shell asks to complete; none if it does not ask.

    typer reads the same variables: bash's own, or those that its scripts for other shells set.
    """
    if f"_{_NAME.upper()}_COMPLETE" not in os.environ:
        return []
    line = os.environ.get("COMP_WORDS") or os.environ.get("_TYPER_COMPLETE_ARGS") or ""
    return line.split()[1:]


def _run(given: Sequence[str]) -> Any:
    """What the chosen command returns."""
    try:
        app = build_app([*given, *_to_complete()])
        return app(list(given), standalone_mode=False, prog_name=_NAME)
    except BaseException:
        _quiet()
        raise


def _quiet() -> None:
    # Amaranth warns of every component that was created and not elaborated: after an error or an
    # interrupt in the middle of the work these are many, and say nothing.
    warnings.simplefilter("ignore")


_interrupted: list[float] = []


def _interrupt(number: int, frame: object) -> None:
    if _interrupted and time.monotonic() - _interrupted[-1] < CLEANUP_SECONDS:
        return  # a second Ctrl-C must not interrupt what the first one has set going
    _interrupted.append(time.monotonic())
    _quiet()
    raise KeyboardInterrupt


def _interrupted_status(as_json: bool) -> int:
    if not as_json:  # whoever reads JSON has the exit status; a node's parent would show the line
        sys.stderr.write("interrupted\n")
    return INTERRUPTED


def main(arguments: Sequence[str] | None = None) -> int:
    """Run ``midwire``; returns the exit status."""
    if arguments is not None:
        return _main(list(arguments))
    # A supervisor's SIGTERM ends a command as Ctrl-C does: every `finally` runs. Where a signal is
    # ignored at the start (SIGINT, in a script's background job), it stays so: whoever ignores it
    # does not want that job to end with the script's Ctrl-C.
    ours = [
        number
        for number in (signal.SIGTERM, signal.SIGINT)
        if signal.getsignal(number) != signal.SIG_IGN
    ]
    for number in ours:
        signal.signal(number, _interrupt)
    die_with_parent()
    for stream in (sys.stdout, sys.stderr):
        # Names are in any script, and a terminal may have letters for English alone.
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    try:
        return _main(sys.argv[1:])
    finally:  # all is undone; an exception in the interpreter's own last steps would only be noise
        for number in ours:
            signal.signal(number, signal.SIG_DFL)


def _main(words: Sequence[str]) -> int:
    given = list(words) or ["--help"]
    as_json = "--json" in given
    try:
        status = _run(given)
    except MidwireError as error:
        report_error(error, as_json=as_json)
        return USAGE if error.usage else FAILURE
    except typer.TyperException as error:  # wrong usage
        context = getattr(error, "ctx", None)
        command = context.command_path if context is not None else _NAME
        text = " ".join(error.format_message().split()).rstrip(".")
        report_error(error, as_json=as_json, message=f"{text}. See: {command} --help.")
        return error.exit_code
    except (typer.Abort, KeyboardInterrupt):
        return _interrupted_status(as_json)
    except BrokenPipeError:  # the reader of our output has gone
        abandon_output()
        return FAILURE
    except Exception as error:
        if _interrupted:  # an import, say, that turned the interrupt into an error of its own
            return _interrupted_status(as_json)
        if isinstance(error, OSError) and error.errno == errno.ENOSPC:
            abandon_output()
            message = f"{error.strerror}; expected a disk with room. Make room, and try again."
            report_error(error, as_json=as_json, message=message)
            return FAILURE
        # A defect of ours: the trace says where, and a reader of JSON still gets an object.
        traceback.print_exc()
        report_error(
            error,
            as_json=as_json,
            message=f"{type(error).__name__}: {error}. This is a defect of midwire; the lines "
            "above say where it happened.",
        )
        return FAILURE
    if status == INTERRUPTED:  # typer's own view of a KeyboardInterrupt
        return _interrupted_status(as_json)
    return status if isinstance(status, int) else SUCCESS


if __name__ == "__main__":
    sys.exit(main())
