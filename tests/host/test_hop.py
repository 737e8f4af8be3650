# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""The hop that other tests lose datagrams with."""

from __future__ import annotations

from midwire.host.wire.udp import UdpPort

from .conftest import send
from .hop import Disorder, Hop, released

NUMBERS = [index.to_bytes(2, "big") for index in range(2000)]


def through(fate: Disorder) -> list[bytes]:
    return [onward for each in NUMBERS for onward in fate(each)] + released(fate)


def test_a_seed_is_a_schedule() -> None:
    one, two, other = (through(Disorder(s, lose=0.1, double=0.1, swap=0.1)) for s in (1, 1, 2))
    assert one == two != other


def test_shares_are_kept_and_nothing_else_is_lost() -> None:
    assert through(Disorder(1)) == NUMBERS
    lost = through(Disorder(1, lose=0.1))
    assert 150 < len(NUMBERS) - len(lost) < 250 and lost == sorted(lost)
    doubled = through(Disorder(1, double=0.1))
    assert 150 < len(doubled) - len(NUMBERS) < 250 and sorted(set(doubled)) == NUMBERS
    swapped = through(Disorder(1, swap=0.1))
    assert sorted(swapped) == NUMBERS != swapped
    assert max(abs(index - NUMBERS.index(each)) for index, each in enumerate(swapped)) <= 6


def test_clients_do_not_mix_and_what_is_held_goes_on() -> None:
    with (
        UdpPort() as beyond,
        UdpPort() as one,
        UdpPort() as two,
        Hop(beyond.address, lambda: Disorder(1, swap=1.0), lambda: Disorder(1, swap=1.0)) as hop,
    ):
        sources = {}
        for client, word in ((one, b"one"), (two, b"two")):
            send(client, word, 3, hop.address)
            [(data, sources[word])] = beyond.receive(5.0)
            assert data == word
        assert sources[b"one"] != sources[b"two"]
        for client, word in ((two, b"two"), (one, b"one")):
            send(beyond, word, 3, sources[word])
            [(data, source)] = client.receive(5.0)
            assert (bytes(data), source) == (word, hop.address)
