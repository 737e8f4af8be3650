// SPDX-FileCopyrightText: 2026 midwire contributors
// SPDX-License-Identifier: Apache-2.0
//
// Reading and writing midwire's header, by the fields that formats.h has from hw/formats/wire.py; and
// whether a datagram begins with one.

#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

#include "formats.h"
#include "frame.h"

constexpr size_t kHeaderAt = headroom(false);
constexpr size_t kPayloadAt = kHeaderAt + mw::kHeaderBytes;

inline uint64_t get_field(const uint8_t* header, mw::Field field) {
    const unsigned end = field.offset + field.bits;
    uint64_t value = 0;
    for (unsigned at = field.offset / 8; at < (end + 7) / 8; ++at) value = value << 8 | header[at];
    value >>= (8 - end % 8) % 8;
    return field.bits == 64 ? value : value & ((uint64_t{1} << field.bits) - 1);
}

inline void put_field(uint8_t* header, mw::Field field, uint64_t value) {
    for (unsigned bit = 0; bit < field.bits; ++bit) {
        const unsigned at = field.offset + field.bits - 1 - bit;
        const uint8_t mask = static_cast<uint8_t>(0x80 >> at % 8);
        uint8_t& byte = header[at / 8];
        byte = static_cast<uint8_t>(value >> bit & 1 ? byte | mask : byte & ~mask);
    }
}

// CRC-32C (Castagnoli) over the header with its CRC field zero, as rule W1 says.
inline uint32_t header_crc(const uint8_t* header) {
    static const auto table = [] {
        std::array<uint32_t, 256> out{};
        for (uint32_t byte = 0; byte < 256; ++byte) {
            uint32_t value = byte;
            for (int bit = 0; bit < 8; ++bit) value = value >> 1 ^ (value & 1 ? 0x82f63b78u : 0);
            out[byte] = value;
        }
        return out;
    }();
    uint32_t crc = ~0u;
    for (size_t at = 0; at < mw::kHeaderBytes; ++at)
        crc = crc >> 8 ^ table[(crc ^ (at < mw::kHeaderBytes - 4 ? header[at] : 0)) & 255];
    return ~crc;
}

inline void stamp_crc(uint8_t* header) { put32(header + mw::kHeaderBytes - 4, header_crc(header)); }

// What is wrong with a datagram that should begin with the header of a tensor: the first that applies, in
// the order of hw/formats/wire.py.
enum class Fault { none, no_header, bad_magic, bad_version, bad_crc, other_type };

inline Fault fault_of(const uint8_t* datagram, size_t size) {
    if (size < mw::kHeaderBytes) return Fault::no_header;
    if (get_field(datagram, mw::field::magic) != mw::kMagic) return Fault::bad_magic;
    if (get_field(datagram, mw::field::version) != mw::kVersion) return Fault::bad_version;
    if (get_field(datagram, mw::field::crc) != header_crc(datagram)) return Fault::bad_crc;
    if (get_field(datagram, mw::field::message_type) != mw::kTensor) return Fault::other_type;
    return Fault::none;
}
