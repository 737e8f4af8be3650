# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""The NIC shell around a stand-in slice, in Verilator, behind frames and registers."""

from __future__ import annotations

import contextlib
import ipaddress
import random
import subprocess
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

import pytest
from scapy.layers.inet import IP, UDP
from scapy.layers.inet6 import IPv6
from scapy.layers.l2 import Ether
from scapy.packet import Raw

import midwire.hw
from midwire.hw.elaborate import prefixed, renamed, verilog_of
from midwire.hw.formats import csr, fragments, wire
from midwire.hw.formats.slots import DECISIONS, request_fingerprint
from midwire.hw.formats.wire import Header
from midwire.hw.nic.shape import NicShape, SideWords, SliceShape, WireTensor, slice_modules
from midwire.sim.build import build_executable

from .stacks import (
    CLIENT_IP,
    CLIENT_MAC,
    CLIENT_PORT,
    NEXT_IP,
    NEXT_IP6,
    NEXT_MAC,
    NEXT_PORT,
    OWN_IP,
    OWN_IP6,
    OWN_MAC,
    OWN_PORT,
    Stack,
    decision_place,
    ip_of,
)

HERE = Path(__file__).resolve().parent
_REMEMBERED = 64  # requests of which decisions are apart
MODEL_HASH = bytes.fromhex("0123456789abcdef")
EPOCH, TENANT, CURSOR, SLICES = 7, 0x1234, 1, 3
DRAIN_CYCLES = 1_000_000
TABLE = (
    "action", "tenant", "model_hash", "cursor", "regions", "must_encrypt", "lifetime_us",
    "next_mac", "next_ip", "next_port", "next_ip6",
)  # fmt: skip
"""What an entry of the steering table has."""


class Sizes(NamedTuple):
    """Beats and tensors of a stand-in slice, in bytes."""

    in_beat: int
    in_bytes: int
    out_beat: int
    out_bytes: int
    more_inputs: tuple[WireTensor, ...] = ()
    more_outputs: tuple[WireTensor, ...] = ()
    network_beat: int = 8
    sides: tuple[SideWords, ...] = ()

    @property
    def shape(self) -> SliceShape:
        return SliceShape(
            (WireTensor(self.in_beat, self.in_bytes), *self.more_inputs),
            (WireTensor(self.out_beat, self.out_bytes), *self.more_outputs),
            self.sides,
        )

    @property
    def shell(self) -> NicShape:
        return NicShape((self.shape,), network_beat_bytes=self.network_beat)


def number(text: str) -> int:
    """An IP or MAC address as a number."""
    if len(text) == 17:
        return int(text.replace(":", ""), 16)
    return int(ipaddress.ip_address(text))


REGISTERS: dict[str, int] = {
    "model_hash": int.from_bytes(MODEL_HASH, "big"),
    "tenant": TENANT,
    "cursor": CURSOR,
    "slice_count": SLICES,
    "epoch": EPOCH,
    "element_type": wire.ElementType.INT8,
    "clock_mhz": 1000,
    "own_mac": number(OWN_MAC),
    "own_ip": number(OWN_IP),
    "own_port": OWN_PORT,
    "next_mac": number(NEXT_MAC),
    "next_ip": number(NEXT_IP),
    "own_ip6": number(OWN_IP6),
    "next_ip6": number(NEXT_IP6),
    "next_port": NEXT_PORT,
    "timeout_us": 20,
    "ask_us": 0,
    "control": 1,
}
"""What a NIC is told after a reset, if nothing else is said."""


class Out(NamedTuple):
    """A frame that came out, and the cycles of its first and its last beat."""

    data: bytes
    bad: bool
    back: bool
    first: int
    cycle: int


class Nic:
    """One running simulation. Frames are bytes; registers go by name. ``models`` are the registers
    of each core, where there are several; ``sizes`` are those of the first one."""

    def __init__(
        self, program: Path, sizes: Sizes, models: Sequence[Mapping[str, int]] = ()
    ) -> None:
        self.sizes, self._models = sizes, models
        self._process = subprocess.Popen(
            [str(program)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        self._out: list[Out] = []
        self._entered: list[int] = []
        self._filled: dict[str, bool] = {}
        self.configure()

    def configure(self) -> None:
        """All that is told by registers after a reset; of several cores, the first one at last."""
        for index, model in reversed(list(enumerate(self._models))):
            self.write(core_index=index, **model)
        for address, value in csr.settings(core_index=0, **REGISTERS):
            assert self.write_at(address, value) == 0

    def _send(self, line: str) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(line + "\n")

    def _ask(self, line: str) -> list[str]:
        self._send(line)
        assert self._process.stdin is not None and self._process.stdout is not None
        self._process.stdin.flush()
        for answer in self._process.stdout:
            words = answer.split()
            assert words[0] not in {"broken", "stuck"}, answer
            if words[0] == "z":
                self._filled[words[1]] = words[2] == "1"
            elif words[0] == "i":
                self._entered.append(int(words[1]))
            elif words[0] == "f":
                data, bad, back, first, last = words[1:]
                self._out.append(
                    Out(bytes.fromhex(data), bad == "1", back == "1", int(first), int(last))
                )
            else:
                return words
        raise AssertionError("the simulation ended")

    def write_at(self, address: int, value: int) -> int:
        """Write a register; returns the response."""
        return int(self._ask(f"write {address} {value}")[1])

    def read_at(self, address: int) -> tuple[int, int]:
        """Read a register: response, value."""
        _, response, value = self._ask(f"read {address}")
        return int(response), int(value)

    def write(self, **values: int) -> None:
        for address, value in csr.settings(**values):
            assert self.write_at(address, value) == 0

    def read(self, name: str) -> int:
        """A register; of counters, as they are now."""
        if name in csr.COUNTERS or name in csr.HITS:
            return self.counters()[name]
        response, value = self.read_at(csr.ADDRESS[name])
        assert response == 0
        return value

    def commit(self, index: int, **entry: int) -> int:
        """Write an entry of the steering table, by names without ``table_``; returns the response.
        What is not named is 0."""
        zero = dict.fromkeys(TABLE, 0)
        self.write(table_index=index, **{f"table_{k}": v for k, v in {**zero, **entry}.items()})
        return self.write_at(csr.ADDRESS["table_commit"], 1)

    def entry(self, index: int) -> dict[str, int]:
        """An entry as the registers show it."""
        self.write(table_index=index)
        found = {}
        for name in TABLE:
            value = 0
            for part in csr.parts_of(f"table_{name}"):
                value = value << 32 | self.read(part)
            found[name] = value
        return found

    def counters(self) -> dict[str, int]:
        """All counters, by one snapshot."""
        assert self.write_at(csr.ADDRESS["snapshot"], 1) == 0
        found = {}
        for register in csr.REGISTERS:
            if register.access == "counter":
                (_, high), (_, low) = map(self.read_at, register.addresses)
                found[register.name] = high << 32 | low
        return found

    def pauses(self, source: int, sink: int, seed: int) -> None:
        """Pauses from here on; probabilities in percent."""
        self._send(f"pause {source} {sink} {seed}")

    def wire(self, rate: int = 800) -> None:
        """From here on frames take their time on links of so many hundredths of a byte a cycle, in
        and out; 0: links take whatever comes."""
        self._send(f"wire {rate}")

    def stalls(self) -> int:
        """Cycles in which a beat was kept waiting at the input, since the last call."""
        return int(self._ask("stalls")[1])

    def reset(self) -> None:
        """A reset in the midst of it all, and the registers written anew."""
        self._send("reset")
        self.configure()

    def queue(self, frame: bytes, bad: bool = False) -> None:
        self._send(f"frame {frame.hex()} {int(bad)}")

    def cycles(self, count: int) -> None:
        self._send(f"cycles {count}")

    def drain(self, cycles: int = DRAIN_CYCLES) -> list[Out]:
        """Run until nothing moves; the frames that came out since the last call."""
        self._ask(f"drain {cycles}")
        out, self._out = self._out, []
        return out

    def entered(self) -> list[int]:
        """Cycles in which the first beats of frames were taken, since the last call."""
        entered, self._entered = self._entered, []
        return entered

    def send(self, *frames: bytes) -> list[bytes]:
        """Frames in, frames out."""
        for frame in frames:
            self.queue(frame)
        out = self.drain()
        assert not any(frame.bad or frame.back for frame in out)
        return [frame.data for frame in out]

    def filled(self) -> set[str]:
        """Memories of slots in which a word is not zero, as of the last answer."""
        return {name for name, filled in self._filled.items() if filled}

    def check_counters(self) -> dict[str, int]:
        """Every frame in is exactly one outcome (C3)."""
        counts = self.counters()
        assert sum(counts[o.name.lower()] for o in csr.FrameOutcome) == counts["frames_in"], counts
        return counts

    def close(self) -> None:
        self._process.kill()
        self._process.communicate()


@dataclass(frozen=True)
class Request:
    """A request for a NIC, and what must become of it."""

    header: Header
    tensor: bytes
    sizes: Sizes
    mtu: int = 1500
    client: tuple[str, int] = (CLIENT_IP, CLIENT_PORT)
    stack: Stack | None = None
    """The headers in front of it, ``client`` among them, where they are not the simplest."""

    @property
    def place(self) -> int:
        """Where what is decided on it is remembered (D6)."""
        return decision_place(self.header.request_id, *self.client)

    def datagrams(self) -> list[bytes]:
        return list(fragments.datagrams(self.header, self.tensor, self.mtu))

    def frames(self) -> list[bytes]:
        if self.stack is not None:
            return [self.stack.frame(data) for data in self.datagrams()]
        return [frame(data, *self.client) for data in self.datagrams()]

    def one_frame(self, payload: bytes) -> bytes:
        """A frame with the header as it stands."""
        return frame(wire.encode(self.header) + payload, *self.client)

    def result(self) -> bytes:
        """The tensor that the stand-in slice makes of it."""
        size = len(self.tensor)
        return bytes(
            (self.tensor[k % size] + 1 + k // size) & 255 for k in range(self.sizes.out_bytes)
        )

    def with_header(self, **changes: object) -> Request:
        return replace(self, header=replace(self.header, **changes))  # type: ignore[arg-type]


def frame(payload: bytes, ip: str = CLIENT_IP, port: int = CLIENT_PORT, to: str = OWN_IP) -> bytes:
    """A UDP datagram in a frame, built by scapy."""
    return bytes(
        Ether(src=CLIENT_MAC, dst=OWN_MAC)
        / IP(src=ip, dst=to, tos=0x28, ttl=61, id=99)
        / UDP(sport=port, dport=OWN_PORT)
        / Raw(payload)
    )


def unwrap(data: bytes) -> tuple[Header, bytes]:
    """Take one of our frames apart, with every checksum checked by scapy (F1, F2)."""
    packet, again = Ether(data), Ether(data)
    ip, ip_again = ip_of(packet), ip_of(again)
    del again[UDP].chksum, again[UDP].len
    if isinstance(ip, IPv6):
        del ip_again.plen
        assert (ip.tc, ip.hlim, ip.fl, ip.nh, ip.dst) == (0x28, 61, 0, 17, NEXT_IP6)
    else:
        del ip_again.chksum, ip_again.len
        assert (ip.tos, ip.ttl, ip.id, int(ip.flags), ip.ihl) == (0x28, 61, 0, 2, 5)
        assert ip.dst == NEXT_IP
    assert bytes(again) == data, "checksums or lengths"
    assert packet[UDP].chksum != 0
    assert (packet.src, packet.dst, packet[UDP].dport) == (OWN_MAC, NEXT_MAC, NEXT_PORT)
    payload = bytes(packet[UDP].payload)
    return wire.decode(payload), payload[wire.HEADER_BYTES :]


class Tools:
    """What tests of the NIC need: requests, and checks of what came out."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self._fingerprints: set[int] = set()
        self._places: deque[int] = deque(maxlen=_REMEMBERED)
        self.frame = frame
        self.unwrap = unwrap

    def request(self, sizes: Sizes, **changes: object) -> Request:
        """A request with random bytes and id that the NIC should execute.

        Of one sender, none shares its fingerprint with another one, which would make it busy or a
        duplicate, nor with one of the last ones the place of what is decided, which would make what
        is late of that one new (D6).
        """
        while True:
            request_id = self.random.getrandbits(64)
            its = request_fingerprint(request_id)
            if its not in self._fingerprints and its % DECISIONS not in self._places:
                break
        self._fingerprints.add(its)
        self._places.append(its % DECISIONS)
        header = Header(
            tenant=TENANT,
            model_hash=MODEL_HASH,
            cursor=CURSOR,
            slice_count=SLICES,
            epoch=EPOCH,
            request_id=request_id,
            element_type=wire.ElementType.UINT8,
            hop_limit=5,
            deadline_us=1_000_000,
        )
        request = Request(header, self.random.randbytes(sizes.in_bytes), sizes)
        return request.with_header(**changes)

    def is_result(self, data: bytes) -> bool:
        header, _ = unwrap(data)
        return header.result

    def check_result(self, request: Request, frames: Sequence[bytes], step: int = 1344) -> int:
        """Exactly the frames of one result (W3, W5); returns the cycles in the slice."""
        parts = [unwrap(data) for data in frames]
        tensor = b"".join(payload for _, payload in parts)
        assert tensor == request.result()
        offset = cycles = 0
        for index, (header, payload) in enumerate(parts):
            last = index + 1 == len(parts)
            used = request.header.deadline_us - header.deadline_us
            assert 0 <= used < request.header.deadline_us
            assert header == replace(
                request.header,
                last=last,
                result=True,
                declined=False,
                reason=wire.DeclineReason.NONE,
                telemetry=last,
                cycles=header.cycles if last else 0,
                cursor=request.header.cursor + 1,
                fragment_index=index,
                fragment_count=len(parts),
                offset=offset,
                total_bytes=len(tensor),
                element_type=wire.ElementType.INT8,
                hop_limit=request.header.hop_limit - 1,
                deadline_us=header.deadline_us,
            )
            fragments.check_fragment(header, len(payload))
            assert last or len(payload) == step
            offset += len(payload)
            cycles = header.cycles
        for data in frames:
            packet = Ether(data)
            assert (ip_of(packet).src, packet[UDP].sport) == request.client
        return cycles

    def check_declined(
        self, sent: bytes, got: bytes, reason: wire.DeclineReason, within: int = 1000
    ) -> None:
        """The frame ``sent``, declined (W4, W5)."""
        self.check_sent_on(sent, got, declined=True, reason=reason, within=within)

    def check_question(self, request: Request, got: Out, missing: set[int]) -> None:
        """The sender of a request is asked for these fragments, all of a group of 64 (W8, F1)."""
        assert got.back and not got.bad
        packet, again = Ether(got.data), Ether(got.data)
        del again[IP].chksum, again[UDP].chksum, again[IP].len, again[UDP].len
        assert bytes(again) == got.data, "checksums or lengths"
        assert (packet.src, packet.dst) == (OWN_MAC, CLIENT_MAC)
        assert (packet[IP].src, packet[UDP].sport) == (OWN_IP, OWN_PORT)
        assert (packet[IP].dst, packet[UDP].dport) == request.client
        payload = bytes(packet[UDP].payload)
        header, bitmap = wire.decode(payload), payload[wire.HEADER_BYTES :]
        first = min(missing) // 64 * 64
        assert header == replace(
            request.header,
            message_type=wire.MessageType.MISSING,
            last=True,
            fragment_index=first,
            fragment_count=len(request.frames()),
            offset=0,
            total_bytes=len(request.tensor),
        )
        assert len(bitmap) == 8
        asked = {first + k for k in range(64) if bitmap[k // 8] >> (7 - k % 8) & 1}
        assert asked == missing

    def check_sent_on(
        self,
        sent: bytes,
        got: bytes,
        declined: bool,
        reason: wire.DeclineReason,
        within: int = 1000,
    ) -> None:
        """The frame ``sent``, with this said in its header, and its hops and time (of microseconds
        ``within``) reduced (W5)."""
        before = bytes(Ether(sent)[UDP].payload)
        header, payload = unwrap(got)
        old = wire.decode(before)
        assert 0 <= old.deadline_us - header.deadline_us <= within
        assert header == replace(
            old,
            declined=declined,
            reason=reason,
            hop_limit=old.hop_limit - 1,
            deadline_us=header.deadline_us,
        )
        assert payload == before[wire.HEADER_BYTES :]
        assert ip_of(Ether(got)).src == ip_of(Ether(sent)).src
        assert Ether(got)[UDP].sport == Ether(sent)[UDP].sport


SMALL = Sizes(16, 48, 1, 10)
LARGE = Sizes(3, 1500, 5, 1985)
"""Sizes that are no multiples of 8, two fragments in and out, beats that do not divide 8."""
HUGE = Sizes(16, 50_000, 8, 64)
"""A tensor of many fragments, in few slots."""
SEVERAL = Sizes(16, 48, 5, 1985, (WireTensor(3, 1500),), (WireTensor(8, 20_000),))
"""Two tensors in, of one fragment and two; and two out, the second more than waits in the NIC."""

SIDES = (SideWords(5, 7), SideWords(1, 1))
"""What stand_in.v has with SIDES."""

SWAPPED, LONG_SWAPPED, JOINED_SWAPPED = (
    sizes._replace(sides=SIDES) for sizes in (SMALL, LARGE, SEVERAL)
)

WIDE = tuple(LARGE._replace(network_beat=beat_bytes) for beat_bytes in (16, 32, 64))
"""One program for each width."""


WATCH = """
    integer filled = 0;
    reg filled_before = 0;
    always @(posedge clk) begin
        if (write) filled <= filled - 32'(words[write_addr] != 0) + 32'(write_data != 0);
        filled_before <= filled != 0;
        if (filled_before != (filled != 0)) $display("z %m %0d", filled != 0);
    end
endmodule"""
"""A memory that says when its first word is not zero, and when all are again."""


def stand_in(sizes: Sizes, module: str = "midwire_slice") -> str:
    """The Verilog of a slice for tests."""
    text = (HERE / ("stand_in_several.v" if sizes.more_inputs else "stand_in.v")).read_text()
    for name in ("stand_in_weight_ports.v", "stand_in_weights.v"):
        text = text.replace(f'`include "{name}"\n', (HERE / name).read_text())
    if sizes.sides:
        text = f"`define SIDES\n{text}"
    shape = sizes.shape
    for side, tensors in (("IN", shape.inputs), ("OUT", shape.outputs)):
        for k, tensor in enumerate(tensors):
            for what, value in zip(("BEAT", "BYTES"), tensor, strict=True):
                name = f"parameter {side}{k}_{what}"
                text = text.replace(f"{name} = 1", f"{name} = {value}")
    return text.replace("module midwire_slice", f"module {module}")


def program(slices: Sequence[Sizes], folder: Path) -> Path:
    """Build a simulation of the NIC around stand-in slices."""
    modules = [prefixed(module, "midwire") for module in slice_modules(len(slices))]
    texts = [stand_in(sizes, module) for sizes, module in zip(slices, modules, strict=True)]
    (folder / "midwire_slice.v").write_text("".join(texts))
    shell = replace(slices[0].shell, slices=tuple(sizes.shape for sizes in slices))
    (verilog,) = verilog_of([shell])
    verilog = prefixed(renamed(verilog, "midwire_nic"), "midwire")
    (folder / "midwire_nic.v").write_text(verilog)
    # See whether words are zero, without looking at all of them all the time.
    ram = (Path(midwire.hw.__path__[0]) / "verilog" / "mw_ram.v").read_text()
    (folder / "midwire_ram.v").write_text(prefixed(ram.replace("endmodule", WATCH), "midwire"))
    files = [folder / f"midwire_{part}.v" for part in ("nic", "slice", "ram")]
    return build_executable(files, "midwire_nic", [HERE / "harness.cpp"], "Vnic")


Start = Callable[[], Nic]


@pytest.fixture(scope="session")
def programs(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """Of one slice or several."""
    built: dict[tuple[Sizes, ...], Path] = {}

    def get(*slices: Sizes) -> Path:
        if slices not in built:
            built[slices] = program(slices, tmp_path_factory.mktemp("nic"))
        return built[slices]

    return get


@pytest.fixture
def small(programs: Callable[..., Path]) -> Iterator[Nic]:
    """A NIC whose tensors fit one fragment, 48 bytes in and 10 out."""
    with contextlib.closing(Nic(programs(SMALL), SMALL)) as nic:
        yield nic


@pytest.fixture
def large(programs: Callable[..., Path]) -> Iterator[Nic]:
    """A NIC with two fragments in (1500 bytes) and out (1985 bytes)."""
    with contextlib.closing(Nic(programs(LARGE), LARGE)) as nic:
        yield nic


@pytest.fixture
def huge(programs: Callable[..., Path]) -> Iterator[Nic]:
    """A NIC with 38 fragments in (50000 bytes) and one out (64 bytes)."""
    with contextlib.closing(Nic(programs(HUGE), HUGE)) as nic:
        yield nic


@pytest.fixture(params=WIDE, ids=lambda sizes: f"{8 * sizes.network_beat}")
def wide(programs: Callable[..., Path], request: pytest.FixtureRequest) -> Iterator[Nic]:
    """A NIC with a stream of 128, 256 or 512 bits towards the network."""
    with contextlib.closing(Nic(programs(request.param), request.param)) as nic:
        yield nic


@pytest.fixture
def widest(programs: Callable[..., Path]) -> Iterator[Nic]:
    """The one of 512 bits, with several fragments in and out."""
    with contextlib.closing(Nic(programs(WIDE[-1]), WIDE[-1])) as nic:
        yield nic


@pytest.fixture(params=(SWAPPED, LONG_SWAPPED), ids=("small", "large"))
def loadable(programs: Callable[[Sizes], Path], request: pytest.FixtureRequest) -> Iterator[Nic]:
    """A NIC whose slice has weights, of one fragment in and out or of two."""
    with contextlib.closing(Nic(programs(request.param), request.param)) as nic:
        yield nic


@pytest.fixture
def several(programs: Callable[..., Path]) -> Iterator[Nic]:
    """The NIC of a slice with two inputs and two outputs."""
    with contextlib.closing(Nic(programs(SEVERAL), SEVERAL)) as nic:
        yield nic


@pytest.fixture
def tools(request: pytest.FixtureRequest) -> Tools:
    """Helpers with a seed of their own, printed."""
    seed = random.SystemRandom().randrange(1 << 32)
    print(f"{request.node.name}: seed {seed}")
    return Tools(seed)
