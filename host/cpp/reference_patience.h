// SPDX-FileCopyrightText: 2026 midwire contributors
// SPDX-License-Identifier: Apache-2.0
//
// How long a request may lack fragments: when its sender is asked, and for what; when it is given up
// (rule D4 of hw/nic/decide.py).

#pragma once

#include <cmath>
#include <utility>

#include "reference_registers.h"
#include "reference_slots.h"

// How long something takes (RFC 6298, as host/wire/round_trip.py).
class Estimate {
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

// What was measured of senders. Fragments that were taken in one turn have no pause between them.
struct Measured {
    Estimate answers;  // from an ask to what was asked for
    Estimate pauses;   // between two fragments of a tensor

    void take(Slot& slot) {
        if (slot.answered) answers.measured(std::exchange(slot.answered, 0));
        if (slot.paused) pauses.measured(std::exchange(slot.paused, 0));
    }
};

class Patience {
public:
    // `pressed`: somebody was declined for want of a slot since the last one became free.
    Patience(const Registers& registers, bool pressed, const Measured& measured = {})
        : enabled_(registers[mw::reg::control] & 1),
          pressed_(pressed),
          ask_(registers[mw::reg::ask_us]),
          timeout_(registers[mw::reg::timeout_us]),
          // Whoever answers late keeps others waiting no longer than that.
          answer_(std::min(measured.answers.wait(ask_ / 2), 4 * ask_)),
          pause_(measured.pauses.wait(ask_)) {}

    // When it is given up without a new fragment; kNever.
    Micros ends(const Slot& slot) const {
        if (!enabled_) return 0;
        const Micros by_timeout = timeout_ ? slot.latest + timeout_ : kNever;
        return pressed_ && ask_ ? std::min(by_timeout, slot.latest + (ask_ << mw::kPressedAsks)) : by_timeout;
    }
    // When its sender is asked next; kNever.
    Micros asks(const Slot& slot) const {
        const bool more = ask_ && slot.asks < mw::kQuickAsks + mw::kMaxAsks;
        if (!more) return kNever;
        const Micros at = slot.early ? std::min(by_time(slot), by_pause(slot)) : by_time(slot);
        return slot.asked_at ? std::max(at, slot.asked_at + answer_) : at;
    }
    // Whether it is too early for what time alone would ask.
    bool early(const Slot& slot, Micros now) const { return slot.early && now < by_time(slot); }
    Micros due(const Slot& slot) const { return std::min(ends(slot), asks(slot)); }

private:
    static constexpr unsigned kLeastPause = 4;  // the least one that is too long: ask_us / 16

    // After a pause that is longer than others ever are (E3 of host/wire/overtaken.py), or, where its sender has
    // no more to send, as long as one may be by which another fragment is late.
    Micros by_pause(const Slot& slot) const {
        return slot.latest + std::max(slot.ended() ? pause_ : 2 * pause_, ask_ >> kLeastPause);
    }
    Micros by_time(const Slot& slot) const { return slot.latest + ((ask_ << slot.asks) >> mw::kQuickAsks); }

    const bool enabled_, pressed_;
    const Micros ask_, timeout_, answer_, pause_;
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

// What lacks in front of the last fragment that is here and one behind it, of the first tensor that lacks any;
// it counts as asked for. Its sender may only be slow: all that he has not sent yet would come twice.
inline Missing take_following(Slot& slot) {
    for (Part& part : slot.parts) {
        if (!part.begun() || part.whole()) continue;
        size_t at = 0, end = part.count;
        while (part.here[at]) ++at;
        while (!part.here[end - 1]) --end;
        end = std::min({end + 1, part.count, at - at % 64 + 64});
        part.asked_to = std::max(part.asked_to, end);
        return Missing(part, at, end);
    }
    return {};
}

// What is asked for as time has passed; it counts as asked for.
inline Missing take_missing(Slot& slot, bool early, Micros now) {
    const bool all = !early || slot.ended() || slot.probed;
    const Missing missing = all ? missing_of(slot) : take_following(slot);
    slot.asks += !early;
    slot.early = false, slot.probed = !all;
    slot.ask(now, all);
    return missing;
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
