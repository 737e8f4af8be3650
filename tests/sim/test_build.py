# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""Builds: what is cached, what an error says, and what an interrupt leaves behind."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from midwire.hw.errors import BuildError
from midwire.hw.jobs import Job, run_jobs
from midwire.sim import build
from midwire.sim.build import build_executable, build_model
from midwire.sim.model import Model
from midwire.sim.ports import VerilogPort, read_ports

from .conftest import PASS, module

Source = Callable[..., Path]


def entries(folder: Path) -> list[str]:
    return sorted(p.name for p in folder.iterdir() if p.is_dir() and "runtime" not in p.name)


@pytest.fixture(scope="session")
def warm(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A cache that holds Verilator's runtime, which takes seconds to compile."""
    folder = tmp_path_factory.mktemp("warm")
    source = folder / "dut.v"
    source.write_text(module(PASS))
    build_model([source], "dut", cache_dir=folder / "cache")
    return folder / "cache"


@pytest.fixture
def fresh(warm: Path, tmp_path: Path) -> Path:
    """A cache with nothing but the runtime."""
    folder = tmp_path / "cache"
    folder.mkdir()
    for path in warm.glob("runtime-*"):
        if path.is_dir():
            shutil.copytree(path, folder / path.name)
    return folder


def test_a_second_build_is_a_hit(source: Source, fresh: Path) -> None:
    steps: list[tuple[int, int]] = []
    path = source(PASS)
    first = build_model(
        [path], "dut", cache_dir=fresh, progress=lambda done, total: steps.append((done, total))
    )
    assert steps[0][0] == 0
    assert steps[-1][0] == steps[-1][1] > 1
    steps.clear()
    assert build_model([path], "dut", cache_dir=fresh, progress=lambda *s: steps.append(s)) == first
    assert steps == []
    moved = path.rename(path.with_name("other.v"))  # texts count, names do not
    assert build_model([moved], "dut", cache_dir=fresh) == first
    moved.write_text(module(PASS, bits=16))
    assert build_model([moved], "dut", cache_dir=fresh) != first
    assert sorted(p.name for p in first.parent.iterdir()) == ["info.json", "model.so"]


RACER = """
import sys
from pathlib import Path
from midwire.sim.build import build_model
print(build_model([Path(sys.argv[1])], "dut", cache_dir=Path(sys.argv[2]),
                  progress=lambda d, t: print("step", d, file=sys.stderr)))
"""


def racer(path: Path, folder: Path) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", RACER, str(path), str(folder)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def test_builds_that_race_build_once(source: Source, fresh: Path) -> None:
    path = source(PASS)
    results = [racer.communicate() for racer in [racer(path, fresh) for _ in range(3)]]
    assert len({out for out, _ in results}) == 1
    assert len([err for _, err in results if err]) == 1
    assert len(entries(fresh)) == 1
    data = np.arange(8, dtype=np.uint8).reshape(2, 4)
    with Model(Path(results[0][0].strip())) as model:
        np.testing.assert_array_equal(model.run([data]).outputs[0], data)


def alive(group: int) -> list[str]:
    """Processes of a group; those that wait for their parent to notice their end are not."""
    found = []
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            text = path.read_text()
        except (FileNotFoundError, ProcessLookupError):
            continue
        state, _, process_group = text.rpartition(")")[2].split()[:3]
        if int(process_group) == group and state != "Z":
            found.append(text)
    return found


def test_an_interrupt_leaves_nothing(source: Source, fresh: Path, tmp_path: Path) -> None:
    # A compiler that never ends, and says who it is.
    slow = tmp_path / "slow"
    slow.write_text(
        '#!/bin/sh\n[ "$1" = --version ] && echo slow && exit\n'
        f"echo $$ > {tmp_path}/new.$$ && mv {tmp_path}/new.$$ {tmp_path}/pid\nsleep 600\n"
    )
    slow.chmod(0o755)
    process = subprocess.Popen(
        [sys.executable, "-c", RACER, str(source(PASS)), str(fresh)],
        env={**os.environ, "CXX": str(slow)},
        stderr=subprocess.PIPE,
        text=True,
    )
    deadline = time.monotonic() + 60
    while not (tmp_path / "pid").exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    assert alive(int((tmp_path / "pid").read_text() or 0)) != []
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=30)
    assert "KeyboardInterrupt" in err
    assert alive(int((tmp_path / "pid").read_text())) == []
    assert entries(fresh) == []


def test_verilog_that_does_not_parse_is_quoted(source: Source, fresh: Path) -> None:
    with pytest.raises(BuildError) as error:
        build_model([source("assign = ;")], "dut", cache_dir=fresh)
    text = str(error.value)
    assert text.startswith(
        "Verilator on dut failed: verilator_bin ended with status 1; found %Error: "
    )
    assert "0_dut.v:3:8: syntax error, unexpected '='" in text
    assert entries(fresh) == []


def test_missing_files_are_named(tmp_path: Path) -> None:
    with pytest.raises(BuildError) as error:
        build_model([tmp_path / "no.v"], "dut", cache_dir=tmp_path)
    assert str(error.value) == (
        f"{tmp_path}/no.v: the file cannot be read; found No such file or directory. "
        "Write it anew: compile the bundle again, or reinstall midwire."
    )


def test_ports_that_do_not_fit_are_listed(fresh: Path, tmp_path: Path) -> None:
    path = tmp_path / "dut.v"
    path.write_text(
        "module dut(input clk, input [7:0] s0_axis_tdata, input s0_axis_tvalid, input x,\n"
        "input s0_axis_tready, output [7:0] m0_axis_tdata, output m0_axis_tvalid,\n"
        "input m0_axis_tready, output [1:0] m0_axis_tlast); endmodule\n"
    )
    with pytest.raises(BuildError) as error:
        build_model([path], "dut", cache_dir=fresh)
    assert str(error.value) == (
        "module dut: the ports are not those of a slice; expected clk, aresetn, and tdata, tvalid, "
        "tready, tlast of s0_axis_, s1_axis_, ..., of m0_axis_, m1_axis_, ... and, for memories "
        "that can be loaded, of w0_axis_, ..., with weight_bank; found aresetn is missing; "
        "s0_axis_tlast is missing; "
        "s0_axis_tready is input of 1 bits, not output of 1; "
        "m0_axis_tlast is output of 2 bits, not output of 1; x belongs to no stream."
    )


def test_tdata_is_whole_bytes(source: Source, fresh: Path) -> None:
    with pytest.raises(BuildError) as error:
        build_model([source(PASS, bits=12)], "dut", cache_dir=fresh)
    assert str(error.value) == (
        "port s0_axis_tdata of module dut: the tdata of a stream must be whole bytes; found 12 "
        "bits."
    )


def test_ports_are_read_from_the_header() -> None:
    text = "VL_IN8(&clk,0,0);\nVL_OUT64(&a,39,0);\nVL_INW(&b,79,0,3);\nVL_OUT(&c,23,0);\n"
    assert read_ports(text) == [
        VerilogPort("clk", "in", 1),
        VerilogPort("a", "out", 40),
        VerilogPort("b", "in", 80),
        VerilogPort("c", "out", 24),
    ]


@pytest.fixture
def compiled(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What was compiled."""
    found: list[str] = []

    def run(jobs: Sequence[Job], **options: Any) -> None:
        found.extend(job.what for job in jobs if job.what.startswith("compiling"))
        run_jobs(jobs, **options)

    monkeypatch.setattr(build, "run_jobs", run)
    return found


def test_a_small_model_is_one_unit(source: Source, fresh: Path, compiled: list[str]) -> None:
    build_model([source(PASS)], "dut", cache_dir=fresh)
    assert compiled == ["compiling unit_whole.cc"]


@pytest.mark.parametrize("sizes", [(1, 1), (1, 10_000), (1, 1 << 20)])
def test_units_of_any_size_make_the_same_model(
    sizes: tuple[int, int],
    source: Source,
    fresh: Path,
    compiled: list[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(build, "UNIT_BYTES", sizes)
    data = np.arange(40, dtype=np.uint8).reshape(2, 20)
    with Model(build_model([source(PASS)], "dut", cache_dir=fresh)) as model:
        np.testing.assert_array_equal(model.run([data]).outputs[0], data)
    assert compiled[-1] == "compiling driver.cpp"
    units = compiled[:-1]
    assert len(set(units)) == len(units) >= 2
    assert {unit.split("_")[1] for unit in units} == {"fast", "slow"}


MAIN = """
#include "Vnic.h"
#include "answer.h"
#include "question.h"
#include <cstdio>
int main(int argc, char** argv) {
    VerilatedContext context;
    Vnic top{&context};
    top.clk = 0; top.eval();
    std::printf("%d %d %d\\n", QUESTION, ANSWER, top.s0_axis_tready);
}
"""


def test_executables(source: Source, fresh: Path, tmp_path: Path) -> None:
    path, main = source(PASS), tmp_path / "main.cpp"
    main.write_text(MAIN)
    seen = set()
    for question, answer in ((6, 41), (6, 42), (7, 42)):
        (tmp_path / "answer.h").write_text(f"#define ANSWER {answer}\n")
        text = {"question.h": f"#define QUESTION {question}\n"}
        program = build_executable([path], "dut", [main], generated=text, cache_dir=fresh)
        seen.add(program)
        done = subprocess.run([program], capture_output=True, text=True, check=True)
        assert done.stdout == f"{question} {answer} 1\n"
    assert len(seen) == 3, "headers beside a source, and generated ones, are part of the key"


@pytest.mark.sweep
def test_the_compiler_from_the_package_index(
    source: Source, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CXX", f"{sys.executable} -m ziglang c++")
    data = np.arange(40, dtype=np.uint8).reshape(2, 20)
    with Model(build_model([source(PASS, bits=80)], "dut", cache_dir=tmp_path)) as model:
        np.testing.assert_array_equal(model.run([data], stall=0.5).outputs[0], data)
