# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""Whole topologies as processes: they start, answer, fail loudly and leave nothing behind."""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from midwire.host.client.edge_client import EdgeClient
from midwire.host.client.requests import Request
from midwire.host.control.register_bus import RegisterBus
from midwire.host.nodes.process import Child
from midwire.host.plan.topology import read_topology
from midwire.host.steer.paths import NetworkPath
from midwire.host.wire.udp import parse_address
from midwire.hw.errors import DataError
from midwire.hw.formats.bundle import Bundle
from midwire.hw.formats.csr import MAX_CORES

from ..conftest import alive, make_wide_bundle, wait_for_the_end_of


@contextlib.contextmanager
def midwire(*words: str) -> Iterator[subprocess.Popen[str]]:
    """A `midwire` command as a terminal would start it: in its own process group."""
    process = subprocess.Popen(
        [sys.executable, "-m", "midwire.host.cli", *words, "--json"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    try:
        with process:
            yield process
            process.wait(30)
    finally:
        process.kill()


def lines(process: subprocess.Popen[str]) -> Iterator[dict[str, Any]]:
    assert process.stdout is not None
    for line in process.stdout:
        yield json.loads(line)


@pytest.fixture
def samples(tmp_path: Path) -> Path:
    path = tmp_path / "samples.npz"
    np.savez(path, in0=np.arange(40, dtype=np.float32).reshape(10, 4) / 2 - 10)
    return path


def test_up_runs_an_edge_to_its_end(bundle: Bundle, samples: Path, tmp_path: Path) -> None:
    topology = tmp_path / "topology.toml"
    topology.write_text(
        f'bundle = "{bundle.root.name}"\n[cloud]\nslots = 8\n'
        '[edge]\ninputs = "samples.npz"\noutput = "out.npz"\ndecline = [3]\nwindow = 4\n'
    )
    with midwire("up", str(topology)) as process:
        events = list(lines(process))
    assert process.returncode == 0
    ready = events[0]
    assert ready["event"] == "ready" and set(ready["nodes"]) == {"cloud"}
    replies = [event for event in events if event["event"] == "reply"]
    assert sorted(event["sample"] for event in replies) == [0, 1, 2, 3, 3, 4, 5, 6, 7, 8, 9]
    assert [e["may_execute"] for e in replies if e["sample"] == 3].count(False) == 1
    assert len({e["slice_sha256"] for e in replies if e["sample"] == 3}) == 1
    done = next(event for event in events if event["event"] == "done")
    assert (done["replies"], done["failed"], done["executed_by"]) == (
        11,
        0,
        {"nic": 0, "cloud": 11},
    )
    assert events[-1]["nodes"]["cloud"]["counters"]["by_cloud"] == 11
    with np.load(tmp_path / "out.npz") as stored, np.load(samples) as given:
        expected = np.clip(np.rint(given["in0"] / 0.5) * 2, -128, 127) * 0.5
        np.testing.assert_array_equal(stored["out0"], expected[stored["sample"]])
    assert wait_for_the_end_of(ready["nodes"]["cloud"]["pid"])


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_whatever_ends_up_ends_its_children(
    number: signal.Signals, bundle: Bundle, tmp_path: Path
) -> None:
    topology = tmp_path / "topology.toml"
    topology.write_text(f'bundle = "{bundle.root}"\n')
    with midwire("up", str(topology)) as process:
        ready = next(lines(process))
        pid = ready["nodes"]["cloud"]["pid"]
        assert alive(pid)
        process.send_signal(number)
        process.wait(20)
    assert process.returncode == (-9 if number == signal.SIGKILL else 130)
    assert wait_for_the_end_of(pid)


def test_people_see_what_the_nodes_did(bundle: Bundle, samples: Path, tmp_path: Path) -> None:
    topology = tmp_path / "topology.toml"
    topology.write_text('bundle = "double"\n[edge]\ninputs = "samples.npz"\ndecline = [3]\n')
    command = [sys.executable, "-m", "midwire.host.cli", "up", str(topology)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    ready, edge, cloud = done.stdout.splitlines()
    assert re.fullmatch(r"up: send to 127\.0\.0\.1:\d+; Ctrl-C stops everything", ready)
    assert edge.startswith("edge: 11 replies (0 slices executed in the NIC, 11 in the cloud), 0 er")
    assert cloud.startswith("cloud: ") and "by_cloud 11" in cloud
    assert done.stderr == ""


def test_several_bundles_and_a_reference_nic(bundle: Bundle, tmp_path: Path) -> None:
    wide = make_wide_bundle(tmp_path / "wide")
    rng = np.random.default_rng(3)
    given = {
        f"in{i}": rng.standard_normal((5, n)).astype(np.float32) for i, n in enumerate((4, 3000))
    }
    np.savez(tmp_path / "in.npz", **given)  # type: ignore[arg-type]
    topology = tmp_path / "topology.toml"
    topology.write_text(
        f'bundle = ["wide", "{bundle.root.name}"]\n[nic]\nbundle = "wide"\ndatapath = "reference"\n'
        '[edge]\ninputs = "in.npz"\n'
    )
    with midwire("up", str(topology)) as process:
        events = list(lines(process))
    assert process.returncode == 0
    replies = [event for event in events if event["event"] == "reply"]
    assert [(e["executed_by"], e["declined"]) for e in replies] == [("nic", "")] * 5
    done = next(event for event in events if event["event"] == "done")
    assert done["counters"] == {"requests": 5, "replied": 5}
    nodes = events[-1]["nodes"]
    assert [(m["hash"], m["replies"]) for m in nodes["cloud"]["models"]] == [
        (wide.model_hash.hex(), 5),
        (bundle.model_hash.hex(), 0),
    ]
    assert nodes["nic"]["pipeline"]["results"] == 5


@pytest.mark.parametrize(
    ("of_nic", "cores"), [("", 2), ('bundle = "wide"\n', 1), ('bundle = ["wide", "wide"]\n', 2)]
)
def test_a_nic_executes_what_the_file_names_for_it(
    digits: Bundle, tmp_path: Path, of_nic: str, cores: int
) -> None:
    """All that the cloud serves, if it names nothing."""
    make_wide_bundle(tmp_path / "wide")
    topology = tmp_path / "topology.toml"
    topology.write_text(
        f'bundle = ["wide", "{digits.root}"]\n'
        f'[nic]\ndatapath = "reference"\ncontrol = "nic.sock"\n{of_nic}'
    )
    with midwire("up", str(topology)) as process:
        target = parse_address(next(lines(process))["target"])
        with RegisterBus.connect(tmp_path / "nic.sock") as bus:
            assert bus.read("cores") == cores
        with EdgeClient(digits, [NetworkPath(target)]) as client:
            executed = client.infer(Request([np.ones((1, 1, 8, 8), np.float32)])).executed_by
        process.send_signal(signal.SIGINT)
    assert executed == ("cloud" if of_nic else "nic")


def test_a_nic_of_bundles_that_the_cloud_has_not(tmp_path: Path) -> None:
    topology = tmp_path / "topology.toml"
    for of_nic in ('"b"', '["a", "b"]', "[]", "3", "[3]"):
        topology.write_text(f'bundle = "a"\n[nic]\nbundle = {of_nic}\n')
        with pytest.raises(DataError) as caught:
            read_topology(topology)
        assert "[nic] bundle is not one of the cloud's" in str(caught.value)


def test_a_nic_of_more_bundles_than_it_has_cores(tmp_path: Path) -> None:
    topology = tmp_path / "topology.toml"
    many = [f"b{number}" for number in range(MAX_CORES + 1)]
    topology.write_text(f"bundle = {many}\n[nic]\n")
    with pytest.raises(DataError, match=f"has {MAX_CORES + 1} bundles: `bundle` names 8 at most"):
        read_topology(topology)
    topology.write_text(f"bundle = {many}\n[nic]\nbundle = {many[1:]}\n")
    assert read_topology(topology).nic_bundles == tuple(tmp_path / name for name in many[1:])
    topology.write_text(f"bundle = {many}\n")
    assert len(read_topology(topology).bundles) == MAX_CORES + 1


def test_a_second_interrupt_lets_the_first_one_finish(bundle: Bundle, tmp_path: Path) -> None:
    topology = tmp_path / "topology.toml"
    topology.write_text(f'bundle = "{bundle.root}"\n')
    with midwire("up", str(topology)) as process:
        pid = next(lines(process))["nodes"]["cloud"]["pid"]
        for _ in range(3):
            process.send_signal(signal.SIGINT)
            time.sleep(0.01)
        process.wait(20)
        assert process.stderr is not None and process.stderr.read() == ""
    assert process.returncode == 130
    assert wait_for_the_end_of(pid)


def test_a_killed_node_ends_up_with_an_error(bundle: Bundle, tmp_path: Path) -> None:
    topology = tmp_path / "topology.toml"
    topology.write_text(f'bundle = "{bundle.root}"\n')
    with midwire("up", str(topology)) as process:
        events = lines(process)
        os.kill(next(events)["nodes"]["cloud"]["pid"], signal.SIGKILL)
        error = next(event for event in events if "error" in event)["error"]
    assert process.returncode == 1
    assert error["type"] == "NodeLostError"
    assert error["message"].startswith(
        "cloud: ended although nobody had stopped it; expected a running process; found signal "
        "SIGKILL"
    )


def test_kill_9_of_the_cloud_ends_every_request_in_a_typed_error(
    bundle: Bundle, samples: Path
) -> None:
    with Child.midwire("cloud", ["cloud", str(bundle.root)]) as cloud:
        target = cloud.ready(30)["listen"]
        words = ["--deadline", "1", "--inputs", str(samples), "--window", "4"]
        # Stopped, so that the requests are under way when it is killed.
        os.kill(cloud.pid, signal.SIGSTOP)
        with midwire("edge", str(bundle.root), "--target", target, *words) as process:
            events = lines(process)
            assert next(events)["event"] == "ready"
            time.sleep(0.2)
            os.kill(cloud.pid, signal.SIGKILL)
            found = list(events)
    assert process.returncode == 1
    failures = [event for event in found if event["event"] == "failure"]
    assert sorted(event["sample"] for event in failures) == list(range(10))
    assert all(event["seconds"] < 1.0 for event in failures)
    assert {e["error"]["type"] for e in failures} <= {"DeadlineError", "UnreachableError"}
    assert found[-1]["failed"] == 10


def test_a_child_that_does_not_start_says_why(tmp_path: Path) -> None:
    topology = tmp_path / "topology.toml"
    topology.write_text('bundle = "nowhere"\n')
    with midwire("up", str(topology)) as process:
        error = next(lines(process))["error"]
    assert process.returncode == 1
    assert error["message"] == (
        f"cloud: did not start; expected a ready line; found {tmp_path / 'nowhere'}: not a bundle; "
        "expected a folder with manifest.json; found no such folder. Make one with: midwire "
        "compile MODEL -o BUNDLE."
    )


def test_a_topology_file_is_checked_as_a_whole(tmp_path: Path) -> None:
    path = tmp_path / "wrong.toml"
    path.write_text(
        "[clowd]\n[cloud]\nlisten = 5\nport = 1\n[edge]\nwindow = true\ndecline = 3\n"
        "[nic]\npeer = [5]\n"
    )
    with pytest.raises(DataError) as caught:
        read_topology(path)
    assert str(caught.value) == (
        f"{path}: 7 problem(s); expected a bundle, and the tables cloud, nic and edge; found "
        'bundle = "FOLDER" is missing; [clowd] is none of cloud, nic, edge; [cloud] listen = 5 is '
        "of the wrong type; [cloud] port is none of listen, slots, timeout, threads; [nic] peer = "
        "[5] is not a list of texts; [edge] window = True is of the wrong type; [edge] decline = 3 "
        "is not a list of numbers. Correct the file."
    )


def test_the_example_is_sound_and_shown_whole() -> None:
    root = Path(__file__).resolve().parents[3]
    example = root / "examples" / "digits" / "up.toml"
    found = read_topology(example)
    assert found.bundles == (example.parent / "digits.mw",)
    assert set(found.nodes) == {"cloud", "nic", "edge"}
    assert example.read_text("utf-8") in (root / "docs" / "running.md").read_text("utf-8")


def test_a_file_that_is_not_toml_is_said(tmp_path: Path) -> None:
    path = tmp_path / "wrong.toml"
    path.write_text("bundle = ")
    with pytest.raises(DataError, match=r"wrong\.toml: cannot be read; expected a TOML file;"):
        read_topology(path)
