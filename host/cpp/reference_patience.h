// SPDX-FileCopyrightText: 2026 midwire contributors
// SPDX-License-Identifier: Apache-2.0
//
// How long a request may lack fragments: when its sender is asked, and for what; when it is given up
// (rule D4 of hw/nic/decide.py).

#pragma once

#include <cmath>

#include "reference_registers.h"
#include "reference_slots.h"

// How long what is asked for takes (RFC 6298, as host/wire/round_trip.py).
class AnswerTimes {
public:
    void measured(Micros took) {
        const double time = static_cast<double>(took);
        if (smoothed_ < 0) {
            smoothed_ = time, deviation_ = time / 2;
            return;
        }
        deviation_ += (std::abs(smoothed_ - time) - deviation_) / 4;
        smoothed_ += (time - smoothed_) / 8;
    }
    // `unmeasured` until one was.
    Micros wait(Micros unmeasured) const {
        return smoothed_ < 0 ? unmeasured : static_cast<Micros>(smoothed_ + 4 * deviation_);
    }

private:
    double smoothed_ = -1, deviation_ = 0;
};

class Patience {
public:
    // `pressed`: somebody was declined for want of a slot since the last one became free.
    Patience(const Registers& registers, bool pressed, const AnswerTimes& answers = {})
        : enabled_(registers[mw::reg::control] & 1),
          pressed_(pressed),
          ask_(registers[mw::reg::ask_us]),
          timeout_(registers[mw::reg::timeout_us]),
          // Whoever answers late keeps others waiting no longer than that.
          answer_(std::min(answers.wait(ask_ / 2), 4 * ask_)) {}

    // When it is given up without a new fragment; kNever.
    Micros ends(const Slot& slot) const {
        if (!enabled_) return 0;
        const Micros by_timeout = timeout_ ? slot.latest + timeout_ : kNever;
        return pressed_ && ask_ ? std::min(by_timeout, slot.latest + (ask_ << mw::kPressedAsks)) : by_timeout;
    }
    // When its sender is asked next; kNever.
    Micros asks(const Slot& slot) const {
        const bool more = ask_ && slot.asks < mw::kQuickAsks + mw::kMaxAsks;
        const Micros by_pause = slot.latest + ((ask_ << slot.asks) >> mw::kQuickAsks);
        if (!more) return kNever;
        return slot.asked_at ? std::max(by_pause, slot.asked_at + answer_) : by_pause;
    }
    Micros due(const Slot& slot) const { return std::min(ends(slot), asks(slot)); }

private:
    const bool enabled_, pressed_;
    const Micros ask_, timeout_, answer_;
};

// Fragments to ask for, of one tensor and the first 64 (a group) of which any lacks.
struct Missing {
    explicit Missing(const Part& part, size_t at, size_t end) : part(&part), first(at - at % 64) {
        for (end = std::min(first + 64, end); at < end; ++at)
            if (!part.here[at]) bitmap[at % 64 / 8] |= static_cast<uint8_t>(0x80 >> at % 8);
    }
    Missing() = default;

    const Part* part = nullptr;  // none where nothing can be asked for: nobody has sent of what lacks
    size_t first = 0;
    uint8_t bitmap[8] = {};  // the first one's bit is the first on the wire
};

// All that lacks.
inline Missing missing_of(const Slot& slot) {
    for (const Part& part : slot.parts) {
        if (!part.begun() || part.whole()) continue;
        size_t at = 0;
        while (part.here[at]) ++at;
        return Missing(part, at, part.count);
    }
    return {};
}

// What was overtaken, and has not been asked for since; it counts as asked for.
inline Missing take_overtaken(Slot& slot) {
    for (Part& part : slot.parts) {
        const size_t at = part.overtaken();
        if (at == part.count) continue;
        const size_t end = std::min(part.latest[0], at - at % 64 + 64);
        part.asked_to = end;
        return Missing(part, at, end);
    }
    return {};
}
