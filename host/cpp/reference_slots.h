// SPDX-FileCopyrightText: 2026 midwire contributors
// SPDX-License-Identifier: Apache-2.0
//
// Requests that wait for fragments, for the reference or for their frames: a fixed number, fragments in
// any order. A request is named by its id and its sender's address and port.

#pragma once

#include <algorithm>
#include <chrono>
#include <cstring>
#include <deque>
#include <vector>

#include "header.h"

using Clock = std::chrono::steady_clock;

struct Slot {
    enum State { free, collecting, whole } state = free;
    uint64_t request = 0;
    Endpoint sender;
    uint8_t tos = 0, ttl = 0;
    uint8_t header[mw::kHeaderBytes] = {};
    uint64_t count = 0;
    size_t missing = 0;           // bytes
    std::vector<uint8_t> input, output;
    std::vector<bool> here;       // pieces of 64 bytes
    Clock::time_point came, last;  // first and latest fragment
    size_t sent = 0;              // bytes of the output
};

class Slots {
public:
    Slots(size_t slots, size_t input_bytes, size_t output_bytes) : slots_(slots) {
        for (Slot& slot : slots_) {
            slot.input.resize(input_bytes);
            slot.output.resize(output_bytes);
            slot.here.resize((input_bytes + mw::kFragmentStep - 1) / mw::kFragmentStep);
        }
    }
    size_t size() const { return slots_.size(); }
    Slot& operator[](size_t index) { return slots_[index]; }

    bool any(Slot::State state) const {
        return std::any_of(slots_.begin(), slots_.end(), [=](const Slot& s) { return s.state == state; });
    }

    // Takes a fragment of a good header: the reason why not, or mw::reason::NONE. `index` becomes the
    // slot that it completed, or size().
    uint64_t take(const Frame& frame, size_t payload, Clock::time_point now, size_t& index) {
        const uint8_t* header = frame.data + kHeaderAt;
        const uint64_t request = get_field(header, mw::field::request_id);
        const Endpoint sender{get32(frame.data + 26), static_cast<uint16_t>(get16(frame.data + 34))};
        const size_t offset = get_field(header, mw::field::offset);
        size_t at = 0;
        index = size();
        while (at < size() && !(slots_[at].state != Slot::free && slots_[at].request == request &&
                                slots_[at].sender == sender))
            ++at;
        if (at == size()) {
            at = 0;
            while (at < size() && slots_[at].state != Slot::free) ++at;
            if (at == size()) return mw::reason::BUSY;
            open(slots_[at], frame, request, sender, now);
        }
        Slot& slot = slots_[at];
        if (slot.state != Slot::collecting) return mw::reason::BUSY;
        if (slot.count != get_field(header, mw::field::fragment_count) || offset % mw::kFragmentStep)
            return mw::reason::OUT_OF_ORDER;
        slot.last = now;
        for (size_t part = offset; part < offset + payload; part += mw::kFragmentStep) {
            if (slot.here[part / mw::kFragmentStep]) continue;  // it came before
            const size_t bytes = std::min<size_t>(mw::kFragmentStep, offset + payload - part);
            std::memcpy(slot.input.data() + part, frame.data + kPayloadAt + part - offset, bytes);
            slot.here[part / mw::kFragmentStep] = true;
            slot.missing -= bytes;
        }
        if (!slot.missing) {
            slot.state = Slot::whole;
            index = at;
        }
        return mw::reason::NONE;
    }

    // Gives up what has had no new fragment for so long; returns how many.
    uint32_t expire(Clock::time_point now, Clock::duration timeout) {
        uint32_t gone = 0;
        for (Slot& slot : slots_)
            if (slot.state == Slot::collecting && now - slot.last >= timeout) slot.state = Slot::free, ++gone;
        return gone;
    }

    // When expire() has something to do; time_point::max() if never.
    Clock::time_point oldest() const {
        Clock::time_point found = Clock::time_point::max();
        for (const Slot& slot : slots_)
            if (slot.state == Slot::collecting) found = std::min(found, slot.last);
        return found;
    }

private:
    static void open(Slot& slot, const Frame& frame, uint64_t request, Endpoint sender, Clock::time_point now) {
        slot.state = Slot::collecting;
        slot.request = request;
        slot.sender = sender;
        slot.tos = frame.data[15], slot.ttl = frame.data[22];
        std::memcpy(slot.header, frame.data + kHeaderAt, mw::kHeaderBytes);
        slot.count = get_field(slot.header, mw::field::fragment_count);
        slot.missing = slot.input.size();
        std::fill(slot.here.begin(), slot.here.end(), false);
        slot.came = slot.last = now;
        slot.sent = 0;
    }
    std::vector<Slot> slots_;
};
