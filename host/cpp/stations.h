// SPDX-FileCopyrightText: 2026 midwire contributors
// SPDX-License-Identifier: Apache-2.0
//
// On which side a station's frames come in, by its whole MAC address: as many as a bridge of this size
// knows, the one that was not seen for the longest gives way.

#pragma once

#include <cstddef>
#include <cstdint>
#include <list>
#include <unordered_map>

class Stations {
public:
    explicit Stations(size_t most) : most_(most) {}

    void see(uint64_t mac, uint8_t side) {
        const auto found = at_.find(mac);
        if (found != at_.end()) {
            found->second->side = side;
            recent_.splice(recent_.begin(), recent_, found->second);
            return;
        }
        if (at_.size() == most_) {
            at_.erase(recent_.back().mac);
            recent_.pop_back();
        }
        recent_.push_front({mac, side});
        at_[mac] = recent_.begin();
    }

    // The side, or -1 if it is not known.
    int side(uint64_t mac) const {
        const auto found = at_.find(mac);
        return found == at_.end() ? -1 : found->second->side;
    }

private:
    struct Station {
        uint64_t mac;
        uint8_t side;
    };

    const size_t most_;
    std::list<Station> recent_;  // the latest first
    std::unordered_map<uint64_t, std::list<Station>::iterator> at_;
};
