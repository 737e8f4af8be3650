// SPDX-FileCopyrightText: 2026 midwire contributors
// SPDX-License-Identifier: Apache-2.0
//
// Requests that wait for fragments, which come in any order (rules D2, D3, D5 and D7 of hw/nic/decide.py).
//
// A request of one tensor is named by its id and its sender's address and port, one of several by its id alone.

#pragma once

#include <algorithm>
#include <vector>

#include "origin.h"

// One tensor of a request.
struct Part {
    Part(size_t begin, size_t bytes) : begin(begin), bytes(bytes), here(pieces()) {}

    // More fragments than that are a lie: all but the last have at least so many bytes.
    size_t pieces() const { return (bytes + mw::kFragmentStep - 1) / mw::kFragmentStep; }
    bool begun() const { return arrived > 0; }
    bool whole() const { return begun() && arrived == count; }
    bool ended() const { return begun() && here[count - 1]; }

    // Whether a fragment of a sound header may be one of this tensor at all: all but the last have the same bytes.
    bool fits(const Fragment& f) const {
        return f.count <= pieces() && (f.last || f.offset == f.index * f.bytes);
    }
    // Whether it agrees with those before it, which are right. The last lies where the others end.
    bool agrees(const Fragment& f) const {
        if (!fits(f) || (begun() && f.count != count) || (!f.last && step && f.bytes != step)) return false;
        const size_t its_step = f.last ? step : f.bytes, its_tail = f.last ? f.offset : tail;
        return !its_step || !its_tail || its_tail == (f.count - 1) * its_step;
    }
    void take(const Fragment& f) {
        count = f.count;
        (f.last ? tail : step) = f.last ? f.offset : f.bytes;
        here[f.index] = true;
        ++arrived;
        overtakes(f.index);
    }
    // The first one from asked_to on that lacks and was overtaken (D4), or count.
    size_t overtaken() const {
        if (latest.size() < mw::kOvertakers) return count;
        for (size_t i = asked_to; i < latest[0]; ++i)
            if (!here[i]) return i;
        return count;
    }
    // Where a fragment that is here lies, and how long it is.
    size_t offset_of(size_t index) const { return index + 1 == count ? tail : index * step; }
    size_t bytes_of(size_t index) const { return index + 1 == count ? bytes - tail : step; }

    void clear() {
        first = {};
        count = arrived = step = tail = asked_to = 0;
        latest.clear();
        std::fill(here.begin(), here.end(), false);
    }

    const size_t begin, bytes;  // in the slot's memory
    Origin first;               // of the fragment that came first, and where what comes of the tensor goes
    size_t count = 0, arrived = 0;
    size_t step = 0, tail = 0;  // bytes of a fragment, and in front of the last one; 0 while not known
    std::vector<bool> here;
    size_t asked_to = 0;         // what lacks in front of it has been asked for
    std::vector<size_t> latest;  // of those behind that, the last ones that came, as many as overtake one

private:
    void overtakes(size_t index) {
        if (index < asked_to) return;  // sent again, who knows behind what
        latest.insert(std::upper_bound(latest.begin(), latest.end(), index), index);
        if (latest.size() > mw::kOvertakers) latest.erase(latest.begin());
    }
};

struct Slot {
    enum State { free, collecting, whole, leaving };

    explicit Slot(const std::vector<size_t>& sizes) {
        size_t end = 0;
        for (size_t bytes : sizes) parts.emplace_back(end, bytes), end += bytes;
        memory.resize(end);
    }
    // Its bytes are nobody else's.
    void clear() {
        state = free;
        latest = asked_at = answered = paused = 0;
        early = probed = false;
        leaves_part = leaves_fragment = 0;
        for (Part& part : parts) part.clear();
        std::fill(memory.begin(), memory.end(), 0);
    }
    void ask(Micros now, bool for_all) {
        asked_once = !asked_at, asked_for_all = for_all;
        asked_at = std::max<Micros>(now, 1);
    }
    // A new fragment came, which may have been asked for. Of two asks, nobody knows which was answered.
    void came(const Part& part, size_t index, Micros now) {
        const bool asked = asked_for_all || index < part.asked_to;
        if (!asked) probed = false;  // its sender goes on
        if (!asked_at || !asked) return;
        if (asked_once) answered = now - asked_at;
        asked_at = 0;
    }
    // Whether the last fragment of each tensor is here.
    bool ended() const {
        return std::all_of(parts.begin(), parts.end(), [](const Part& part) { return part.ended(); });
    }
    bool complete() const {
        return std::all_of(parts.begin(), parts.end(), [](const Part& part) { return part.whole(); });
    }

    State state = free;
    uint64_t request = 0;
    Sender sender;  // of the fragment that opened it
    uint32_t fingerprint = 0;
    unsigned asks = 0;  // since the last new fragment, and those that it is too early for
    Micros latest = 0;  // when that came
    Micros asked_at = 0, answered = 0;  // for what has not come; how long that took, if it is known
    Micros paused = 0;                  // in front of the last new fragment, if nobody was asked meanwhile
    bool asked_once = false, asked_for_all = false;
    bool early = false;   // its sender may be asked as soon as he pauses longer than others do
    bool probed = false;  // he was, for one fragment behind what is here, and sent nothing else since
    size_t leaves_part = 0, leaves_fragment = 0;  // the next to be sent on, of a request that was given up
    std::vector<Part> parts;
    std::vector<uint8_t> memory;
};

class Slots {
public:
    Slots(size_t count, const std::vector<size_t>& sizes) : by_id_(sizes.size() > 1), slots_(count, Slot(sizes)) {}

    size_t size() const { return slots_.size(); }
    Slot& operator[](size_t index) { return slots_[index]; }
    auto begin() { return slots_.begin(); }
    auto end() { return slots_.end(); }

    // Whether a request may begin with this fragment.
    bool fits(const Fragment& f) const { return slots_[0].parts[f.tensor].fits(f); }

    bool any(Slot::State state) const {
        return std::any_of(slots_.begin(), slots_.end(), [=](const Slot& slot) { return slot.state == state; });
    }

    // Who sends what a request is named by; nobody where its id is enough.
    Sender named_by(const Sender& sender) const { return by_id_ ? Sender{} : sender; }

    // The slot of a request with that fingerprint; two never share one.
    Slot* find(uint32_t fingerprint) {
        for (Slot& slot : slots_)
            if (slot.state != Slot::free && slot.fingerprint == fingerprint) return &slot;
        return nullptr;
    }
    // Whether it is the slot of this fragment's request.
    bool is_of(const Slot& slot, const Fragment& f) const {
        return slot.request == f.request && (by_id_ || slot.sender == f.sender);
    }

    // A slot for a request that has none; nullptr where its sender may not have one more (D2).
    Slot* open(const Fragment& f, uint32_t fingerprint) {
        Slot* found = nullptr;
        size_t free = 0, held = 0;
        for (Slot& slot : slots_) {
            if (slot.state == Slot::free) found = found ? found : &slot, ++free;
            else held += slot.sender == f.sender;
        }
        if (!free || (held && held >= mw::kShare * (free - 1))) return nullptr;
        found->state = Slot::collecting;
        found->request = f.request;
        found->sender = f.sender;
        found->fingerprint = fingerprint;
        return found;
    }

private:
    const bool by_id_;
    std::vector<Slot> slots_;
};

// What becomes of a fragment of a request whose slot is open (D3): outcome COLLECTED or one of DROPPED.
inline uint64_t take(Slot& slot, const Fragment& f, const Hop& hop, Micros now) {
    namespace outcome = mw::outcome;
    if (slot.state != Slot::collecting) return outcome::DROPPED_DUPLICATE;
    Part& part = slot.parts[f.tensor];
    if (!part.agrees(f)) return outcome::DROPPED_BAD_LENGTH;
    if (part.here[f.index]) return outcome::DROPPED_DUPLICATE;
    if (!part.begun()) part.first = origin_of(f.frame, f.headers, now, hop);
    else if (!slot.asked_at) slot.paused = now - slot.latest;
    part.take(f);
    slot.came(part, f.index, now);
    std::memcpy(slot.memory.data() + part.begin + f.offset, f.payload(), f.bytes);
    slot.latest = now;
    slot.early = true;
    slot.asks = slot.ended() ? 0 : mw::kQuickAsks;
    if (slot.complete()) slot.state = Slot::whole;
    return outcome::COLLECTED;
}
