# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""One network port of a shell, with the NIC pipeline between it and the host.

::

    network                                                              host
    s_net  --> mw_nic --+-- passes --> (whole) --> m_host
                 |      |
               s_axil   +-- made here --> whole --+
                                                  v
    m_net  <------------------------------------ merge <-- s_host

What the pipeline passes goes on to the host, and what it makes (results, declined and forwarded
tensors, questions) out of the same port, between frames of the host (:mod:`.merge`). All streams
have the shell's width, and so have those of ``mw_nic``, which is another file
(:mod:`midwire.hw.nic.wide`).
"""

from __future__ import annotations

from typing import Any

from amaranth.hdl import ClockSignal, Instance, Module, ResetSignal, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from ..datapath.axi import add_domain, clocking
from ..datapath.stream import Fifo
from ..formats.csr import ADDRESS_BITS
from ..nic.bus import AxiLite
from .frames import SIZE_BITS, Whole, frame_beat, sized_beat
from .merge import Merge


class PortShell(wiring.Component):
    """See above.

    Parameters
    ----------
    beat_bytes : of all streams, those of ``mw_nic`` among them
    user_bits : of tuser on the way from the host to the network
    sized : frames go to the host whole, and both outputs have their sizes beside them

    Members
    -------
    clk, aresetn : as :mod:`midwire.hw.datapath.axi`
    s_net_axis_*, m_host_axis_* : AXI4-Stream with tkeep and tuser (bit 0: bad frame)
    s_host_axis_*, m_net_axis_* : AXI4-Stream with tkeep and tuser (``user_bits``: unchanged, and 0
        beside a frame that was made here)
    m_net_axis_tid : Out(1), the frame was made here
    m_host_axis_tsize, m_net_axis_tsize : if ``sized``; bytes of the frame, on each of its beats; to
        the network of those that were made here, beside others 0
    s_axil_* : AXI4-Lite, the registers of :mod:`midwire.hw.formats.csr`
    """

    def __init__(self, beat_bytes: int, user_bits: int, *, sized: bool) -> None:
        self._bytes, self._sized = beat_bytes, sized
        self._merge = Merge(beat_bytes, user_bits)
        axil = AxiLite(ADDRESS_BITS).flip().members
        members: dict[str, Any] = {
            **clocking(),
            **{f"s_axil_{name}": member for name, member in axil.items()},
        }
        for name, user in (("net", 1), ("host", user_bits)):
            members |= _stream(f"s_{name}_axis", In, Out, beat_bytes, user)
        for name, user in (("net", user_bits), ("host", 1)):
            members |= _stream(f"m_{name}_axis", Out, In, beat_bytes, user)
            if sized:
                members[f"m_{name}_axis_tsize"] = Out(SIZE_BITS)
        super().__init__({**members, "m_net_axis_tid": Out(1)})

    def elaborate(self, platform):  # type: ignore[no-untyped-def]
        m = Module()
        add_domain(m, self)
        m.submodules.made = made = Whole(self._bytes)
        m.submodules.merge = merge = self._merge
        leaves = stream.Signature(frame_beat(self._bytes)).create(path=("leaves",))
        self._pipeline(m, leaves)

        mine = leaves.payload.made
        host = self._towards_host(m)
        for way, chosen in ((made.i, mine), (host, ~mine)):
            m.d.comb += [way.payload.eq(leaves.payload), way.valid.eq(leaves.valid & chosen)]
            with m.If(chosen):
                m.d.comb += leaves.ready.eq(way.ready)

        self._take(m, merge.host.payload.sized.beat, merge.host)
        m.d.comb += merge.host.payload.user.eq(self.s_host_axis_tuser)
        wiring.connect(m, made.o, merge.ours)
        self._give(m, "net", merge.o.payload.sized, merge.o)
        m.d.comb += [
            self.m_net_axis_tuser.eq(merge.o.payload.user),
            self.m_net_axis_tid.eq(merge.o.payload.sized.beat.made),
        ]
        return m

    def _towards_host(self, m: Module) -> Any:
        """The way to the host; returns its input, a stream of frame_beat."""
        if self._sized:
            m.submodules.passing = whole = Whole(self._bytes)
            self._give(m, "host", whole.o.payload, whole.o)
            m.d.comb += self.m_host_axis_tuser.eq(whole.o.payload.beat.bad)
            return whole.i
        m.submodules.passing = skid = Fifo(frame_beat(self._bytes), 2)
        payload = Signal(sized_beat(self._bytes))
        m.d.comb += [payload.beat.eq(skid.o.payload), payload.size.eq(0)]
        self._give(m, "host", payload, skid.o)
        m.d.comb += self.m_host_axis_tuser.eq(skid.o.payload.bad)
        return skid.i

    def _take(self, m: Module, beat: Any, port: Any) -> None:
        """What comes from the host, into a stream of ours."""
        for ours, axis in (("data", "tdata"), ("keep", "tkeep"), ("last", "tlast")):
            m.d.comb += beat[ours].eq(getattr(self, f"s_host_axis_{axis}"))
        m.d.comb += [
            port.valid.eq(self.s_host_axis_tvalid),
            self.s_host_axis_tready.eq(port.ready),
        ]

    def _give(self, m: Module, name: str, sized: Any, port: Any) -> None:
        """One of our streams into the shell's."""
        for ours, axis in (("data", "tdata"), ("keep", "tkeep"), ("last", "tlast")):
            m.d.comb += getattr(self, f"m_{name}_axis_{axis}").eq(sized.beat[ours])
        if self._sized:
            m.d.comb += getattr(self, f"m_{name}_axis_tsize").eq(sized.size)
        m.d.comb += [
            getattr(self, f"m_{name}_axis_tvalid").eq(port.valid),
            port.ready.eq(getattr(self, f"m_{name}_axis_tready")),
        ]

    def _pipeline(self, m: Module, out: Any) -> None:
        """From the network to a stream of frame_beat."""
        axil = {}
        for name, member in AxiLite(ADDRESS_BITS).members.items():
            direction = "i" if member.flow == Out else "o"
            axil[f"{direction}_s_axil_{name}"] = getattr(self, f"s_axil_{name}")
        m.submodules.nic = Instance(
            "mw_nic",
            i_clk=ClockSignal(),
            i_aresetn=~ResetSignal(),
            i_s_axis_tdata=self.s_net_axis_tdata,
            i_s_axis_tkeep=self.s_net_axis_tkeep,
            i_s_axis_tvalid=self.s_net_axis_tvalid,
            i_s_axis_tlast=self.s_net_axis_tlast,
            i_s_axis_tuser=self.s_net_axis_tuser,
            o_s_axis_tready=self.s_net_axis_tready,
            o_m_axis_tdata=out.payload.data,
            o_m_axis_tkeep=out.payload.keep,
            o_m_axis_tvalid=out.valid,
            o_m_axis_tlast=out.payload.last,
            o_m_axis_tuser=out.payload.bad,
            o_m_axis_tid=out.payload.made,
            # Back and to the next hop is out of the same port.
            o_m_axis_tdest=Signal(name="nic_back"),
            i_m_axis_tready=out.ready,
            **axil,
        )


def _stream(name: str, there: Any, back: Any, beat_bytes: int, user_bits: int) -> dict[str, Any]:
    return {
        f"{name}_tdata": there(8 * beat_bytes),
        f"{name}_tkeep": there(beat_bytes),
        f"{name}_tvalid": there(1),
        f"{name}_tready": back(1),
        f"{name}_tlast": there(1),
        f"{name}_tuser": there(user_bits),
    }
