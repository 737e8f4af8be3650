# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""What people import and run: the root package, the exports of packages, names that resolve."""

from __future__ import annotations

import ast
import importlib
import importlib.metadata
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

import midwire

ROOT = Path(__file__).resolve().parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
PACKAGES = PROJECT["tool"]["setuptools"]["packages"]

EXPORTS = {
    "midwire": ["Bundle", "Options", "__version__", "compile_model", "inspect_model", "verify"],
    "midwire.compiler.ops": ["OPERATORS", "REGISTRY"],
    "midwire.hw.numeric": [
        "LARGEST_REAL",
        "MAX_BITS",
        "Affine",
        "Composed",
        "DomainError",
        "Exponential",
        "Function",
        "IntArray",
        "IntType",
        "Interval",
        "Listed",
        "Piecewise",
        "QType",
        "Unary",
        "UndecidedError",
        "bits_for",
        "ends_of",
        "rne",
    ],
    "midwire.sim": ["Verification", "verify"],
}
"""Public names of packages; those that are not here export nothing but their modules."""


def public(name: str) -> list[str]:
    """What ``from package import *`` should give: ``__all__``, else what its file defines."""
    module = importlib.import_module(name)
    if hasattr(module, "__all__"):
        return list(module.__all__)
    tree = ast.parse(Path(str(module.__file__)).read_text("utf-8"))
    names: list[str] = []
    for node in tree.body:
        if isinstance(node, ast.Assign):
            names += [t.id for t in node.targets if isinstance(t, ast.Name)]
        elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            names.append(node.target.id)
        elif isinstance(node, ast.ClassDef | ast.FunctionDef):
            names.append(node.name)
    return [n for n in names if not n.startswith("_")]


@pytest.mark.parametrize("name", PACKAGES)
def test_exports_are_those_that_are_pinned(name: str) -> None:
    exported = public(name)
    assert sorted(exported) == sorted(EXPORTS.get(name, []))
    module = importlib.import_module(name)
    missing = [item for item in exported if not hasattr(module, item)]
    assert not missing, f"{name} exports what is not there: {missing}"


def test_every_pin_is_a_package() -> None:
    assert set(EXPORTS) <= set(PACKAGES)


def test_importing_the_root_loads_nothing_heavy() -> None:
    code = "import sys, midwire; dir(midwire); print(*sys.modules, sep=chr(10))"
    loaded = set(output(sys.executable, "-c", code).split())
    assert not loaded & {"amaranth", "cocotb", "numpy", "onnx", "onnxruntime"}
    assert not {name for name in loaded if name.startswith("midwire.")}


def test_the_root_has_its_exports_and_nothing_else() -> None:
    assert dir(midwire) == sorted(midwire.__all__)
    for name in midwire.__all__:
        assert getattr(midwire, name) is not None
    with pytest.raises(AttributeError, match="module 'midwire' has no attribute 'compile_modle'"):
        midwire.compile_modle  # noqa: B018


def test_versions_agree() -> None:
    version = PROJECT["project"]["version"]
    assert midwire.__version__ == importlib.metadata.version("midwire") == version


def test_python_dash_m_midwire_is_the_command() -> None:
    usage = output(sys.executable, "-m", "midwire", "--help")
    assert "Usage: midwire " in usage
    assert (
        output(sys.executable, "-m", "midwire", "--version") == f"midwire {midwire.__version__}\n"
    )


def output(*command: str) -> str:
    done = subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_changelog_ends_with_the_version_that_is_installed() -> None:
    """Work that is not released stands above the releases, newest first; or there is none yet."""
    changelog = (ROOT / "CHANGELOG.md").read_text("utf-8")
    headings = re.findall(r"^## \[(.+?)\](.*)$", changelog, re.M)
    names = [name for name, _ in headings]
    assert len(set(names)) == len(names), "a heading stands twice"
    assert "Unreleased" not in names[1:], "what is not released stands first"
    released = [(name, rest) for name, rest in headings if name != "Unreleased"]
    dated = [name for name, rest in released if re.fullmatch(r" - \d{4}-\d\d-\d\d", rest)]
    assert dated == [name for name, _ in released], "a release has its date"
    newest = dated[0] if dated else "0.1.0"  # the first release is still to come
    assert newest == PROJECT["project"]["version"]
    entries = re.findall(r"^## \[.*?$(.*?)(?=^## |\Z)", changelog, re.M | re.S)
    assert all("\n- " in entry for entry in entries), "a heading without an entry"


def modules_imported(path: Path) -> Iterator[tuple[int, Path]]:
    """Line and place, without suffix, of every module of ours that a file imports."""
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if not isinstance(node, ast.Import | ast.ImportFrom):
            continue
        if isinstance(node, ast.ImportFrom):
            names = [node.module or ""]
            base = path.parents[node.level - 1] if node.level else ROOT
        else:
            names, base = [alias.name for alias in node.names], ROOT
        for name in names:
            if base != ROOT or name.split(".")[0] == "midwire":
                yield node.lineno, base.joinpath(*name.split("."))


def test_an_editor_resolves_our_imports() -> None:
    """Below ``midwire/``, through its links, as pyright looks for them without configuration."""
    folders = ("bench", "compiler", "docs", "examples", "host", "hw", "sim", "tests")
    inside = [path for folder in folders for path in sorted((ROOT / folder).rglob("*.py"))]
    files = [*inside, *sorted((ROOT / "midwire").glob("*.py"))]
    assert len(files) > 100
    found = []
    for path in files:
        for line, place in modules_imported(path):
            if not (place.with_suffix(".py").is_file() or (place / "__init__.py").is_file()):
                found.append(f"{path.relative_to(ROOT)}:{line} imports {place.relative_to(ROOT)}")
    assert not found, "\n".join(found)
