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

    // The header is in place, and `payload` bytes lie behind it.
    void onward(Frame& frame, size_t payload, Endpoint sender, uint8_t tos, uint8_t ttl) const {
        const Endpoint hop{registers_[mw::reg::next_ip], static_cast<uint16_t>(registers_[mw::reg::next_port])};
        const uint64_t mac = static_cast<uint64_t>(registers_[mw::reg::next_mac_high]) << 32;
        finish(frame, payload, sender, hop, mac | registers_[mw::reg::next_mac_low], tos, ttl);
    }
    // To where the frame of `origin` came from.
    void back(Frame& frame, size_t payload, const Origin& origin) const {
        const Endpoint own{origin.dst_ip, static_cast<uint16_t>(registers_[mw::reg::own_port])};
        finish(frame, payload, own, origin.sender, origin.src_mac, origin.tos, kTtl);
    }

private:
    void finish(Frame& frame, size_t payload, Endpoint from, Endpoint to, uint64_t mac, uint8_t tos,
                uint8_t ttl) const {
        stamp_crc(frame.data + kHeaderAt);
        wrap(frame, mw::kHeaderBytes + payload, from, to, 0, ttl);
        put16(frame.data, static_cast<uint32_t>(mac >> 32)), put32(frame.data + 2, static_cast<uint32_t>(mac));
        put16(frame.data + 6, registers_[mw::reg::own_mac_high]);
        put32(frame.data + 8, registers_[mw::reg::own_mac_low]);
        uint8_t* ip = frame.data + 14;
        ip[1] = tos;
        put16(ip + 10, 0);
        put16(ip + 10, ~fold(sum16(ip, 20)) & 0xffff);
    }

    const Registers& registers_;
};
