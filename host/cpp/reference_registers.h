// SPDX-FileCopyrightText: 2026 midwire contributors
// SPDX-License-Identifier: Apache-2.0
//
// The registers of the NIC in memory: hw/formats/csr.py, rules C1, C2 and C5.

#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

#include "headers.h"
#include "register_map.h"

class Registers {
public:
    Registers() {
        for (size_t i = 0; i < mw::kRegisterCount; ++i) values_[i] = mw::kRegisters[i].reset;
    }
    // By number (mw::reg), for the datapath itself.
    uint64_t& operator[](size_t index) { return values_[index]; }
    uint64_t operator[](size_t index) const { return values_[index]; }

    // An address in four of them.
    IpAddress ip6(size_t first) const {
        IpAddress out;
        for (size_t i = 0; i < 4; ++i) put32(out.bytes.data() + 4 * i, values_[first + i]);
        return out;
    }

    // Those of the steering table (access `entry`) are what was written to them; the entry that is to be shown
    // (C6) is in reference_steering.h.
    bool read(uint32_t address, uint32_t& value) const {
        const size_t index = register_at(address);
        if (index == mw::kRegisterCount) return false;
        const bool high = is_counter(index) && address == mw::kRegisters[index].offset;
        const uint64_t whole = is_counter(index) ? seen_[index] : values_[index];
        value = static_cast<uint32_t>(high ? whole >> 32 : whole);
        return true;
    }
    bool write(uint32_t address, uint32_t value) {
        const size_t index = register_at(address);
        if (index == mw::kRegisterCount) return false;
        if (index == mw::reg::snapshot) return seen_ = values_, true;
        if (!mw::kRegisters[index].writable && !mw::kRegisters[index].entry) return false;
        const unsigned width = mw::kRegisters[index].width;
        values_[index] = width == 32 ? value : value & ((1u << width) - 1);
        return true;
    }

private:
    std::array<uint64_t, mw::kRegisterCount> values_{}, seen_{};  // seen: at the last snapshot
};
