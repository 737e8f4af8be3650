// SPDX-FileCopyrightText: 2026 midwire contributors
// SPDX-License-Identifier: Apache-2.0
//
// The registers of the NIC in memory: hw/formats/csr.py, rules C1 and C2.

#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

#include "formats.h"
#include "headers.h"

class Registers {
public:
    Registers() {
        for (size_t i = 0; i < mw::kRegisterCount; ++i) values_[i] = mw::kRegisters[i].reset;
    }
    // By number (mw::reg), for the datapath itself.
    uint32_t& operator[](size_t index) { return values_[index]; }
    uint32_t operator[](size_t index) const { return values_[index]; }

    // An address in four of them.
    IpAddress ip6(size_t first) const {
        IpAddress out;
        for (size_t i = 0; i < 4; ++i) put32(out.bytes.data() + 4 * i, values_[first + i]);
        return out;
    }

    bool read(uint32_t address, uint32_t& value) const {
        const size_t index = find(address);
        if (index == mw::kRegisterCount) return false;
        value = values_[index];
        return true;
    }
    bool write(uint32_t address, uint32_t value) {
        const size_t index = find(address);
        if (index == mw::kRegisterCount || !mw::kRegisters[index].writable) return false;
        const unsigned width = mw::kRegisters[index].width;
        values_[index] = width == 32 ? value : value & ((1u << width) - 1);
        return true;
    }

private:
    static size_t find(uint32_t address) {
        for (size_t i = 0; i < mw::kRegisterCount; ++i)
            if (mw::kRegisters[i].offset == address) return i;
        return mw::kRegisterCount;
    }
    std::array<uint32_t, mw::kRegisterCount> values_{};
};
