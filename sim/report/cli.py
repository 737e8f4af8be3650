# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""The command, and the file that it writes."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from ...hw.console import Console, JsonFlag
from ...hw.formats.bundle import Bundle
from ...hw.formats.files import check_output, written

_REPORT = "the report"
"""What the page is called where it cannot be written."""


def report(
    bundle: Annotated[Path, typer.Argument(metavar="BUNDLE", help="Folder that compile wrote.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="HTML file to write.")],
    as_json: JsonFlag = False,
) -> None:
    """Write a page about a bundle: layers, cycles, schedule, losses and resources, as HTML."""
    console = Console(as_json)
    check_output(output, _REPORT)
    page = write_report(Bundle.load(bundle), output)
    console.result({"path": page, "bytes": page.stat().st_size}, f"report in {page}")


def write_report(bundle: Bundle, path: str | os.PathLike[str]) -> Path:
    """Write the report of a bundle beside the target, then rename it: never half of one.

    Folders on the way are made. Gives the path.

    Raises
    ------
    BundleError
        If the manifest's layers are not what this version of midwire writes.
    DataError
        If the file cannot be written.
    """
    from .facts import facts_of
    from .histograms import errors_of
    from .page import page

    file = Path(path)
    text = page(replace(facts_of(bundle), errors=errors_of(bundle)))
    with written(file, _REPORT) as fresh:
        fresh.write_text(text, "utf-8")
    return file
