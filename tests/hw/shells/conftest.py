# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""Adapters to shells around a stand-in slice, in Verilator, behind what the shell would do."""

from __future__ import annotations

import contextlib
import random
import subprocess
from collections.abc import Callable, Iterator
from importlib.resources import files
from pathlib import Path
from typing import NamedTuple

import pytest

from midwire.hw.elaborate import prefixed, renamed, verilog_of
from midwire.hw.formats import csr
from midwire.hw.shells.registry import SHELLS, Shell
from midwire.sim.build import build_executable

from ..nic.conftest import (
    LARGE,
    REGISTERS,
    Sizes,
    Tools,
    stand_in,
)

HERE = Path(__file__).resolve().parent
RX, TX, HOST, NET = (0, 1), (2, 3), (0, 1), (2, 3)
"""Numbers of inputs from network and host, and of outputs to them, by port."""

WINDOW = 0x1000
PIPELINES = {"corundum-25g": 2, "corundum-100g": 1, "opennic-250": 2}
"""Of the two ports of each shell so many have one, in most tests."""


class Out(NamedTuple):
    """A frame that came out, with the cycles of its first and its last beat."""

    data: bytes
    user: int
    first: int
    last: int


class Bench:
    """One running simulation of an adapter with two ports."""

    def __init__(self, program: Path, shell: Shell, pipelines: int, sizes: Sizes) -> None:
        self.shell, self.pipelines, self.sizes = shell, pipelines, sizes
        self._process = subprocess.Popen(
            [str(program)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        self._out: list[list[Out]] = [[] for _ in range(4)]
        self.completed: tuple[list[int], list[int]] = ([], [])
        for port in range(pipelines):
            self.configure(port)

    def send(self, line: str) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(line + "\n")

    def ask(self, line: str) -> list[int]:
        self.send(line)
        assert self._process.stdin is not None and self._process.stdout is not None
        self._process.stdin.flush()
        for answer in self._process.stdout:
            kind, *words = answer.split()
            assert kind not in {"broken", "left"}, answer
            if kind == "f":
                output, data, user, first, last = words
                self._out[int(output)].append(
                    Out(bytes.fromhex(data), int(user, 16), int(first), int(last))
                )
            elif kind == "c":
                self.completed[int(words[0])].append(int(words[1]))
            else:
                return [int(word) for word in words]
        raise AssertionError("the simulation ended")

    def write_at(self, address: int, value: int) -> int:
        """Write a register; returns the response."""
        return self.ask(f"write {address} {value}")[0]

    def read_at(self, address: int) -> tuple[int, int]:
        """Read a register: response, value."""
        response, value = self.ask(f"read {address}")
        return response, value

    def configure(self, port: int = 0, **changes: int) -> None:
        """All that one pipeline is told."""
        for address, value in csr.settings(**{**REGISTERS, **changes}):
            assert self.write_at(WINDOW * port + address, value) == 0

    def counter(self, name: str, port: int = 0) -> int:
        """A counter of one pipeline, as it is now."""
        assert self.write_at(WINDOW * port + csr.ADDRESS["snapshot"], 1) == 0
        (_, high), (_, low) = (
            self.read_at(WINDOW * port + csr.ADDRESS[name] + 4 * part) for part in range(2)
        )
        return high << 32 | low

    def queue(self, into: int, frame: bytes, user: int = 0) -> None:
        self.send(f"frame {into} {frame.hex()} {user:x}")

    def from_network(self, port: int, frame: bytes, bad: bool = False) -> None:
        """A frame as the shell brings it from a port."""
        self.queue(RX[port], frame, self.shell_user(len(frame), 1 << 6 + port, bad))

    def from_host(self, port: int, frame: bytes, tag: int = 0) -> None:
        """A frame as the shell brings it from the host; the tag is Corundum's."""
        user = self.shell_user(len(frame), 1 << port, False)
        self.queue(TX[port], frame, user if self.sized else tag << 1)

    @property
    def sized(self) -> bool:
        return self.shell.family == "opennic"

    def shell_user(self, size: int, source: int, bad: bool) -> int:
        """What stands beside a frame: OpenNIC's size and source, or Corundum's bad-frame bit."""
        return size | source << 16 if self.sized else int(bad)

    def drain(self) -> list[list[Out]]:
        """Run until nothing moves; what came out since the last call, by output."""
        self.ask("drain")
        found, self._out = self._out, [[] for _ in range(4)]
        return found

    def close(self) -> None:
        self._process.kill()
        self._process.communicate()


def _program(shell: Shell, pipelines: int, folder: Path) -> Path:
    sizes = LARGE._replace(network_beat=shell.port.beat_bytes)
    pipeline, port = verilog_of([sizes.shell, shell.port])
    texts = {
        "midwire_slice.v": stand_in(sizes),
        "midwire_nic.v": prefixed(renamed(pipeline, "midwire_nic"), "midwire"),
        "midwire_ram.v": prefixed(_memory("ram"), "midwire"),
        "midwire_port.v": prefixed(renamed(port, "midwire_port"), "midwire"),
        **shell.verilog("midwire"),
        "bench.v": _bench(shell, pipelines),
    }
    for name, text in texts.items():
        (folder / name).write_text(text)
    return build_executable(
        [folder / name for name in texts], "bench", [HERE / "harness.cpp"], "Vbench"
    )


def _memory(kind: str) -> str:
    return files("midwire.hw").joinpath(f"verilog/mw_{kind}.v").read_text("utf-8")


def _bench(shell: Shell, pipelines: int) -> str:
    text = (HERE / f"bench_{shell.family}.v").read_text()
    text = text.replace("    BENCH_PORTS", (HERE / "bench_ports.vh").read_text())
    text = text.replace("WIDTH = 64", f"WIDTH = {8 * shell.port.beat_bytes}")
    if shell.family == "opennic":
        plugin = shell.contents("midwire", "", [], [])
        included = plugin["shell/box_250mhz/user_plugin_250mhz_inst.vh"]
        text = text.replace("    USER_PLUGIN", included.replace("SHELLS(1)", "SHELLS(PIPELINES)"))
    return text.replace("PIPELINES = 2", f"PIPELINES = {pipelines}")


@pytest.fixture(scope="session")
def programs(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str, int], Path]:
    built: dict[tuple[str, int], Path] = {}

    def get(name: str, pipelines: int) -> Path:
        if (name, pipelines) not in built:
            folder = tmp_path_factory.mktemp(name)
            built[name, pipelines] = _program(SHELLS[name], pipelines, folder)
        return built[name, pipelines]

    return get


@pytest.fixture(params=sorted(SHELLS))
def bench(request: pytest.FixtureRequest, programs: Callable[[str, int], Path]) -> Iterator[Bench]:
    """Each shell, all registers written."""
    name = request.param
    program = programs(name, PIPELINES[name])
    with contextlib.closing(Bench(program, SHELLS[name], PIPELINES[name], LARGE)) as found:
        yield found


@pytest.fixture(params=["corundum-100g", "opennic-250"])
def single(request: pytest.FixtureRequest, programs: Callable[[str, int], Path]) -> Iterator[Bench]:
    """A shell with a pipeline on the first of two ports only."""
    name = request.param
    with contextlib.closing(Bench(programs(name, 1), SHELLS[name], 1, LARGE)) as found:
        yield found


@pytest.fixture
def tools(request: pytest.FixtureRequest) -> Tools:
    """Helpers with a seed of their own, printed."""
    seed = random.SystemRandom().randrange(1 << 32)
    print(f"{request.node.name}: seed {seed}")
    return Tools(seed)
