# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""What docstrings, comments and pages name is there: modules, classes, functions, files."""

from __future__ import annotations

import ast
import builtins
import re
from collections.abc import Iterator, Sequence
from functools import cache
from importlib.util import find_spec
from pathlib import Path

from midwire.hw.formats.wire import FIELDS

ROOT = Path(__file__).resolve().parent.parent
PRODUCT = ("compiler", "host", "hw", "sim")
PAGES = [ROOT / "README.md", ROOT / "CHANGELOG.md", *sorted((ROOT / "docs").glob("*.md"))]

ROLE = re.compile(r":(?:mod|class|func|meth|attr|data|exc):`~?([^`]+)`")
DOTTED = re.compile(r"\bmidwire(?:\.\w+)+")
PATH = re.compile(r"(?<![\w./<-])(?:[\w-]+/)+[\w-]+\.(?:py|cpp|h|v|md|svg|toml)\b")

ELSEWHERE = {
    "midwire.commands": "the group of entry points",
    "midwire.lua": "what midwire dissector writes",
    "midwire.crc.status": "one of its filters",
    "midwire.expert.length": "one of its filters",
    **{f"midwire.{field.name}": "one of its filters" for field in FIELDS},
}
"""Dotted names that are no modules."""

WRITTEN = ("rtl/", "digits.mw/", "midwire/")
"""Beginnings of paths that are in a bundle or in the user's cache."""


def sources() -> list[Path]:
    """Files of product code, benchmarks and examples."""
    folders = (*PRODUCT, "bench", "examples")
    found = [path for name in folders for path in sorted((ROOT / name).rglob("*.py"))]
    return [*found, *sorted((ROOT / "midwire").glob("*.py"))]


@cache
def tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text("utf-8"))


def home(parts: Sequence[str]) -> Path | None:
    """The file of a module, given its name without ``midwire``."""
    place = ROOT.joinpath(*parts) if parts else ROOT / "midwire"
    files = (place / "__init__.py", place.with_suffix(".py"))
    return next((file for file in files if file.is_file()), None)


def package(path: Path) -> tuple[str, ...]:
    """The package that a file is in, without ``midwire``."""
    parts = path.relative_to(ROOT).parts[:-1]
    return parts[1:] if parts[:1] == ("midwire",) else parts


def targets(node: ast.stmt) -> Iterator[str]:
    """Names that a statement of a module or class defines."""
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        yield node.name
    elif isinstance(node, ast.AnnAssign):
        yield from (n.id for n in ast.walk(node.target) if isinstance(n, ast.Name))
    elif isinstance(node, ast.Assign):
        yield from (
            n.id for target in node.targets for n in ast.walk(target) if isinstance(n, ast.Name)
        )


def members(found: ast.ClassDef) -> set[str]:
    """Names of a class's own attributes, those that methods set on ``self`` included."""
    own = {name for node in found.body for name in targets(node)}
    set_ = (node for node in ast.walk(found) if isinstance(node, ast.Attribute))
    return own | {n.attr for n in set_ if isinstance(n.ctx, ast.Store)}


def classes(path: Path) -> dict[str, ast.ClassDef]:
    return {node.name: node for node in tree(path).body if isinstance(node, ast.ClassDef)}


def inside(path: Path, names: Sequence[str]) -> bool:
    """Whether a module has a name, or a class of it an attribute (inherited ones are taken on
    trust where the class has bases).
    """
    first, *rest = names
    for node in tree(path).body:
        if isinstance(node, ast.ImportFrom):
            for alias in node.names:
                if (alias.asname or alias.name) == first:
                    base = package(path)
                    base = base[: len(base) - node.level + 1] if node.level else ("",)
                    return resolves((*base, *(node.module or "").split("."), alias.name, *rest))
        elif first in targets(node):
            if not rest or not isinstance(node, ast.ClassDef):
                return not rest
            return len(rest) == 1 and (rest[0] in members(node) or bool(node.bases))
    return False


def resolves(parts: Sequence[str]) -> bool:
    """Whether a dotted name, given without ``midwire``, is a module or something in one."""
    parts = [part for part in parts if part]
    for count in range(len(parts), -1, -1):
        path = home(parts[:count])
        if path is not None:
            return count == len(parts) or inside(path, parts[count:])
        if count == len(parts) and parts and ROOT.joinpath(*parts).is_dir():
            return True
    return False


def known(name: str, path: Path) -> bool:
    """Whether a role's target is there, from where it is written."""
    if name.startswith("midwire"):
        return resolves(name.split(".")[1:])
    if name.startswith("."):
        level = len(name) - len(name.lstrip("."))
        base = package(path)
        return resolves((*base[: len(base) - level + 1], *name.lstrip(".").split(".")))
    names = name.split(".")
    if len(names) > 1 and find_spec(names[0]):
        return True  # somebody else's
    own = any(name in members(found) for found in classes(path).values())
    return own or hasattr(builtins, name) or inside(path, names)


def line_of(text: str, place: int) -> int:
    return text.count("\n", 0, place) + 1


def test_what_docstrings_refer_to_is_there() -> None:
    missing = []
    for path in sources():
        text = path.read_text("utf-8")
        for match in ROLE.finditer(text):
            name = re.sub(r"\s+", "", match[1])
            if not known(name, path):
                missing.append(f"{path.relative_to(ROOT)}:{line_of(text, match.start())} {name}")
    assert not missing, "no such thing:\n" + "\n".join(missing)


def test_dotted_names_are_there() -> None:
    missing = []
    for path in [*sources(), *PAGES]:
        text = path.read_text("utf-8")
        for match in DOTTED.finditer(text):
            if match[0] not in ELSEWHERE and not resolves(match[0].split(".")[1:]):
                missing.append(
                    f"{path.relative_to(ROOT)}:{line_of(text, match.start())} {match[0]}"
                )
    assert not missing, "no such thing:\n" + "\n".join(missing)


def test_paths_are_there() -> None:
    """From the root, or from a folder of product code: ``cpp/nic.cpp`` is short for host's."""
    missing = []
    for path in [*sources(), *PAGES]:
        text = path.read_text("utf-8")
        for match in PATH.finditer(text):
            bases = (ROOT, path.parent, *(ROOT / folder for folder in PRODUCT))
            if not match[0].startswith(WRITTEN) and not any((b / match[0]).exists() for b in bases):
                missing.append(
                    f"{path.relative_to(ROOT)}:{line_of(text, match.start())} {match[0]}"
                )
    assert not missing, "no such file:\n" + "\n".join(missing)


def test_this_would_notice() -> None:
    here = ROOT / "hw" / "finish" / "fit.py"
    assert known(".base.FinishError", here) and not known(".base.FinishErrors", here)
    assert known("midwire.hw.numeric.QType.step", here)
    assert not known("midwire.hw.numeric.qtype.Nothing", here)
    assert known("..numeric", here) and not known("..numbers", here)
    assert not resolves(["compiler", "passes", "fuse"])
    assert resolves(["compile_model"]) is False
