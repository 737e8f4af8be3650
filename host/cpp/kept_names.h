// SPDX-FileCopyrightText: 2026 midwire contributors
// SPDX-License-Identifier: Apache-2.0
//
// What names a result: the request, and all of the header and addresses that makes it this one and no other.

#pragma once

#include <array>
#include <cstring>
#include <deque>
#include <map>

#include "header.h"
#include "headers.h"

class ResultName {
public:
    ResultName() = default;
    // By the header of a fragment, or of a question for some; `sender`: in whose name the result leaves.
    ResultName(const uint8_t* header, const Sender& sender, bool ipv6) {
        namespace field = mw::field;
        uint8_t* to = bytes_.data();
        for (const mw::Field each : {field::request_id, field::model_hash, field::tenant, field::cursor, field::slice_count,
                                     field::epoch}) {
            std::memcpy(to, header + each.offset / 8, each.bits / 8);  // whole bytes, all of them
            to += each.bits / 8;
        }
        std::memcpy(to, sender.ip.bytes.data(), 16);
        put16(to + 16, sender.port);
        to[18] = ipv6;
    }

    // Who holds what is kept of it: the address, or the network of an IPv6 one, behind which whoever has one has all.
    IpAddress source() const {
        IpAddress out;
        std::memcpy(out.bytes.data(), bytes_.data() + kIpAt, 16);
        if (bytes_[kIpAt + 18]) std::fill(out.bytes.begin() + 8, out.bytes.end(), uint8_t{0});
        return out;
    }

    bool operator<(const ResultName& other) const {
        return std::memcmp(bytes_.data(), other.bytes_.data(), kBytes) < 0;
    }
    bool operator==(const ResultName& other) const { return bytes_ == other.bytes_; }

private:
    static constexpr size_t kIpAt = 8 + 8 + 2 + 1 + 1 + 2, kBytes = kIpAt + 16 + 2 + 1;

    std::array<uint8_t, kBytes> bytes_{};
};

// Names that were seen lately: so many at least as there is room for frames in front of a datapath and in it.
class LatestNames {
public:
    static constexpr size_t kMost = 4096;

    void note(const ResultName& name) {
        if (!order_.empty() && order_.back()->first == name) return;
        const auto place = counts_.try_emplace(name, 0).first;
        ++place->second;
        order_.push_back(place);
        if (order_.size() <= kMost) return;
        const auto oldest = order_.front();
        order_.pop_front();
        if (!--oldest->second) counts_.erase(oldest);
    }
    bool has(const ResultName& name) const { return !counts_.empty() && counts_.count(name); }

private:
    std::map<ResultName, size_t> counts_;  // how often each is in `order_`
    std::deque<std::map<ResultName, size_t>::iterator> order_;
};
