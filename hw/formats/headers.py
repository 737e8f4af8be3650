# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""Headers in front of a datagram that is to our address: which ones are read, and how far.

One definition for the RTL (:mod:`midwire.hw.nic.classify`, rule A1) and for the C++ reference (by
``formats.h``). No Amaranth here.
"""

from __future__ import annotations

ETHERTYPE_IPV4 = 0x0800
ETHERTYPE_IPV6 = 0x86DD
ETHERTYPE_VLAN = 0x8100
"""Of a tag as in IEEE 802.1Q."""
ETHERTYPE_SERVICE_VLAN = 0x88A8
"""Of a service tag, as in IEEE 802.1ad."""

MAX_TAGS = 2

PROTOCOL_UDP = 17
HOP_BY_HOP = 0
ROUTING = 43
DESTINATION_OPTIONS = 60
"""IPv6 extension headers that are skipped; any other one passes."""

IPV6_BYTES = 40
MIN_IPV4_BYTES = 20

HEADERS_WITHIN = 112
"""Bytes of a frame in which the UDP header must end. Two tags and an IPv4 header with all its
options need 90; IPv6 behind two tags has 40 left for extension headers, without tags 48."""
