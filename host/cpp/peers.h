// SPDX-FileCopyrightText: 2026 midwire contributors
// SPDX-License-Identifier: Apache-2.0
//
// Who may send requests: networks of IPv4 or IPv6 addresses, each with one port or any.
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
            const Endpoint at = endpoint(address + ":" + port);
            if (number(bits) > (at.ipv6 ? 128 : 32)) fail("not a network: " + text);
            peers_.push_back({at, number(bits) + (at.ipv6 ? 0 : 96)});
        }
    }

    bool include(const Endpoint& sender) const {
        for (const Peer& peer : peers_)
            if (sender.ipv6 == peer.at.ipv6 && alike(sender.ip, peer.at.ip, peer.bits) &&
                (!peer.at.port || peer.at.port == sender.port))
                return true;
        return false;
    }

private:
    struct Peer {
        Endpoint at;
        size_t bits;  // of 128 that count
    };

    static bool alike(const IpAddress& one, const IpAddress& other, size_t bits) {
        const size_t whole = bits / 8, rest = bits % 8;
        if (std::memcmp(one.bytes.data(), other.bytes.data(), whole) != 0) return false;
        return !rest || !((one.bytes[whole] ^ other.bytes[whole]) >> (8 - rest));
    }

    std::vector<Peer> peers_;
};
