// SPDX-FileCopyrightText: 2026 midwire contributors
// SPDX-License-Identifier: Apache-2.0
//
// Ethernet/IPv4/UDP around a datagram, and off again.
//
// A UDP socket hides the headers that the pipeline parses, so they are put back from the socket's
// addresses. MAC addresses are made up (02:00 and the IPv4 address); the pipeline does not match them.

#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>

constexpr size_t kHeadroom = 14 + 20 + 8;
constexpr size_t kMaxPayload = 9000 - 20 - 8;  // a jumbo frame's UDP payload
constexpr size_t kMaxTags = 2 * 4;                // VLAN tags, which an interface's MTU does not count
constexpr size_t kMaxFrame = kHeadroom + kMaxPayload + kMaxTags;

// An IPv4 address and a UDP port, both in host order.
struct Endpoint {
    uint32_t ip = 0;
    uint16_t port = 0;
    bool operator==(const Endpoint& other) const { return ip == other.ip && port == other.port; }
};

struct Frame {
    uint32_t size = 0;
    uint8_t data[kMaxFrame];
};

inline void put16(uint8_t* at, uint32_t value) {
    at[0] = static_cast<uint8_t>(value >> 8);
    at[1] = static_cast<uint8_t>(value);
}
inline void put32(uint8_t* at, uint32_t value) {
    put16(at, value >> 16);
    put16(at + 2, value & 0xffff);
}
inline uint32_t get16(const uint8_t* at) { return static_cast<uint32_t>(at[0]) << 8 | at[1]; }
inline uint32_t get32(const uint8_t* at) { return get16(at) << 16 | get16(at + 2); }

// Sum of big-endian 16-bit words (RFC 1071), an odd last byte padded with zero.
inline uint32_t sum16(const uint8_t* at, size_t size, uint32_t sum = 0) {
    for (; size > 1; size -= 2, at += 2) sum += get16(at);
    if (size) sum += static_cast<uint32_t>(*at) << 8;
    return sum;
}
inline uint32_t fold(uint32_t sum) {
    while (sum >> 16) sum = (sum & 0xffff) + (sum >> 16);
    return sum;
}

// Sum over the UDP pseudo header, header and payload; 0xffff where the checksum inside is right.
inline uint32_t udp_sum(const Frame& frame, uint32_t length) {
    return fold(sum16(frame.data + 34, length, sum16(frame.data + 26, 8, 17 + length)));
}

constexpr uint8_t kTtl = 64;  // time to live of what we send ourselves: hops that IP allows it

// Writes the headers in front of a payload that already lies at `data + kHeadroom`.
inline void wrap(Frame& frame, size_t payload, Endpoint from, Endpoint to, uint16_t id, uint8_t ttl = kTtl) {
    uint8_t* eth = frame.data;
    uint8_t* ip = eth + 14;
    uint8_t* udp = ip + 20;
    const uint32_t length = static_cast<uint32_t>(payload) + 8;
    put16(eth, 0x0200), put32(eth + 2, to.ip);
    put16(eth + 6, 0x0200), put32(eth + 8, from.ip);
    put16(eth + 12, 0x0800);
    put16(ip, 0x4500), put16(ip + 2, 20 + length);
    put16(ip + 4, id), put16(ip + 6, 0x4000);  // do not fragment
    put16(ip + 8, static_cast<uint32_t>(ttl) << 8 | 17), put16(ip + 10, 0);
    put32(ip + 12, from.ip), put32(ip + 16, to.ip);
    put16(ip + 10, ~fold(sum16(ip, 20)) & 0xffff);
    put16(udp, from.port), put16(udp + 2, to.port);
    put16(udp + 4, length), put16(udp + 6, 0);
    const uint32_t sum = ~udp_sum(frame, length) & 0xffff;
    put16(udp + 6, sum ? sum : 0xffff);
    frame.size = static_cast<uint32_t>(kHeadroom + payload);
}

struct Unwrapped {
    Endpoint from, to;
    uint32_t payload = 0;  // bytes at data + kHeadroom
    uint8_t ttl = 0;
};

// Reads the headers of a frame that the pipeline gave; false if anything in them is wrong. A UDP
// checksum of zero (none) is right in IPv4.
inline bool unwrap(const Frame& frame, Unwrapped& out) {
    const uint8_t* ip = frame.data + 14;
    const uint8_t* udp = ip + 20;
    if (frame.size < kHeadroom || get16(frame.data + 12) != 0x0800) return false;
    if (ip[0] != 0x45 || ip[9] != 17 || fold(sum16(ip, 20)) != 0xffff) return false;
    const uint32_t length = get16(udp + 4);
    if (length < 8 || get16(ip + 2) != 20 + length || 34 + length > frame.size) return false;
    if (get16(udp + 6) && udp_sum(frame, length) != 0xffff) return false;
    out.from = {get32(ip + 12), static_cast<uint16_t>(get16(udp))};
    out.to = {get32(ip + 16), static_cast<uint16_t>(get16(udp + 2))};
    out.payload = length - 8;
    out.ttl = ip[8];
    return true;
}
