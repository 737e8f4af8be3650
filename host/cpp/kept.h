// SPDX-FileCopyrightText: 2026 midwire contributors
// SPDX-License-Identifier: Apache-2.0
//
// Results that have left, for as long as the next hop may ask for fragments of them (rule W8 of
// hw/formats/wire.py): copies of their frames, whichever datapath made them. Tests cite these rules as K1 to K6:
//
// K1. A question is a message MISSING that passes on its way from the next hop of a result to the sender in whose
//     name that left: both addresses and ports, request, model, tenant, epoch and cursor must be the result's.
//     Any other one passes, as everything that is not to our address.
// K2. An answer is the fragments that are asked for, as they were, to where the result went. What is asked for
//     twice before it has left, leaves once; what has not left for the first time yet is on its way. Of one
//     result, `kAskedTimes` times as many fragments leave as it has, and a group more; what goes beyond passes on.
// K3. Who asks for the first fragment and says no size (nothing has come) gets it flagged `resend`: whoever gets
//     it asks for the others.
// K4. A result is kept for `timeout_us` (0: for ever), and `kMostResults` of `kMostBytes` in all. The oldest of
//     the source that holds most gives way (an IPv4 address, or the first 64 bits of an IPv6 address), so that
//     no flood of one source costs others theirs.
// K5. What is no longer kept is zeroed.
// K6. Kept is what the datapath says it has made (m_axis_tid of hw/nic/top.py). It says so of what it sends on with
//     other addresses, too, and that may claim to be a result of ours: so where something came in as a result,
//     nothing is kept under its name for as long as it may be on its way out (LatestNames).

#pragma once

#include <algorithm>
#include <deque>
#include <list>
#include <map>
#include <set>
#include <tuple>
#include <utility>
#include <vector>

#include "kept_names.h"
#include "kept_tensor.h"

class KeptResults {
public:
    static constexpr size_t kMostResults = 1024, kMostBytes = 16 << 20;
    static constexpr size_t kAskedTimes = 2;  // ASKED_TIMES of host/wire/sent.py

    size_t size() const { return by_age_.size(); }
    size_t bytes() const { return bytes_; }
    // Something that was asked for is to leave.
    bool asked() const { return !asked_.empty(); }

    // A frame that leaves, which the datapath has made: kept if it is a fragment of a result. Those of a tensor
    // leave in order, and the first one says how much room they take.
    void keep(const Frame& frame, Micros now) {
        Headers headers;
        const uint8_t* const header = midwire_header(frame, headers);
        if (!header || !is_result(header)) return;
        const ResultName name(header, sender_of(frame, headers), headers.ipv6);
        const Fragment fragment(header);
        auto found = by_name_.find(name);
        const bool exists = found != by_name_.end(), again = exists && !fragment.index && found->second->begun(fragment);
        const bool foreign = incoming_.has(name);
        if (exists && (again || foreign)) drop(found->second);
        if (foreign) return;
        if (!fragment.index) begin(name, receiver_of(frame, headers), fragment, frame.size);
        found = by_name_.find(name);
        if (found != by_name_.end()) store(found->second, fragment, frame, now);
    }

    // K4: when the oldest one is no longer kept; kNever.
    Micros due(Micros timeout) const {
        return by_age_.empty() || !timeout ? kNever : by_age_.front().latest + timeout;
    }
    void expire(Micros timeout, Micros now) {
        while (due(timeout) <= now) drop(by_age_.begin());
    }

    // Looks at a frame that comes in, before the datapath does (K6). Whether it is a question that is answered
    // here (K1, K2), where the NIC is `enabled`.
    bool takes(const Frame& frame, bool enabled) {
        Headers headers;
        const uint8_t* const header = midwire_header(frame, headers);
        if (!header) return false;
        if (is_result(header)) return incoming_.note({header, sender_of(frame, headers), headers.ipv6}), false;
        if (!enabled || by_age_.empty() || get_field(header, mw::field::message_type) != mw::kMissing) return false;
        const size_t size = udp_length(frame, headers) - 8;
        if (size != mw::kHeaderBytes + kBitmap || !well_formed(frame, headers) || !udp_right(frame, headers)) return false;
        if (fault_of(header, size) != Fault::other_type) return false;
        const auto found = by_name_.find({header, receiver_of(frame, headers), headers.ipv6});
        return found != by_name_.end() && sender_of(frame, headers) == found->second->hop && want(found->second, header);
    }

    // The next fragment that was asked for, as a frame that leaves at `now`.
    void take(Frame& frame, Micros now) {
        Kept& kept = *asked_.front();
        const Wanted next = *kept.wanted.begin();
        kept.wanted.erase(kept.wanted.begin());
        if (kept.wanted.empty()) asked_.pop_front();
        Micros left = 0;
        kept.tensors[next.tensor].copy(next.index, frame, left);
        Headers headers;
        HeaderReader(frame, kAnybody).read(headers);
        uint8_t* const header = frame.data + headers.header_at();
        const uint64_t deadline = get_field(header, mw::field::deadline_us), used = now - left;
        put_field(header, mw::field::deadline_us, deadline > used ? deadline - used : 0);
        if (next.first) put_field(header, mw::field::resend, 1);
        stamp_crc(header);
        stamp_udp_sum(frame, headers);
    }

private:
    static constexpr size_t kGroup = 64, kBitmap = kGroup / 8;

    struct Fragment {
        explicit Fragment(const uint8_t* header)
            : tensor(get_field(header, mw::field::tensor_index)),
              tensors(get_field(header, mw::field::source_count)),
              index(get_field(header, mw::field::fragment_index)),
              count(get_field(header, mw::field::fragment_count)) {}
        const size_t tensor, tensors, index, count;
    };
    struct Wanted {
        size_t tensor, index;
        bool first;  // nothing of the result has come (K3)
        bool operator<(const Wanted& other) const {
            return std::tie(tensor, index) < std::tie(other.tensor, other.index);
        }
    };
    struct Kept;
    using Place = std::list<Kept>::iterator;
    struct Source {
        size_t bytes = 0;
        std::list<Place> by_age;  // the oldest first
    };
    using Sources = std::map<IpAddress, Source>;
    struct Kept {
        ResultName name;
        Sender hop;  // where it went
        std::vector<KeptTensor> tensors;
        Micros latest = 0;  // when its latest fragment left
        size_t again = 0;   // fragments that have left because somebody asked
        std::set<Wanted> wanted;
        Sources::iterator source;
        std::list<Place>::iterator in_source;

        bool begun(const Fragment& fragment) const {
            return fragment.tensor < tensors.size() && tensors[fragment.tensor].count();
        }
        size_t allowance() const {
            size_t most = kGroup;
            for (const KeptTensor& tensor : tensors) most += kAskedTimes * tensor.count();
            return most - again;
        }
    };

    // The header of what may be midwire's, by any sender to anybody; nullptr.
    static const uint8_t* midwire_header(const Frame& frame, Headers& headers) {
        if (!HeaderReader(frame, kAnybody).read(headers)) return nullptr;
        const uint8_t* const header = frame.data + headers.header_at();
        const bool whole = headers.header_at() + mw::kHeaderBytes <= frame.size;
        return whole && get_field(header, mw::field::magic) == mw::kMagic ? header : nullptr;
    }
    static bool is_result(const uint8_t* header) {
        return get_field(header, mw::field::message_type) == mw::kTensor && get_field(header, mw::field::result) &&
               !get_field(header, mw::field::declined);
    }

    // Room for a tensor whose first fragment leaves, of a result that may have others already.
    void begin(const ResultName& name, const Sender& hop, const Fragment& fragment, size_t frame_bytes) {
        if (fragment.tensor >= fragment.tensors) return;
        const auto found = by_name_.find(name);
        const Place place = found == by_name_.end() ? open(name, hop, fragment.tensors) : found->second;
        const size_t held = place->source->second.bytes, bytes = KeptTensor::bytes_for(fragment.count, frame_bytes);
        if (place->tensors.size() != fragment.tensors || bytes > kMostBytes) return drop(place);
        place->tensors[fragment.tensor].begin(fragment.count, frame_bytes);
        bytes_ += bytes;
        weigh(place->source, held + bytes);
        while (size() > kMostResults || bytes_ > kMostBytes) drop(by_weight_.rbegin()->second->second.by_age.front());
    }
    Place open(const ResultName& name, const Sender& hop, size_t tensors) {
        const Place place = by_age_.emplace(by_age_.end());
        place->name = name;
        place->hop = hop;
        place->tensors.resize(tensors);
        place->source = sources_.try_emplace(name.source()).first;
        std::list<Place>& its = place->source->second.by_age;
        place->in_source = its.insert(its.end(), place);
        by_name_[name] = place;
        return place;
    }
    void store(Place place, const Fragment& fragment, const Frame& frame, Micros now) {
        if (!place->begun(fragment) || !place->tensors[fragment.tensor].append(fragment.index, fragment.count, frame, now))
            return;
        place->latest = now;
        by_age_.splice(by_age_.end(), by_age_, place);
        std::list<Place>& its = place->source->second.by_age;
        its.splice(its.end(), its, place->in_source);
    }

    // Notes what leaves; false where that is not as W8 says, or too much.
    bool want(Place place, const uint8_t* question) {
        namespace field = mw::field;
        const Fragment asked(question);
        if (asked.tensor >= place->tensors.size() || asked.index % kGroup || get_field(question, field::offset) ||
            !get_field(question, field::last))
            return false;
        const KeptTensor& its = place->tensors[asked.tensor];
        if (asked.count != 1 && asked.count != its.count()) return false;
        const bool unheard = !get_field(question, field::total_bytes);
        const uint8_t* bitmap = question + mw::kHeaderBytes;
        std::vector<Wanted> found;
        bool any = false;
        for (size_t k = 0; k < kGroup; ++k) {
            if (!(bitmap[k / 8] & 0x80 >> k % 8)) continue;
            if (asked.index + k >= asked.count) return false;
            any = true;
            if (asked.index + k < its.left()) found.push_back({asked.tensor, asked.index + k, unheard});
        }
        if (!any || found.size() > place->allowance()) return false;
        place->again += found.size();
        if (place->wanted.empty() && !found.empty()) asked_.push_back(place);
        place->wanted.insert(found.begin(), found.end());
        return true;
    }

    void drop(Place place) {
        const auto source = place->source;
        size_t bytes = 0;
        for (const KeptTensor& tensor : place->tensors) bytes += tensor.bytes();
        if (!place->wanted.empty()) asked_.erase(std::find(asked_.begin(), asked_.end(), place));
        bytes_ -= bytes;
        weigh(source, source->second.bytes - bytes);
        source->second.by_age.erase(place->in_source);
        if (source->second.by_age.empty()) sources_.erase(source);
        by_name_.erase(place->name);
        by_age_.erase(place);
    }

    void weigh(Sources::iterator source, size_t bytes) {
        size_t& its = source->second.bytes;
        if (its) by_weight_.erase({its, source});
        its = bytes;
        if (its) by_weight_.insert({its, source});
    }
    struct Lighter {
        bool operator()(const std::pair<size_t, Sources::iterator>& a, const std::pair<size_t, Sources::iterator>& b) const {
            return std::tie(a.first, a.second->first) < std::tie(b.first, b.second->first);
        }
    };

    LatestNames incoming_;    // of results that came in
    std::list<Kept> by_age_;  // the oldest first
    std::map<ResultName, Place> by_name_;
    Sources sources_;
    std::set<std::pair<size_t, Sources::iterator>, Lighter> by_weight_;  // sources by what is held of them
    std::deque<Place> asked_;  // of which something is to leave; each once
    size_t bytes_ = 0;
};
