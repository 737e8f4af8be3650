// SPDX-FileCopyrightText: 2026 midwire contributors
// SPDX-License-Identifier: Apache-2.0
//
// Where the headers of a frame are that is to our address (rules A1 and A3 of hw/nic/classify.py), and
// whether they agree with each other and the frame (P3 and P4 of hw/nic/parser.py).

#pragma once

#include <cstring>

#include "formats.h"
#include "frame.h"

// Who sends: an IP address and a UDP port.
struct Sender {
    IpAddress ip;
    uint16_t port = 0;
    bool operator==(const Sender& other) const { return ip == other.ip && port == other.port; }
};

// What frames for us say. An IPv4 address of 0 is any; IPv6 is for us only where we have an address.
struct OurAddress {
    uint32_t ip = 0;
    uint16_t port = 0;
    IpAddress ip6;
    bool every = false;  // whichever address and port
};
inline const OurAddress kAnybody{0, 0, {}, true};

struct Headers {
    size_t tags = 0;
    bool ipv6 = false;
    size_t udp_at = 0;
    bool unread = false;  // not to our address for all that is known: too much would have to be read

    size_t ip_at() const { return 14 + 4 * tags; }
    size_t header_at() const { return udp_at + 8; }  // midwire's
    const uint8_t* source(const uint8_t* data) const { return data + ip_at() + (ipv6 ? 8 : 12); }
    const uint8_t* destination(const uint8_t* data) const { return source(data) + (ipv6 ? 16 : 4); }
};

// Reads the headers of one frame. False where it is not to our address.
class HeaderReader {
public:
    HeaderReader(const Frame& frame, const OurAddress& our) : data_(frame.data), size_(frame.size), our_(our) {}

    bool read(Headers& out) const {
        while (out.tags < mw::kMaxTags && is_tag(out.ip_at() - 2)) ++out.tags;
        const size_t type_at = out.ip_at() - 2;
        if (!has(type_at, 2)) return false;
        const uint32_t type = get16(data_ + type_at);
        if (type != mw::kEthertypeIpv4 && type != mw::kEthertypeIpv6) return false;
        out.ipv6 = type == mw::kEthertypeIpv6;
        return (out.ipv6 ? read_ipv6(out) : read_ipv4(out)) && has(out.udp_at, 8) &&
               (our_.every || get16(data_ + out.udp_at + 2) == our_.port);
    }

private:
    bool has(size_t at, size_t size) const { return at + size <= size_; }
    bool is_tag(size_t at) const {
        return has(at, 2) &&
               (get16(data_ + at) == mw::kEthertypeVlan || get16(data_ + at) == mw::kEthertypeServiceVlan);
    }

    bool read_ipv4(Headers& out) const {
        const uint8_t* ip = data_ + out.ip_at();
        if (!has(out.ip_at(), mw::kMinIpv4Bytes)) return false;
        const size_t bytes = 4 * (ip[0] & 15);
        out.udp_at = out.ip_at() + bytes;
        return ip[0] >> 4 == 4 && bytes >= mw::kMinIpv4Bytes && !(get16(ip + 6) & 0x3fff) &&
               ip[9] == mw::kProtocolUdp && (our_.every || !our_.ip || get32(ip + 16) == our_.ip);
    }

    bool read_ipv6(Headers& out) const {
        const uint8_t* ip = data_ + out.ip_at();
        if ((!our_.every && !our_.ip6.any()) || !has(out.ip_at(), mw::kIpv6Bytes) || ip[0] >> 4 != 6) return false;
        uint8_t kind = ip[6];
        if (!known(kind) && kind != mw::kHopByHop) return false;
        if (!our_.every && IpAddress::at(ip + 24, true) != our_.ip6) return false;
        out.udp_at = out.ip_at() + mw::kIpv6Bytes;
        while (kind != mw::kProtocolUdp) {
            const uint8_t* extension = data_ + out.udp_at;
            if (!has(out.udp_at, 2) || !known(extension[0])) return false;
            const size_t end = out.udp_at + 8 + 8 * size_t{extension[1]};
            if (end + 8 > mw::kHeadersWithin) return out.unread = true, false;
            if (kind == mw::kRouting && (!has(out.udp_at, 4) || extension[3])) return false;
            kind = extension[0];
            out.udp_at = end;
        }
        return true;
    }

    // Of what may follow an extension header.
    static bool known(uint8_t kind) {
        return kind == mw::kProtocolUdp || kind == mw::kRouting || kind == mw::kDestinationOptions;
    }

    const uint8_t* data_;
    const size_t size_;
    const OurAddress our_;
};

inline Sender sender_of(const Frame& frame, const Headers& headers) {
    return {IpAddress::at(headers.source(frame.data), headers.ipv6),
            static_cast<uint16_t>(get16(frame.data + headers.udp_at))};
}
inline Sender receiver_of(const Frame& frame, const Headers& headers) {
    return {IpAddress::at(headers.destination(frame.data), headers.ipv6),
            static_cast<uint16_t>(get16(frame.data + headers.udp_at + 2))};
}

inline uint32_t udp_length(const Frame& frame, const Headers& headers) { return get16(frame.data + headers.udp_at + 4); }

// Whether IPv4's checksum and the lengths of IP, UDP and the frame are right (P3).
inline bool well_formed(const Frame& frame, const Headers& headers) {
    const uint8_t* ip = frame.data + headers.ip_at();
    const uint32_t length = udp_length(frame, headers);
    const size_t total = headers.ipv6 ? mw::kIpv6Bytes + get16(ip + 4) : get16(ip + 2);
    if (!headers.ipv6 && fold(sum16(ip, headers.udp_at - headers.ip_at())) != 0xffff) return false;
    return length >= 8 && headers.ip_at() + total == headers.udp_at + length && headers.ip_at() + total <= frame.size;
}

// Sum over pseudo header, UDP header and payload; 0xffff where the checksum inside is right.
inline uint32_t udp_sum(const Frame& frame, const Headers& headers) {
    const uint32_t length = udp_length(frame, headers);
    const uint32_t pseudo = sum16(headers.source(frame.data), headers.ipv6 ? 32 : 8, mw::kProtocolUdp + length);
    return fold(sum16(frame.data + headers.udp_at, length, pseudo));
}

// Whether the UDP checksum is right; 0 is none in IPv4, and wrong in IPv6 (P4).
inline bool udp_right(const Frame& frame, const Headers& headers) {
    return get16(frame.data + headers.udp_at + 6) ? udp_sum(frame, headers) == 0xffff : !headers.ipv6;
}

inline void stamp_udp_sum(Frame& frame, const Headers& headers) {
    uint8_t* const at = frame.data + headers.udp_at + 6;
    put16(at, 0);
    const uint32_t sum = ~udp_sum(frame, headers) & 0xffff;
    put16(at, sum ? sum : 0xffff);  // 0 would be none
}
