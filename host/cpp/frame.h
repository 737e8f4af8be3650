// SPDX-FileCopyrightText: 2026 midwire contributors
// SPDX-License-Identifier: Apache-2.0
//
// Ethernet, IPv4 or IPv6, and UDP around a datagram, and off again.
//
// A UDP socket hides the headers that the pipeline parses, so they are put back from the socket's
// addresses. MAC addresses are made up (02:00 and the IP address, folded to 32 bits); the pipeline does not
// match them.

#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>

constexpr size_t ip_bytes(bool ipv6) { return ipv6 ? 40 : 20; }
constexpr size_t headroom(bool ipv6) { return 14 + ip_bytes(ipv6) + 8; }
constexpr size_t max_payload(bool ipv6) { return 9000 - ip_bytes(ipv6) - 8; }  // of a jumbo frame
constexpr size_t kMaxFrame = 14 + 2 * 4 + 9000;  // with two VLAN tags

struct Frame {
    uint32_t size = 0;
    bool made = false;  // by a datapath, and not just passed on; said of each frame when it is put into a queue
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
inline uint64_t mac_at(const uint8_t* at) { return static_cast<uint64_t>(get16(at)) << 32 | get32(at + 2); }

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

// An IP address in network order; an IPv4 one has the last 4 bytes.
struct IpAddress {
    std::array<uint8_t, 16> bytes{};

    static IpAddress at(const uint8_t* data, bool ipv6) {
        IpAddress out;
        std::memcpy(out.bytes.data() + (ipv6 ? 0 : 12), data, ipv6 ? 16 : 4);
        return out;
    }
    static IpAddress of(uint32_t ipv4) {
        IpAddress out;
        put32(out.bytes.data() + 12, ipv4);
        return out;
    }
    uint32_t ipv4() const { return get32(bytes.data() + 12); }
    // Its 32-bit words, XORed: an IPv4 address is itself.
    uint32_t folded() const {
        uint32_t out = 0;
        for (size_t at = 0; at < bytes.size(); at += 4) out ^= get32(bytes.data() + at);
        return out;
    }
    bool any() const { return *this != IpAddress{}; }
    bool operator==(const IpAddress& other) const { return bytes == other.bytes; }
    bool operator!=(const IpAddress& other) const { return bytes != other.bytes; }
    bool operator<(const IpAddress& other) const { return bytes < other.bytes; }
};

// An IP address and a UDP port.
struct Endpoint {
    IpAddress ip;
    uint16_t port = 0;
    bool ipv6 = false;
    bool operator==(const Endpoint& other) const {
        return ip == other.ip && port == other.port && ipv6 == other.ipv6;
    }
};

// Sum over the UDP pseudo header, header and payload, behind the simplest headers; 0xffff where the checksum
// inside is right.
inline uint32_t plain_udp_sum(const Frame& frame, bool ipv6, uint32_t length) {
    const uint32_t pseudo = ipv6 ? sum16(frame.data + 22, 32, 17 + length) : sum16(frame.data + 26, 8, 17 + length);
    return fold(sum16(frame.data + 14 + ip_bytes(ipv6), length, pseudo));
}

constexpr uint8_t kTtl = 64;  // time to live of what we send ourselves: hops that IP allows it

// Writes an IPv4 header without options, which may not be cut into fragments, for so many bytes of UDP.
inline void put_ipv4(uint8_t* ip, uint32_t udp_length, uint32_t from, uint32_t to, uint16_t id, uint8_t tos,
                     uint8_t ttl) {
    put16(ip, 0x4500u | tos), put16(ip + 2, 20 + udp_length);
    put16(ip + 4, id), put16(ip + 6, 0x4000);
    put16(ip + 8, static_cast<uint32_t>(ttl) << 8 | 17), put16(ip + 10, 0);
    put32(ip + 12, from), put32(ip + 16, to);
    put16(ip + 10, ~fold(sum16(ip, 20)) & 0xffff);
}

// Writes an IPv6 header without extensions and with flow label 0, for so many bytes of UDP.
inline void put_ipv6(uint8_t* ip, uint32_t udp_length, const IpAddress& from, const IpAddress& to,
                     uint8_t traffic_class, uint8_t hop_limit) {
    put16(ip, 0x6000u | static_cast<uint32_t>(traffic_class) << 4), put16(ip + 2, 0);
    put16(ip + 4, udp_length);
    ip[6] = 17, ip[7] = hop_limit;
    std::memcpy(ip + 8, from.bytes.data(), 16), std::memcpy(ip + 24, to.bytes.data(), 16);
}

// Writes the headers in front of a payload that already lies behind their room, in the IP version of `from`.
inline void wrap(Frame& frame, size_t payload, Endpoint from, Endpoint to, uint16_t id, uint8_t ttl = kTtl) {
    uint8_t* eth = frame.data;
    uint8_t* ip = eth + 14;
    uint8_t* udp = ip + ip_bytes(from.ipv6);
    const uint32_t length = static_cast<uint32_t>(payload) + 8;
    put16(eth, 0x0200), put32(eth + 2, to.ip.folded());
    put16(eth + 6, 0x0200), put32(eth + 8, from.ip.folded());
    put16(eth + 12, from.ipv6 ? 0x86dd : 0x0800);
    if (from.ipv6) put_ipv6(ip, length, from.ip, to.ip, 0, ttl);
    else put_ipv4(ip, length, from.ip.ipv4(), to.ip.ipv4(), id, 0, ttl);
    put16(udp, from.port), put16(udp + 2, to.port);
    put16(udp + 4, length), put16(udp + 6, 0);
    const uint32_t sum = ~plain_udp_sum(frame, from.ipv6, length) & 0xffff;
    put16(udp + 6, sum ? sum : 0xffff);
    frame.size = static_cast<uint32_t>(headroom(from.ipv6) + payload);
}

struct Unwrapped {
    Endpoint from, to;
    uint32_t payload = 0;  // bytes behind the headers
    uint8_t ttl = 0;
};

// Reads the headers of a frame that the pipeline gave; false if anything in them is wrong. A UDP
// checksum of zero (none) is right in IPv4.
inline bool unwrap(const Frame& frame, Unwrapped& out) {
    const uint8_t* ip = frame.data + 14;
    const bool ipv6 = get16(frame.data + 12) == 0x86dd;
    const uint8_t* udp = ip + ip_bytes(ipv6);
    if (frame.size < headroom(ipv6) || (!ipv6 && get16(frame.data + 12) != 0x0800)) return false;
    if (ipv6 ? ip[0] >> 4 != 6 || ip[6] != 17 : ip[0] != 0x45 || ip[9] != 17 || fold(sum16(ip, 20)) != 0xffff)
        return false;
    const uint32_t length = get16(udp + 4), whole = ipv6 ? get16(ip + 4) + 40 : get16(ip + 2);
    if (length < 8 || whole != ip_bytes(ipv6) + length || 14 + whole > frame.size) return false;
    const bool none = !get16(udp + 6);
    if (none ? ipv6 : plain_udp_sum(frame, ipv6, length) != 0xffff) return false;
    const uint8_t* addresses = ip + (ipv6 ? 8 : 12);
    out.from = {IpAddress::at(addresses, ipv6), static_cast<uint16_t>(get16(udp)), ipv6};
    out.to = {IpAddress::at(addresses + (ipv6 ? 16 : 4), ipv6), static_cast<uint16_t>(get16(udp + 2)), ipv6};
    out.payload = length - 8;
    out.ttl = ip[ipv6 ? 7 : 8];
    return true;
}
