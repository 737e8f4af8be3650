// SPDX-FileCopyrightText: 2026 midwire contributors
// SPDX-License-Identifier: Apache-2.0
//
// What goes in front of a payload that leaves (rules F1 to F3 of hw/nic/prepare.py), and how a header
// changes on its way (W3, W4, W5 and W8 of hw/formats/wire.py).

#pragma once

#include <initializer_list>
#include <utility>

#include "origin.h"
#include "reference_registers.h"

using Change = std::pair<mw::Field, uint64_t>;

inline void change(uint8_t* header, std::initializer_list<Change> changes) {
    for (const auto& [name, value] : changes) put_field(header, name, value);
}

// W5: a hop less, and the time that was used here.
inline void pass_on(uint8_t* header, Micros used) {
    const uint64_t left = get_field(header, mw::field::deadline_us);
    put_field(header, mw::field::hop_limit, get_field(header, mw::field::hop_limit) - 1);
    put_field(header, mw::field::deadline_us, left > used ? left - used : 0);
}

inline void decline(uint8_t* header, uint64_t reason) {
    change(header, {{mw::field::declined, 1}, {mw::field::reason, reason}});
}

class FrameMaker {
public:
    explicit FrameMaker(const Registers& registers) : registers_(registers) {}

    // To its next hop, in the name of who sent the frame of `origin`. The midwire header lies at byte `at` of
    // the frame, with `payload` bytes behind it; both are moved to where they belong.
    void onward(Frame& frame, size_t payload, const Origin& origin, size_t at = kHeaderAt) const {
        const Hop& hop = origin.hop;
        finish(frame, payload, at, origin, origin.sender, {hop.ip, hop.port}, hop.mac, origin.ttl);
    }
    // To where the frame of `origin` came from.
    void back(Frame& frame, size_t payload, const Origin& origin) const {
        const Sender own{origin.dst_ip, static_cast<uint16_t>(registers_[mw::reg::own_port])};
        finish(frame, payload, kHeaderAt, origin, own, origin.sender, origin.src_mac, kTtl);
    }

private:
    void finish(Frame& frame, size_t payload, size_t at, const Origin& origin, const Sender& from, const Sender& to,
                uint64_t mac, uint8_t ttl) const {
        Headers headers;
        headers.tags = origin.tags;
        headers.ipv6 = origin.ipv6;
        headers.udp_at = headers.ip_at() + (origin.ipv6 ? mw::kIpv6Bytes : mw::kMinIpv4Bytes);
        uint8_t* data = frame.data;
        const size_t bytes = mw::kHeaderBytes + payload;
        std::memmove(data + headers.header_at(), data + at, bytes);
        stamp_crc(data + headers.header_at());
        frame.size = static_cast<uint32_t>(headers.header_at() + bytes);

        put16(data, static_cast<uint32_t>(mac >> 32)), put32(data + 2, static_cast<uint32_t>(mac));
        put16(data + 6, registers_[mw::reg::own_mac_high]), put32(data + 8, registers_[mw::reg::own_mac_low]);
        std::memcpy(data + 12, origin.tag_bytes, 4 * origin.tags);
        put16(data + headers.ip_at() - 2, origin.ipv6 ? mw::kEthertypeIpv6 : mw::kEthertypeIpv4);
        const uint32_t length = static_cast<uint32_t>(8 + bytes);
        uint8_t* ip = data + headers.ip_at();
        if (origin.ipv6) put_ipv6(ip, length, from.ip, to.ip, origin.tos, ttl);
        else put_ipv4(ip, length, from.ip.ipv4(), to.ip.ipv4(), 0, origin.tos, ttl);
        uint8_t* udp = data + headers.udp_at;
        put16(udp, from.port), put16(udp + 2, to.port);
        put16(udp + 4, length);
        stamp_udp_sum(frame, headers);
    }

    const Registers& registers_;
};
