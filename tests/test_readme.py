# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""What the README and the documentation show is true: examples run, links and commands exist."""

from __future__ import annotations

import importlib.metadata
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from midwire.sim.toolchain import BENCH_REMEDY

ROOT = Path(__file__).resolve().parent.parent
PAGES = [ROOT / "README.md", ROOT / "CHANGELOG.md", *sorted((ROOT / "docs").glob("*.md"))]


def blocks(page: Path, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", page.read_text("utf-8"), re.M | re.S)


EXAMPLES = [
    pytest.param(block, id=f"{page.stem}-{index}")
    for page in PAGES
    for index, block in enumerate(blocks(page, "python"))
]


@pytest.mark.parametrize("block", EXAMPLES)
def test_python_examples_run(block: str, tmp_path: Path) -> None:
    for name in ("digits.onnx", "calibration.npz"):
        shutil.copy(ROOT / "examples" / "digits" / name, tmp_path)
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", block],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
        stdin=subprocess.DEVNULL,
    )
    assert done.returncode == 0, done.stderr


def test_readme_python_takes_five_lines() -> None:
    (block,) = blocks(ROOT / "README.md", "python")
    assert len([line for line in block.splitlines() if line.strip()]) == 5


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_links_lead_somewhere(page: Path) -> None:
    links = re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", page.read_text("utf-8"))
    local = [link for link in links if not link.startswith("https://")]
    missing = [link for link in local if not (page.parent / link).exists()]
    assert not missing, f"{page.name} links to what is not there: {missing}"


def test_commands_in_the_readme_are_those_installed() -> None:
    rows = re.findall(r"^\| (`midwire .*?) \|", (ROOT / "README.md").read_text("utf-8"), re.M)
    # "`midwire up TOML`, `edge`": the first word that is not `midwire` of each quoted part.
    quoted = [part for row in rows for part in re.findall(r"`([^`]*)`", row)]
    named = {part.removeprefix("midwire ").split()[0] for part in quoted}
    installed = {point.name for point in importlib.metadata.entry_points(group="midwire.commands")}
    assert named == installed


def test_what_the_bench_needs_can_be_installed_from_anywhere() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    wanted = " ".join(f"'{need}'" for need in project["optional-dependencies"]["bench"])
    assert f"pip install {wanted}" == BENCH_REMEDY
    assert BENCH_REMEDY in blocks(ROOT / "docs" / "running.md", "sh")[-1].splitlines()


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_pip_is_never_asked_for_midwire_by_name(page: Path) -> None:
    """A clone has it as ``.``; no index has it."""
    found = re.findall(r"pip install[^`\n]*midwire[^`\n]*", page.read_text("utf-8"))
    assert not [line for line in found if not re.match(r"pip install -e \. ", line)]


def test_ci_runs_the_test_command_of_the_readme() -> None:
    commands = [
        line
        for block in blocks(ROOT / "README.md", "sh")
        for line in block.splitlines()
        if line and not line.startswith("#")
    ]
    assert len(commands) == 2, "one command for the main job, one for the tests"
    assert commands[1] in (ROOT / ".ci" / "run").read_text("utf-8").splitlines()


def test_the_number_on_the_model_is_the_one_measured() -> None:
    facts = (ROOT / "examples" / "digits" / "digits.json").read_text("utf-8")
    accuracy = re.search(r'"heldout_accuracy": ([\d.]+)', facts)
    assert accuracy
    assert f"{float(accuracy[1]):.2%}".replace("%", " %") in (ROOT / "README.md").read_text("utf-8")
