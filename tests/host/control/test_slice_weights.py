# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""``midwire weights`` on a running NIC, end to end: rules L1 to L4 of ``slice_weights.py``."""

from __future__ import annotations

import json
import threading
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest

from midwire.host import cli
from midwire.host.control.register_bus import RegisterBus, Step
from midwire.host.control.slice_weights import SliceWeights, only_one, swap_weights
from midwire.host.errors import RegisterError
from midwire.host.nodes.nic_instances import start_instances
from midwire.host.nodes.nic_process import NicProcess, UdpWire, start_nic
from midwire.host.wire.tensors import to_buffers
from midwire.host.wire.udp import UdpPort
from midwire.hw.formats import csr, fragments, wire
from midwire.hw.formats.bundle import Bundle
from midwire.hw.formats.wire import DeclineReason, Header
from midwire.hw.kernels.reference import Reference
from midwire.sim.vectors import random_wire

from ...loadable import compiled
from ..conftest import send

HERE = ("127.0.0.1", 0)


@pytest.fixture(scope="module")
def bundles(tmp_path_factory: pytest.TempPathFactory) -> tuple[Bundle, Bundle]:
    folder = tmp_path_factory.mktemp("weights")
    return compiled(folder, 1), compiled(folder, 2)


class Swapping:
    """A NIC with the first bundle, a client in front of it, and what comes out behind."""

    def __init__(
        self,
        nic: NicProcess,
        control: Path,
        hop: UdpPort,
        bundles: tuple[Bundle, Bundle],
        capsys: pytest.CaptureFixture[str],
    ) -> None:
        self.nic, self.control, self._hop, self.bundles = nic, control, hop, bundles
        self._capsys = capsys
        self._references = [Reference.of_bundle(bundle) for bundle in bundles]
        (self._spec,) = bundles[0].manifest.inputs
        self._rng = np.random.default_rng(5)
        self._client = UdpPort()
        self.sent: dict[int, tuple[int, Any, bytes]] = {}
        self.came: dict[int, list[bytes]] = {}

    def close(self) -> None:
        self._client.close()

    def text(self, *words: str, status: int = 0) -> str:
        assert cli.main(["weights", str(self.control), *words]) == status
        out, err = self._capsys.readouterr()
        return err if status else out

    def json(self, *words: str) -> dict[str, Any]:
        (found,) = json.loads(self.text(*words, "--json"))["slices"]
        return dict(found)

    def send(self, model: int, epoch: int = 0) -> int:
        """A request for one of the models; returns its id."""
        request_id = len(self.sent) + 1
        array = random_wire(self._spec, 1, self._rng)
        tensor = b"".join(map(bytes, to_buffers([self._spec], [array[0]])))
        self.sent[request_id] = model, array, tensor
        header = Header(
            model_hash=self.bundles[model].model_hash,
            epoch=epoch,
            request_id=request_id,
            deadline_us=10**7,
        )
        for data in fragments.datagrams(header, tensor, 1500):
            send(self._client, data, len(data), self.nic.address)
        return request_id

    def take(self, seconds: float = 0.0) -> None:
        """What comes out of the NIC."""
        for data, _ in self._hop.receive(seconds):
            found = wire.decode(bytes(data))
            self.came.setdefault(found.request_id, []).append(bytes(data))

    def wait(self, count: int) -> None:
        until = time.monotonic() + 60
        while len(self.came) < count and time.monotonic() < until:
            self.take(0.1)
        assert len(self.came) == count

    def fate(self, request_id: int) -> DeclineReason:
        """Why it was declined; NONE where it was executed, to exactly the bits of its model."""
        model, array, tensor = self.sent[request_id]
        (data,) = self.came[request_id]
        header, payload = wire.decode(data), data[wire.HEADER_BYTES :]
        assert header.model_hash == self.bundles[model].model_hash
        if not header.result:
            assert header.declined and payload == tensor
            return header.reason
        (wanted,) = self._references[model].run_wire([array])
        outputs = self.bundles[model].manifest.outputs
        assert payload == b"".join(map(bytes, to_buffers(outputs, [wanted[0]])))
        return DeclineReason.NONE

    def one(self, model: int, epoch: int = 0) -> DeclineReason:
        request_id = self.send(model, epoch)
        self.wait(len(self.sent))
        return self.fate(request_id)


@pytest.fixture
def swapping(
    bundles: tuple[Bundle, Bundle], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> Iterator[Swapping]:
    control = tmp_path / "control"
    with (
        UdpPort() as hop,
        start_nic(bundles[0], UdpWire(HERE, [hop.address]), hop.address, control=control) as nic,
    ):
        found = Swapping(nic, control, hop, bundles, capsys)
        yield found
        found.close()


def test_it_swaps_there_and_back(swapping: Swapping) -> None:
    one, two = swapping.bundles
    ports = len(one.manifest.memories)
    state = {
        "core": 0,
        "model_hash": one.model_hash.hex(),
        "epoch": 0,
        "hardware": f"{one.hardware:08x}",
        "ports": ports,
        "bank": 0,
        "loaded": False,
        "waits": False,
    }
    assert swapping.json() == state
    assert swapping.one(0) is DeclineReason.NONE
    assert swapping.one(1) is DeclineReason.WRONG_MODEL
    after = swapping.json(str(two.root))
    assert after == {**state, "model_hash": two.model_hash.hex(), "bank": 1}
    assert swapping.json() == after
    assert swapping.one(1) is DeclineReason.NONE
    assert swapping.one(0) is DeclineReason.WRONG_MODEL
    assert swapping.text(str(one.root), "--epoch", "3") == (
        f"core 0: model {one.model_hash.hex()}, epoch 3; bank 0 of 2, {ports} side ports\n"
    )
    assert swapping.one(0) is DeclineReason.WRONG_EPOCH
    assert swapping.one(0, epoch=3) is DeclineReason.NONE
    assert swapping.one(1, epoch=3) is DeclineReason.WRONG_MODEL


def test_under_load_every_request_has_one_fate(swapping: Swapping) -> None:
    """Requests of both models all the while, and swaps there and back by the command's own code."""
    ended = threading.Event()
    swaps = []

    def swap() -> None:
        with RegisterBus.connect(swapping.control) as bus:
            for turn in range(6):
                wanted = swapping.bundles[1 - turn % 2]
                swaps.append(swap_weights([SliceWeights(bus)], wanted))
        ended.set()

    thread = threading.Thread(target=swap)
    thread.start()
    while not ended.is_set() and len(swapping.sent) < 20_000:
        for _ in range(8):
            swapping.send(len(swapping.sent) % 2)
        swapping.take(0.001)
        while len(swapping.sent) - len(swapping.came) > 32 and not ended.is_set():
            swapping.take(0.01)
    thread.join(60)
    assert len(swaps) == 6 and not thread.is_alive()
    swapping.wait(len(swapping.sent))
    fates = Counter((swapping.sent[k][0], swapping.fate(k)) for k in swapping.sent)
    print(f"{len(swapping.sent)} requests: {fates}")
    for model in (0, 1):
        assert (
            fates[model, DeclineReason.NONE] > 10 and fates[model, DeclineReason.WRONG_MODEL] > 10
        )
    allowed = {DeclineReason.NONE, DeclineReason.WRONG_MODEL, DeclineReason.BUSY}
    assert {reason for _, reason in fates} <= allowed
    counts = swapping.nic.bus.counters()
    outcomes = ("passed", "dropped", "collected", "forwarded", "declined")
    told = sum(counts[name] for name in counts if name.startswith(outcomes))
    assert counts["frames_in"] == told == len(swapping.sent)
    assert counts["results"] == sum(fates[model, DeclineReason.NONE] for model in (0, 1))


class Swaps:
    """Registers of a NIC that swaps while they are read for the first time."""

    def __init__(self) -> None:
        self.swapped = False

    def transact(self, steps: Iterable[Step]) -> list[dict[str, int]]:
        old = {"model_hash_high": 1, "model_hash_low": 2, "epoch": 3}
        new = {"model_hash_high": 4, "model_hash_low": 5, "epoch": 6}
        words = (new if self.swapped else old) | {"weights_hardware": 7, "weights_ports": 1}
        before = csr.WEIGHTS_BANK if self.swapped else csr.WEIGHTS_WAIT
        self.swapped = True
        return [{"weights_status": before}, words | {"weights_status": csr.WEIGHTS_BANK}]


def test_registers_are_those_of_one_moment() -> None:
    found = SliceWeights(cast("RegisterBus", Swaps())).read()
    assert (found.model_hash.hex(), found.epoch) == ("0000000400000005", 6)
    assert (found.bank, found.waits) == (1, False)


def test_l2_who_stops_before_the_commit_changes_nothing(swapping: Swapping) -> None:
    one, two = swapping.bundles

    def stop(written: int, total: int) -> None:
        if written > total // 2:
            raise KeyboardInterrupt

    weights = SliceWeights(swapping.nic.bus)
    with pytest.raises(KeyboardInterrupt):
        swap_weights([weights], two, progress=stop)
    found = weights.read()
    assert (found.model_hash, found.loaded, found.bank) == (one.model_hash, False, 0)
    assert swapping.one(0) is DeclineReason.NONE
    with pytest.raises(RegisterError, match="the register cannot be written"):
        weights.commit(two.model_hash, 0)
    assert swapping.one(0) is DeclineReason.NONE
    swapping.text(str(two.root))
    assert swapping.one(1) is DeclineReason.NONE


def test_l1_what_does_not_fit_is_refused(swapping: Swapping, digits: Bundle) -> None:
    before = swapping.nic.bus.read_all(["weights_port"])
    said = swapping.text(str(digits.root), status=1)
    assert "the weights of this bundle are fixed" in said and "--strategy loadable" in said
    swapping.nic.bus.write("weights_hardware", 7)
    said = swapping.text(str(swapping.bundles[1].root), status=1)
    assert "other hardware than the bundle's" in said and "hardware 0x00000007" in said
    swapping.nic.bus.write("weights_hardware", 0)
    assert "nobody has" in swapping.text(str(swapping.bundles[1].root), status=1)
    assert swapping.nic.bus.read("weights_status") == 0
    assert before == {"weights_port": 0}
    assert swapping.one(0) is DeclineReason.NONE


def test_l3_one_program_loads_at_a_time(swapping: Swapping) -> None:
    with only_one(swapping.control):
        said = swapping.text(str(swapping.bundles[1].root), status=1)
    assert "another program loads weights" in said
    swapping.text(str(swapping.bundles[1].root))


def test_all_instances_swap(
    bundles: tuple[Bundle, Bundle], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    control = tmp_path / "control"
    one, two = bundles
    with (
        UdpPort() as hop,
        start_instances(
            one, UdpWire(HERE, [hop.address]), hop.address, 2, datapath="rtl", control=control
        ),
    ):
        assert cli.main(["weights", str(control), str(two.root)]) == 0
        line = f"core 0: model {two.model_hash.hex()}, epoch 0; bank 1 of 2"
        ports = len(two.manifest.memories)
        assert capsys.readouterr().out == 2 * f"{line}, {ports} side ports\n"
        with RegisterBus.connect(tmp_path / "control.1") as bus:
            assert SliceWeights(bus).read().model_hash == two.model_hash


def test_one_of_several_slices_swaps(
    bundles: tuple[Bundle, Bundle], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Which one is said where the bundle's weights fit several; the other one stays."""
    control = tmp_path / "control"
    one, two = bundles
    with (
        UdpPort() as hop,
        start_nic((one, one), UdpWire(HERE, [hop.address]), hop.address, control=control) as nic,
    ):
        assert cli.main(["weights", str(control), str(two.root)]) == 1
        said = capsys.readouterr().err
        assert "the bundle's weights fit several slices of this NIC" in said
        assert "Say which core it is for with --core" in said
        assert cli.main(["weights", str(control), "--core", "2"]) == 1
        assert "there is no such core; expected 0 to 1" in capsys.readouterr().err.replace(
            "--core: ", ""
        )
        assert cli.main(["weights", str(control), str(two.root), "--core", "1", "--json"]) == 0
        (found,) = json.loads(capsys.readouterr().out)["slices"]
        assert (found["core"], found["model_hash"]) == (1, two.model_hash.hex())
        assert cli.main(["weights", str(control), "--json"]) == 0
        slices = json.loads(capsys.readouterr().out)["slices"]
        assert [each["model_hash"] for each in slices] == [
            one.model_hash.hex(),
            two.model_hash.hex(),
        ]
        client = Swapping(nic, control, hop, bundles, capsys)
        for model in (0, 1, 1, 0):
            assert client.one(model) is DeclineReason.NONE
        client.close()


def test_other_nics_and_usage(
    bundles: tuple[Bundle, Bundle], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The reference executes what its helper was given; a NIC that is not there says so."""
    control = tmp_path / "control"
    assert cli.main(["weights", str(control), str(bundles[1].root)]) == 1
    assert "no NIC at the control socket" in capsys.readouterr().err
    assert cli.main(["weights", str(control), "--epoch", "1"]) == 2
    assert "belongs to a BUNDLE" in capsys.readouterr().err
    with (
        UdpPort() as hop,
        start_nic(
            bundles[0],
            UdpWire(HERE, [hop.address]),
            hop.address,
            datapath="reference",
            control=control,
        ),
    ):
        assert cli.main(["weights", str(control)]) == 0
        assert capsys.readouterr().out.endswith(", epoch 0; fixed\n")
        assert cli.main(["weights", str(control), str(bundles[1].root)]) == 1
        said = capsys.readouterr().err
        assert "the weights of this NIC are fixed" in said and "reference datapath" in said
