// SPDX-FileCopyrightText: 2026 midwire contributors
// SPDX-License-Identifier: Apache-2.0
//
// Who may send requests: networks of IPv4 addresses, each with one port or any.
//
// Arguments: --peer IP/BITS:PORT (port 0: any), any number of times; without one, nobody may.

#pragma once

#include <vector>

#include "arguments.h"

class Peers {
public:
    explicit Peers(const Arguments& arguments) {
        for (const std::string& text : arguments.all("--peer")) {
            const auto [network, port] = split(text, ':');
            const auto [address, bits] = split(network, '/');
            if (number(bits) > 32) fail("not a network: " + text);
            const uint32_t mask = number(bits) ? ~uint32_t{0} << (32 - number(bits)) : 0;
            peers_.push_back({endpoint(address + ":" + port), mask});
        }
    }

    bool include(Endpoint sender) const {
        for (const Peer& peer : peers_)
            if (!((sender.ip ^ peer.at.ip) & peer.mask) && (!peer.at.port || peer.at.port == sender.port))
                return true;
        return false;
    }

private:
    struct Peer {
        Endpoint at;
        uint32_t mask;
    };

    std::vector<Peer> peers_;
};
