// SPDX-FileCopyrightText: 2026 midwire contributors
// SPDX-License-Identifier: Apache-2.0
//
// What is kept of a frame that is ours, when its fragment has gone into a slot: ORIGIN of hw/nic/bus.py;
// and what its header says of its fragment, read once.

#pragma once

#include "clock.h"
#include "header.h"

inline Endpoint sender_of(const Frame& frame) {
    return {get32(frame.data + 26), static_cast<uint16_t>(get16(frame.data + 34))};
}

struct Origin {
    uint64_t src_mac = 0;
    uint32_t dst_ip = 0;
    Endpoint sender;
    uint8_t tos = 0, ttl = 0;
    Micros stamp = 0;  // of its arrival
    uint8_t header[mw::kHeaderBytes] = {};
};

inline Origin origin_of(const Frame& frame, Micros now) {
    Origin out{mac_at(frame.data + 6), get32(frame.data + 30), sender_of(frame), frame.data[15], frame.data[22], now};
    std::memcpy(out.header, frame.data + kHeaderAt, mw::kHeaderBytes);
    return out;
}

struct Fragment {
    explicit Fragment(const Frame& frame)
        : frame(frame),
          request(get_field(header(), mw::field::request_id)),
          sender(sender_of(frame)),
          tensor(get_field(header(), mw::field::tensor_index)),
          index(get_field(header(), mw::field::fragment_index)),
          count(get_field(header(), mw::field::fragment_count)),
          offset(get_field(header(), mw::field::offset)),
          bytes(get16(frame.data + 38) - 8 - mw::kHeaderBytes),
          last(get_field(header(), mw::field::last)),
          resend(get_field(header(), mw::field::resend)) {}

    const uint8_t* header() const { return frame.data + kHeaderAt; }
    const uint8_t* payload() const { return frame.data + kPayloadAt; }

    const Frame& frame;
    const uint64_t request;
    const Endpoint sender;
    const size_t tensor, index, count, offset, bytes;
    const bool last, resend;
};
