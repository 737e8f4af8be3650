# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""The packet loop in C++ around a pipeline that passes every frame on."""

from __future__ import annotations

import os
import random
import re
import resource
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from midwire.host.control.register_bus import RegisterBus
from midwire.host.errors import NodeLostError
from midwire.host.nodes.nic_process import NicProcess
from midwire.host.wire.udp import UdpPort
from midwire.hw.formats.csr import Register

from ..conftest import HELLO, cpu_ticks, send
from .loop import free_descriptor, greet, loop_words, take

REGISTERS = [Register("frames", 0, 32, "counter", 0, "frames; bit 31 is what was written there")]


@pytest.fixture
def nic(passthrough: Path, hop: UdpPort) -> Iterator[NicProcess]:
    with NicProcess(passthrough, loop_words(hop.address), registers=REGISTERS) as running:
        running.bus.write("frames", 1 << 31)
        running.start()
        yield running


def test_datagrams_of_all_sizes_pass_unchanged_and_in_order(nic: NicProcess, hop: UdpPort) -> None:
    seed = random.randrange(1 << 32)
    print("seed", seed)
    rng = random.Random(seed)
    sizes = [*range(1, 80), 1408, 1472, 8912, *(rng.randrange(1, 8972) for _ in range(40))]
    with UdpPort() as client:
        greet(client, nic.address, hop)
        for size in sizes:
            data = rng.randbytes(size)
            send(client, data, size, nic.address)
            assert [part for part, _ in take(hop, 1)] == [data]


def test_a_train_passes_in_order(nic: NicProcess, hop: UdpPort) -> None:
    data = bytes(range(256)) * 200
    with UdpPort() as client:
        greet(client, nic.address, hop)
        send(client, data, 1000, nic.address)
        assert b"".join(part for part, _ in take(hop, 52)) == data


def test_what_leaves_in_trains_arrives_as_it_came(nic: NicProcess, hop: UdpPort) -> None:
    """Trains are cut where the size, the client or the room in one changes."""
    sizes = [100] * 5 + [50, 100, 100, 0, 0, 7, 200, 100] + [8972] * 9 + [64] * 130
    datagrams = [(b"%4d" % n + bytes(size))[:size] for n, size in enumerate(sizes)]
    with UdpPort() as one, UdpPort() as two:
        flows = [greet(client, nic.address, hop) for client in (one, two)]
        os.kill(nic.about["pid"], signal.SIGSTOP)  # all of them are there when it looks
        for number, data in enumerate(datagrams):
            send(two if number % 50 == 49 else one, data or b"empty", 9000, nic.address)
        os.kill(nic.about["pid"], signal.SIGCONT)
        found = take(hop, len(datagrams))
    assert [data for data, _ in found] == [data or b"empty" for data in datagrams]
    assert [flows.index(source) for _, source in found] == [
        int(number % 50 == 49) for number in range(len(datagrams))
    ]


def test_answers_find_their_client(nic: NicProcess, hop: UdpPort) -> None:
    with UdpPort() as one, UdpPort() as two:
        greet(one, nic.address, hop)
        greet(two, nic.address, hop)
        send(one, b"from one", 100, nic.address)
        send(two, b"from two", 100, nic.address)
        for data, source in take(hop, 2):
            send(hop, b"answer to " + data, 100, source)
        assert take(one, 1) == [(b"answer to from one", nic.address)]
        assert take(two, 1) == [(b"answer to from two", nic.address)]


def test_a_stranger_cannot_answer(nic: NicProcess, hop: UdpPort) -> None:
    with UdpPort() as client, UdpPort() as stranger:
        flow = greet(client, nic.address, hop)
        send(stranger, b"forged", 100, flow)
        send(hop, b"true", 100, flow)
        assert [data for data, _ in take(client, 1)] == [b"true"]
    assert nic.statistics()["rx_stranger"] == 1


def test_too_long_and_empty_datagrams_do_no_harm(nic: NicProcess, hop: UdpPort) -> None:
    with UdpPort() as client:
        greet(client, nic.address, hop)
        send(client, bytes(8973), 8973, nic.address)
        send(client, b"next", 100, nic.address)
        assert [data for data, _ in take(hop, 1)] == [b"next"]
    counted = nic.statistics()
    assert (counted["rx_datagrams"], counted["rx_too_long"]) == (3, 1)
    assert (counted["frames_in"], counted["frames_out"], counted["tx_datagrams"]) == (2, 2, 2)
    assert counted["pipeline"] == {"frames": (1 << 31) + 2}  # the written bit, two frames


def test_an_idle_nic_sleeps(nic: NicProcess, hop: UdpPort) -> None:
    with UdpPort() as client:
        greet(client, nic.address, hop)
    before = cpu_ticks(nic.about["pid"])
    assert list(hop.receive(1.0)) == []
    assert cpu_ticks(nic.about["pid"]) - before <= 2


def test_a_stopped_nic_gives_its_last_statistics(nic: NicProcess, hop: UdpPort) -> None:
    with UdpPort() as client:
        greet(client, nic.address, hop)
    last = nic.stop()
    assert (last["event"], last["tx_datagrams"]) == ("stopped", 1)
    assert last["pipeline"] == {"frames": (1 << 31) + 1}
    assert nic.stop() == {}


def test_a_killed_nic_is_an_error_that_says_how(nic: NicProcess) -> None:
    os.kill(nic.about["pid"], signal.SIGKILL)
    with pytest.raises(NodeLostError) as caught:
        next(nic.events())
    assert str(caught.value) == (
        "pipeline: ended although nobody had stopped it; expected a running process; found signal "
        "SIGKILL; it said nothing."
    )


def test_it_ends_when_whoever_started_it_has_gone(passthrough: Path, hop: UdpPort) -> None:
    words = [str(passthrough), "--listen", "127.0.0.1:0", "--next", f"127.0.0.1:{hop.address[1]}"]
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdin is not None and process.stdout is not None
        assert b'"ready"' in process.stdout.readline()
        process.stdin.close()
        assert process.wait(5.0) == 0
        assert b'"stopped"' in process.stdout.readline()


def test_a_hop_is_no_client(nic: NicProcess, hop: UdpPort) -> None:
    send(hop, HELLO, 100, nic.address)
    with UdpPort() as client:
        flow = greet(client, nic.address, hop)
        send(hop, b"answer", 100, flow)
        assert [data for data, _ in take(client, 1)] == [b"answer"]
    counted = nic.statistics()
    assert (counted["rx_stranger"], counted["flows"]) == (1, 1)


def test_a_client_for_whom_there_is_no_socket_is_counted(nic: NicProcess, hop: UdpPort) -> None:
    pid = nic.about["pid"]
    limit = resource.prlimit(pid, resource.RLIMIT_NOFILE)
    with UdpPort() as client:
        resource.prlimit(pid, resource.RLIMIT_NOFILE, (free_descriptor(pid), limit[1]))
        send(client, HELLO, 100, nic.address)
        assert list(hop.receive(0.3)) == []
        resource.prlimit(pid, resource.RLIMIT_NOFILE, limit)
        greet(client, nic.address, hop)
    assert nic.statistics()["flows_failed"] == 1


def test_a_control_connection_for_which_there_is_no_descriptor_waits(
    passthrough: Path, hop: UdpPort, tmp_path: Path
) -> None:
    path = tmp_path / "control"
    words = loop_words(hop.address)
    with NicProcess(passthrough, words, registers=REGISTERS, control=path) as running:
        running.start()
        pid = running.about["pid"]
        limit = resource.prlimit(pid, resource.RLIMIT_NOFILE)
        resource.prlimit(pid, resource.RLIMIT_NOFILE, (free_descriptor(pid), limit[1]))
        with RegisterBus.connect(path) as bus:
            before = cpu_ticks(pid)
            time.sleep(1.0)
            assert cpu_ticks(pid) - before <= 2
            resource.prlimit(pid, resource.RLIMIT_NOFILE, limit)
            assert bus.read_all(["type"]) == {"type": 0}  # of the pipeline's only register
        with RegisterBus.connect(path):
            before = cpu_ticks(pid)
            time.sleep(1.0)
            assert cpu_ticks(pid) - before <= 2


def test_every_counter_of_the_loop_is_in_the_docs() -> None:
    root = Path(__file__).resolve().parents[3]
    sources = (root / "host" / "cpp").iterdir()
    counters = {
        name for path in sources for name in re.findall(r'out\.add\("(\w+)"', path.read_text())
    }
    documented = set(re.findall(r"`(\w+)`", (root / "docs" / "running.md").read_text()))
    assert len(counters) > 20
    assert counters <= documented
