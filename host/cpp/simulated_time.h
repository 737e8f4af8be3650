// SPDX-FileCopyrightText: 2026 midwire contributors
// SPDX-License-Identifier: Apache-2.0
//
// Clock cycles against real time. A pipeline is simulated far slower than hardware runs, and not at all
// while nothing moves in it, so its cycles are no measure of time. What must happen in time is told to it
// in cycles all the same: this says how many passed since a moment.

#pragma once

#include <chrono>
#include <cstdint>
#include <deque>

using Clock = std::chrono::steady_clock;

class SimulatedTime {
public:
    // Remembers that so many cycles had passed by now. What is older than `span` is not asked for.
    void mark(Clock::time_point now, uint64_t cycles, Clock::duration span) {
        marks_.push_back({now, cycles});
        while (marks_.size() > 1 && marks_[1].at <= now - span) marks_.pop_front();
    }
    // When it was told last; long ago if never.
    Clock::time_point latest() const { return marks_.empty() ? Clock::time_point{} : marks_.back().at; }

    // Cycles that had passed by a mark at that moment or before; false if there is none so old.
    bool cycles_at(Clock::time_point moment, uint64_t& cycles) const {
        bool found = false;
        for (const Mark& mark : marks_)
            if (mark.at <= moment) found = true, cycles = mark.cycles;
        return found;
    }

private:
    struct Mark {
        Clock::time_point at;
        uint64_t cycles;
    };

    std::deque<Mark> marks_;
};
