// SPDX-FileCopyrightText: 2026 midwire contributors
// SPDX-License-Identifier: Apache-2.0
//
// The steering table: rules T1 to T8 of hw/nic/entries.py, and C6 and C7 of hw/formats/csr.py.

#pragma once

#include <algorithm>
#include <array>

#include "clock.h"
#include "header.h"
#include "origin.h"
#include "reference_registers.h"

// What the table says of a frame: that it is forwarded, or declined as `policy`; and its next hop.
struct Steered {
    bool forward = false, policy = false;
    Hop hop;
};

class Steering {
public:
    explicit Steering(Registers& registers) : registers_(registers) {}

    // T1 to T3 and T8, for the midwire header of a frame.
    Steered look(const uint8_t* header, bool ipv6, Micros now) {
        namespace field = mw::field;
        const auto entry = std::find_if(entries_.begin(), entries_.end(),
                                        [&](Entry& each) { return each.lives(now) && each.is_of(header); });
        Steered out;
        out.hop = hop_of(registers_, mw::reg::next_mac_high, mw::reg::next_ip, mw::reg::next_port, mw::reg::next_ip6_0, ipv6);
        if (entry == entries_.end()) return out;
        ++hits(static_cast<size_t>(entry - entries_.begin()));
        const Hop hop = hop_of(*entry, mw::reg::table_next_mac_high, mw::reg::table_next_ip, mw::reg::table_next_port,
                               mw::reg::table_next_ip6_0, ipv6);
        if (hop.ip.any()) out.hop = hop;
        const bool allowed = (*entry)[mw::reg::table_regions] >> get_field(header, field::region) & 1;
        const bool in_clear = (*entry)[mw::reg::table_must_encrypt] && !get_field(header, field::encrypted);
        const uint64_t action = (*entry)[mw::reg::table_action];
        out.policy = !allowed || in_clear || action == mw::action::REDIRECT;
        out.forward = action == mw::action::FORWARD && !out.policy;
        return out;
    }

    // C6: what was written to the registers becomes the entry `table_index`; false where there is no such one.
    bool commit(Micros now) {
        const uint64_t index = registers_[mw::reg::table_index];
        if (index >= mw::kTableEntries || registers_[mw::reg::table_action] >= mw::kTableActions) return false;
        Entry& entry = entries_[index];
        for (size_t i = 0; i < kWords; ++i) entry.words[i] = registers_[kFirst + i];
        entry.since = now;
        hits(index) = 0;
        return true;
    }

    // A register of the entry `table_index`.
    uint32_t show(size_t number, Micros now) {
        const uint64_t index = registers_[mw::reg::table_index];
        if (index >= mw::kTableEntries || !entries_[index].lives(now)) return 0;
        return static_cast<uint32_t>(entries_[index][number]);
    }

private:
    static constexpr size_t kFirst = mw::reg::table_action, kWords = mw::reg::table_next_ip6_3 - kFirst + 1;

    struct Entry {
        uint64_t operator[](size_t number) const { return words[number - kFirst]; }
        uint64_t& action() { return words[mw::reg::table_action - kFirst]; }

        // T6: whether there is one; removes one that is too old.
        bool lives(Micros now) {
            const uint64_t lifetime = (*this)[mw::reg::table_lifetime_us];
            if (lifetime && now >= since + lifetime) action() = mw::action::NONE;
            return action() != mw::action::NONE;
        }
        bool is_of(const uint8_t* header) const {
            const uint64_t high = (*this)[mw::reg::table_model_hash_high];
            const uint64_t hash = high << 32 | (*this)[mw::reg::table_model_hash_low];
            return get_field(header, mw::field::tenant) == (*this)[mw::reg::table_tenant] &&
                   get_field(header, mw::field::model_hash) == hash &&
                   get_field(header, mw::field::cursor) == (*this)[mw::reg::table_cursor];
        }

        std::array<uint64_t, kWords> words{};
        Micros since = 0;
    };

    // C7.
    uint64_t& hits(size_t index) { return registers_[mw::reg::table_0_hits + index]; }

    // T2, of registers or of an entry.
    template <typename Words>
    static Hop hop_of(const Words& words, size_t mac, size_t ip, size_t port, size_t ip6, bool ipv6) {
        Hop out;
        out.mac = words[mac] << 32 | words[mac + 1];
        out.port = static_cast<uint16_t>(words[port]);
        out.ip = IpAddress::of(static_cast<uint32_t>(words[ip]));
        if (!ipv6) return out;
        out.ip = {};
        for (size_t i = 0; i < 4; ++i) put32(out.ip.bytes.data() + 4 * i, static_cast<uint32_t>(words[ip6 + i]));
        return out;
    }

    Registers& registers_;
    std::array<Entry, mw::kTableEntries> entries_{};
};
