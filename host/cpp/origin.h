// SPDX-FileCopyrightText: 2026 midwire contributors
// SPDX-License-Identifier: Apache-2.0
//
// What is kept of a frame that is ours, when its fragment has gone into a slot: ORIGIN of hw/nic/bus.py;
// and what its header says of its fragment, read once.

#pragma once

#include "clock.h"
#include "header.h"
#include "headers.h"

// Where what leaves goes.
struct Hop {
    uint64_t mac = 0;
    IpAddress ip;
    uint16_t port = 0;
};

struct Origin {
    uint64_t src_mac = 0;
    size_t tags = 0;
    uint8_t tag_bytes[4 * mw::kMaxTags] = {};  // type and TCI of each, the outer one first
    bool ipv6 = false;
    IpAddress dst_ip;
    Sender sender;
    uint8_t tos = 0, ttl = 0;  // IPv6: traffic class and hop limit
    Micros stamp = 0;          // of its arrival
    uint8_t header[mw::kHeaderBytes] = {};
    Hop hop;  // of what comes of it
};

inline Origin origin_of(const Frame& frame, const Headers& headers, Micros now, const Hop& hop) {
    const uint8_t* ip = frame.data + headers.ip_at();
    Origin out;
    out.src_mac = mac_at(frame.data + 6);
    out.tags = headers.tags;
    std::memcpy(out.tag_bytes, frame.data + 12, 4 * headers.tags);
    out.ipv6 = headers.ipv6;
    out.dst_ip = IpAddress::at(headers.destination(frame.data), headers.ipv6);
    out.sender = sender_of(frame, headers);
    out.tos = headers.ipv6 ? static_cast<uint8_t>(get16(ip) >> 4) : ip[1];
    out.ttl = headers.ipv6 ? ip[7] : ip[8];
    out.stamp = now;
    out.hop = hop;
    std::memcpy(out.header, frame.data + headers.header_at(), mw::kHeaderBytes);
    return out;
}

struct Fragment {
    Fragment(const Frame& frame, const Headers& headers)
        : frame(frame),
          headers(headers),
          request(get_field(header(), mw::field::request_id)),
          sender(sender_of(frame, headers)),
          tensor(get_field(header(), mw::field::tensor_index)),
          index(get_field(header(), mw::field::fragment_index)),
          count(get_field(header(), mw::field::fragment_count)),
          offset(get_field(header(), mw::field::offset)),
          bytes(udp_length(frame, headers) - 8 - mw::kHeaderBytes),
          last(get_field(header(), mw::field::last)),
          resend(get_field(header(), mw::field::resend)) {}

    const uint8_t* header() const { return frame.data + headers.header_at(); }
    const uint8_t* payload() const { return header() + mw::kHeaderBytes; }

    const Frame& frame;
    const Headers headers;
    const uint64_t request;
    const Sender sender;
    const size_t tensor, index, count, offset, bytes;
    const bool last, resend;
};
