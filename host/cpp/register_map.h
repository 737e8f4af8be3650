// SPDX-FileCopyrightText: 2026 midwire contributors
// SPDX-License-Identifier: Apache-2.0
//
// Which register is where: the map of hw/formats/csr.py, by address.

#pragma once

#include <cstddef>
#include <cstdint>

#include "formats.h"

// Two words: the high one first, the low one behind it (rule C2 of hw/formats/csr.py).
inline bool is_counter(size_t number) { return mw::kRegisters[number].width > 32; }

// The number (mw::reg) of the register that has a word at an address; kRegisterCount where none has.
inline size_t register_at(uint32_t address) {
    for (size_t i = 0; i < mw::kRegisterCount; ++i)
        if (mw::kRegisters[i].offset == address || (is_counter(i) && mw::kRegisters[i].offset + 4 == address))
            return i;
    return mw::kRegisterCount;
}
