// SPDX-FileCopyrightText: 2026 midwire contributors
// SPDX-License-Identifier: Apache-2.0
//
// Real time, in microseconds since the process began to ask.

#pragma once

#include <chrono>
#include <cstdint>

using Clock = std::chrono::steady_clock;
using Micros = uint64_t;

constexpr Micros kNever = ~Micros{0};

inline Micros micros() {
    static const Clock::time_point start = Clock::now();
    return static_cast<Micros>(std::chrono::duration_cast<std::chrono::microseconds>(Clock::now() - start).count());
}

// How long until a moment: 0 where it has come, kNever where it never does.
inline Micros until(Micros moment) {
    if (moment == kNever) return kNever;
    const Micros now = micros();
    return moment <= now ? 0 : moment - now;
}
