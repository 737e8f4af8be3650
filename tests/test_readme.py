# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""What the README and the documentation show is true: examples run, links and commands exist."""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest
import typer

from midwire.compiler.ops.leaky_relu import LeakyRelu
from midwire.host import cli
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


def test_the_bench_of_a_bundle_runs_inside_a_clone(tmp_path: Path) -> None:
    """With the plugins that the page installs only: the clone's own tests have more."""
    (block,) = [b for b in blocks(ROOT / "docs" / "running.md", "sh") if "test_bundle.py" in b]
    program, *words = block.splitlines()[-1].split()
    assert program == "pytest"
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    folder = tmp_path / "examples" / "digits"
    (folder / "digits.mw").mkdir(parents=True)
    (folder / "digits.mw" / "test_bundle.py").write_text("def test_golden_vectors(): pass\n")
    done = subprocess.run(
        [sys.executable, "-m", program, *words, "-p", "no:timeout", "-p", "no:cacheprovider"],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "1 passed" in done.stdout


def test_readme_python_takes_five_lines() -> None:
    (block,) = blocks(ROOT / "README.md", "python")
    assert len([line for line in block.splitlines() if line.strip()]) == 5


def test_the_operator_that_is_shown_is_the_one_that_is_there() -> None:
    """All of its file but the licence, and the command runs its cases."""
    page = ROOT / "docs" / "adding-an-operator.md"
    (block,) = blocks(page, "py")
    text = (ROOT / "compiler" / "ops" / "leaky_relu.py").read_text("utf-8")
    assert text.split("\n", 2)[2] == block
    assert {case.name for case in LeakyRelu.cases()} == {"leaky_relu", "leaky_relu_turns"}
    assert "-k leaky_relu\n" in blocks(page, "sh")[0]


def anchors(page: Path) -> set[str]:
    """Names of a page's headings, as GitHub makes them."""
    titles = re.findall(r"^#+ (.+)$", page.read_text("utf-8"), re.M)
    return {re.sub(r"[^\w -]", "", title.lower()).replace(" ", "-") for title in titles}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_links_into_pages_lead_to_a_heading(page: Path) -> None:
    links = re.findall(r"\]\(([^):#]*)#([^)]+)\)", page.read_text("utf-8"))
    missing = [
        link for link in links if link[1] not in anchors(page.parent / link[0] if link[0] else page)
    ]
    assert not missing, f"{page.name} links to headings that are not there: {missing}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_links_lead_somewhere(page: Path) -> None:
    links = re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", page.read_text("utf-8"))
    local = [link for link in links if not link.startswith("https://")]
    missing = [link for link in local if not (page.parent / link).exists()]
    assert not missing, f"{page.name} links to what is not there: {missing}"


def test_commands_in_the_readme_are_those_of_the_project() -> None:
    rows = re.findall(r"^\| (`midwire .*?) \|", (ROOT / "README.md").read_text("utf-8"), re.M)
    # "`midwire up TOML`, `edge`": the first word that is not `midwire` of each quoted part.
    quoted = [part for row in rows for part in re.findall(r"`([^`]*)`", row)]
    named = {part.removeprefix("midwire ").split()[0] for part in quoted}
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    assert named == set(project["entry-points"]["midwire.commands"])


def command(name: str) -> Any:
    """What parses the words behind ``midwire NAME``."""
    group: Any = typer.main.get_command(cli.build_app([name]))
    return group.commands[name]


def parts(whole: Any) -> dict[str, Any]:
    """The commands of a group of them, by name; none of any other command."""
    return getattr(whole, "commands", {})


def command_lines(page: Path) -> list[list[str]]:
    """The words of each ``midwire`` that a page shows how to run."""
    found = []
    for block in blocks(page, "sh"):
        for line in block.replace("\\\n", " ").splitlines():
            for part in line.split("&&"):
                words = shlex.split(part, comments=True)
                if words and Path(words[0]).name == "midwire":
                    found.append(words[1:])
    return found


def test_command_lines_that_are_shown_are_taken() -> None:
    """Every command, option and argument; nothing is run."""
    lines = [line for page in PAGES for line in command_lines(page)]
    assert len(lines) >= 9
    for name, *words in lines:
        taking = command(name)
        if parts(taking):
            taking = parts(taking)[words.pop(0)]
        taking.make_context(name, list(words))


def test_options_that_are_named_are_there() -> None:
    """Of some command; what is not there yet is in one place of the changelog."""
    options = {"--help", "--version", "--install-completion", "--show-completion"}
    for name in cli.commands():
        whole = command(name)
        for one in (whole, *parts(whole).values()):
            for parameter in one.params:
                options.update([*parameter.opts, *parameter.secondary_opts])
    for page in PAGES:
        text = page.read_text("utf-8").partition("### Not yet")[0]
        named = set(re.findall(r"(?<![\w-])--[a-z][a-z-]*", text))
        assert named <= options, f"{page.name}: {named - options}"


def test_measured_figures_are_those_of_the_whole_table() -> None:
    """Row by row: mismatches, agreement and cycles, which the README repeats."""

    def rows(page: Path, columns: int) -> list[list[str]]:
        lines = [line.strip("| ").split(" | ") for line in page.read_text("utf-8").splitlines()]
        return [line for line in lines if len(line) == columns and line[0] not in ("model", "---")]

    whole = {row[0]: row for row in rows(ROOT / "docs" / "measured.md", 12)}
    short = rows(ROOT / "README.md", 4)
    assert len(short) == 9
    for name, zeros, agrees, cycles in short:
        _, _, mismatches, _, _, _, end_to_end, pair, *_ = whole[name]
        assert zeros.split(", ") == mismatches.split(" / ") == ["0", "0"]
        assert {cycles.replace(" ", "")} == set(pair.split(" / "))
        assert agrees == end_to_end


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
