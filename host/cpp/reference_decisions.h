// SPDX-FileCopyrightText: 2026 midwire contributors
// SPDX-License-Identifier: Apache-2.0
//
// What was decided on requests not long ago (rule D6 of hw/nic/decide.py), so that all fragments of one
// have the same fate: declined or forwarded as it was, or dropped when it was executed.
//
// A request is remembered by a fingerprint (hw/formats/slots.py). Two that share one share a decision, for
// as long as it is remembered: one in 2^24, which costs an execution in the NIC and never an answer.

#pragma once

#include <array>

#include "clock.h"
#include "formats.h"
#include "headers.h"

// Of request id, source address (folded to 32 bits) and port: their 112 bits, as digits of 24 that are XORed.
inline uint32_t request_fingerprint(uint64_t request, const Sender& sender) {
    constexpr unsigned bits = mw::kFingerprintBits;
    const unsigned __int128 number =
        static_cast<unsigned __int128>(request) << 48 | static_cast<uint64_t>(sender.ip.folded()) << 16 | sender.port;
    uint32_t out = 0;
    for (unsigned at = 0; at < 112; at += bits) out ^= static_cast<uint32_t>(number >> at) & ((1u << bits) - 1);
    return out;
}

class Decisions {
public:
    enum Decision : uint8_t { none, busy, incomplete, executed, forwarded, policy };

    void put(uint32_t fingerprint, Decision decision, Micros now) {
        places_[fingerprint % mw::kDecisions] = {fingerprint, decision, now};
    }

    // What was decided not longer ago than `timeout`; 0 is for ever.
    Decision find(uint32_t fingerprint, Micros now, Micros timeout) const {
        const Place& place = places_[fingerprint % mw::kDecisions];
        const bool fresh = !timeout || now - place.at < timeout;
        return place.fingerprint == fingerprint && fresh ? place.decision : none;
    }

private:
    struct Place {
        uint32_t fingerprint = 0;
        Decision decision = none;
        Micros at = 0;
    };

    std::array<Place, mw::kDecisions> places_{};
};
