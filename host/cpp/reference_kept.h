// SPDX-FileCopyrightText: 2026 midwire contributors
// SPDX-License-Identifier: Apache-2.0
//
// Results that have left, for as long as the next hop may ask for fragments of them (rule W8 of
// hw/formats/wire.py). Tests cite these rules as K1 to K5:
//
// K1. A question is a message MISSING that passes on its way from the next hop of a result to the sender in whose
//     name that left: both addresses and ports, request, model, tenant, epoch and cursor must be the result's.
//     Any other one passes, as everything that is not to our address.
// K2. An answer is the fragments that are asked for, as they were, to where the result went. What is asked for
//     twice before it has left, leaves once. Of one result, `kAskedTimes` times as many fragments leave as it
//     has, and a group more; what goes beyond passes on.
// K3. Who asks for the first fragment and says no size (nothing has come) gets it flagged `resend`: whoever gets
//     it asks for the others.
// K4. A result is kept for `timeout_us` (0: for ever), and `kMostResults` of `kMostBytes` in all. The oldest of
//     the source that holds most gives way (an IPv4 address, or the first 64 bits of an IPv6 address), so that
//     no flood of one source costs others theirs.
// K5. What is no longer kept is zeroed.

#pragma once

#include <deque>
#include <list>
#include <map>
#include <set>
#include <string.h>
#include <tuple>

#include "reference_results.h"

class KeptResults {
public:
    static constexpr size_t kMostResults = 1024, kMostBytes = 16 << 20;
    static constexpr size_t kAskedTimes = 2;  // ASKED_TIMES of host/wire/sent.py

    KeptResults(const Registers& registers, const std::vector<size_t>& sizes) : registers_(registers), sizes_(sizes) {}

    size_t size() const { return by_age_.size(); }
    size_t bytes() const { return bytes_; }
    // Something that was asked for is to leave.
    bool asked() const { return !asked_.empty(); }

    void keep(Result&& result, Micros now) {
        if (result.bytes.size() > kMostBytes) return wipe(result);
        const Key key = key_of(result.origin);
        if (const auto found = by_key_.find(key); found != by_key_.end()) drop(found->second);
        size_t pieces = 0;
        for (size_t total : sizes_) pieces += result.pieces(total);
        bytes_ += result.bytes.size();
        of_source_[source_of(result.origin)] += result.bytes.size();
        by_age_.push_back({std::move(result), now, kAskedTimes * pieces + kGroup, {}});
        by_key_[key] = std::prev(by_age_.end());
        while (size() > kMostResults || bytes_ > kMostBytes) give_way();
    }

    // K4: when the oldest one is no longer kept; kNever.
    Micros due() const {
        const Micros lifetime = registers_[mw::reg::timeout_us];
        return by_age_.empty() || !lifetime ? kNever : by_age_.front().left + lifetime;
    }
    void expire(Micros now) {
        while (due() <= now) drop(by_age_.begin());
    }

    // Whether a frame that is not to our address is a question that is answered here (K1, K2).
    bool answers(const Frame& frame) {
        Headers headers;
        if (by_age_.empty() || !HeaderReader(frame, {0, 0, {}, true}).read(headers)) return false;
        if (!well_formed(frame, headers) || udp_length(frame, headers) != 8 + mw::kHeaderBytes + kBitmap) return false;
        const uint8_t* header = frame.data + headers.header_at();
        if (fault_of(header, mw::kHeaderBytes) != Fault::other_type || !udp_right(frame, headers)) return false;
        if (get_field(header, mw::field::message_type) != mw::kMissing) return false;
        const Sender to{IpAddress::at(headers.destination(frame.data), headers.ipv6),
                        static_cast<uint16_t>(get16(frame.data + headers.udp_at + 2))};
        const auto found = by_key_.find({get_field(header, mw::field::request_id), to.ip, to.port});
        if (found == by_key_.end()) return false;
        Kept& kept = *found->second;
        return is_of(kept.result, headers.ipv6, sender_of(frame, headers), header) && want(kept, found->first, header);
    }

    // The next fragment that was asked for, as Results::take.
    size_t take(Frame& frame, Origin& origin) {
        Kept& kept = *by_key_.at(asked_.front());
        const Wanted next = *kept.wanted.begin();
        kept.wanted.erase(kept.wanted.begin());
        if (kept.wanted.empty()) asked_.pop_front();
        origin = kept.result.origin;
        size_t begin = 0;
        for (size_t tensor = 0; tensor < next.tensor; ++tensor) begin += sizes_[tensor];
        const Piece piece{next.tensor, sizes_[next.tensor], begin, next.index * kept.result.step(sizes_[next.tensor])};
        const size_t bytes = kept.result.write(frame, piece, sizes_.size());
        if (next.first) put_field(frame.data + kHeaderAt, mw::field::resend, 1);
        return bytes;
    }

private:
    static constexpr size_t kGroup = 64, kBitmap = kGroup / 8;

    struct Key {
        uint64_t request;
        IpAddress ip;
        uint16_t port;
        bool operator<(const Key& other) const {
            return std::tie(request, ip, port) < std::tie(other.request, other.ip, other.port);
        }
        bool operator==(const Key& other) const { return !(*this < other) && !(other < *this); }
    };
    struct Wanted {
        size_t tensor, index;
        bool first;  // nothing of the result has come (K3)
        bool operator<(const Wanted& other) const {
            return std::tie(tensor, index) < std::tie(other.tensor, other.index);
        }
    };
    struct Kept {
        Result result;
        Micros left;       // when it did
        size_t allowance;  // fragments that still leave because somebody asks
        std::set<Wanted> wanted;
    };
    using Place = std::list<Kept>::iterator;

    static Key key_of(const Origin& origin) {
        return {get_field(origin.header, mw::field::request_id), origin.sender.ip, origin.sender.port};
    }
    static IpAddress source_of(const Origin& origin) {
        IpAddress out = origin.sender.ip;
        if (origin.ipv6) std::fill(out.bytes.begin() + 8, out.bytes.end(), uint8_t{0});
        return out;
    }

    static bool is_of(const Result& result, bool ipv6, const Sender& from, const uint8_t* question) {
        namespace field = mw::field;
        const Origin& origin = result.origin;
        const auto alike = [&](mw::Field name) { return get_field(question, name) == get_field(origin.header, name); };
        return ipv6 == origin.ipv6 && from == Sender{origin.hop.ip, origin.hop.port} && alike(field::model_hash) &&
               alike(field::tenant) && alike(field::epoch) && alike(field::slice_count) &&
               get_field(question, field::cursor) == get_field(origin.header, field::cursor) + 1;
    }

    // Notes what leaves; false where that is nothing, or not as W8 says, or too much.
    bool want(Kept& kept, const Key& key, const uint8_t* question) {
        namespace field = mw::field;
        const size_t tensor = get_field(question, field::tensor_index), first = get_field(question, field::fragment_index);
        const size_t count = get_field(question, field::fragment_count);
        if (tensor >= sizes_.size() || first % kGroup || get_field(question, field::offset) ||
            !get_field(question, field::last))
            return false;
        const size_t pieces = kept.result.pieces(sizes_[tensor]);
        const bool unheard = !get_field(question, field::total_bytes);
        if (count != pieces && count != 1) return false;
        std::vector<Wanted> found;
        const uint8_t* bitmap = question + mw::kHeaderBytes;
        for (size_t k = 0; k < kGroup; ++k) {
            if (!(bitmap[k / 8] & 0x80 >> k % 8)) continue;
            if (first + k >= count) return false;
            found.push_back({tensor, first + k, unheard});
        }
        if (found.empty() || found.size() > kept.allowance) return false;
        kept.allowance -= found.size();
        if (kept.wanted.empty()) asked_.push_back(key);
        kept.wanted.insert(found.begin(), found.end());
        return true;
    }

    void give_way() {
        const auto most = std::max_element(of_source_.begin(), of_source_.end(),
                                           [](const auto& a, const auto& b) { return a.second < b.second; });
        drop(std::find_if(by_age_.begin(), by_age_.end(),
                          [&](const Kept& kept) { return source_of(kept.result.origin) == most->first; }));
    }
    void drop(Place place) {
        Result& result = place->result;
        const Key key = key_of(result.origin);
        if (!place->wanted.empty()) asked_.erase(std::find(asked_.begin(), asked_.end(), key));
        const auto source = of_source_.find(source_of(result.origin));
        if (!(source->second -= result.bytes.size())) of_source_.erase(source);
        bytes_ -= result.bytes.size();
        wipe(result);
        by_key_.erase(key);
        by_age_.erase(place);
    }

    static void wipe(Result& result) { explicit_bzero(result.bytes.data(), result.bytes.size()); }

    const Registers& registers_;
    const std::vector<size_t>& sizes_;
    std::list<Kept> by_age_;  // the oldest first
    std::map<Key, Place> by_key_;
    std::map<IpAddress, size_t> of_source_;  // bytes of each
    std::deque<Key> asked_;                  // of which something is to leave; each once
    size_t bytes_ = 0;
};
