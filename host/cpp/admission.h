// SPDX-FileCopyrightText: 2026 midwire contributors
// SPDX-License-Identifier: Apache-2.0
//
// What is taken where clients send, by the first of these rules that applies; all else is counted and goes
// nowhere. Tests cite them as G1 to G5.
//
// G1. Nothing from an address of the NIC itself: it would be answered to itself, and go round.
// G2. Nothing from the next hop: its answers come where requests left.
// G3. Nothing from whom --peer does not name.
// G4. Everything from a client that has a flow: the datapath judges it, and passes what is not midwire's.
// G5. From any other client, what begins with the good header of a tensor. That opens its flow.

#pragma once

#include <algorithm>

#include "flows.h"
#include "header.h"
#include "peers.h"
#include "statistics.h"

class Admission {
public:
    // `own`: where requests are sent to.
    Admission(const Arguments& arguments, const Endpoint& own, Flows& flows) : peers_(arguments), own_(own), flows_(flows) {
        for (const std::string& hop : arguments.all("--next")) hops_.push_back(endpoint(hop));
        if (hops_.empty()) fail("--next is missing");
        for (const Endpoint& hop : hops_)
            if (hop.ipv6 != own.ipv6)
                fail("--next " + text_of(hop) + " is of another IP version than " + text_of(own) +
                     ", where this NIC listens: what comes in one does not leave in the other");
        if (is_hop(own))
            fail("--next " + text_of(own) + " is where this NIC listens itself, and it would send to itself again " +
                 "and again: give the address of the cloud, or of another NIC");
    }

    const Endpoint& first_hop() const { return hops_[0]; }
    bool is_hop(const Endpoint& end) const { return std::find(hops_.begin(), hops_.end(), end) != hops_.end(); }
    bool is_own(const Endpoint& end) const { return end == own_ || flows_.own(end); }

    // Of a datagram where clients send: opens or renews the flow of its client.
    bool take_request(const Endpoint& from, const uint8_t* datagram, size_t size) {
        if (is_own(from)) return ++rx_own_address_, false;
        if (is_hop(from)) return ++rx_stranger_, false;
        if (!peers_.include(from)) return ++rx_not_peer_, false;
        if (flows_.renew(from)) return true;
        const Fault fault = fault_of(datagram, size);
        if (fault != Fault::none) return ++rx_faults_[static_cast<size_t>(fault)], false;
        return flows_.open(from) || (++flows_failed_, false);
    }

    // Of a datagram at the socket of a flow: a hop that could answer elsewhere, or anybody else who could
    // answer here, would put words into mouths of others.
    bool take_answer(const Endpoint& from) {
        if (is_own(from)) return ++rx_own_address_, false;
        return is_hop(from) || (++rx_stranger_, false);
    }

    void count(Statistics& out) const {
        out.add("rx_own_address", rx_own_address_);
        out.add("rx_stranger", rx_stranger_);
        out.add("rx_not_peer", rx_not_peer_);
        out.add("rx_no_header", of(Fault::no_header));
        out.add("rx_bad_magic", of(Fault::bad_magic));
        out.add("rx_bad_version", of(Fault::bad_version));
        out.add("rx_bad_crc", of(Fault::bad_crc));
        out.add("rx_other_type", of(Fault::other_type));
        out.add("flows_failed", flows_failed_);
    }

private:
    uint64_t of(Fault fault) const { return rx_faults_[static_cast<size_t>(fault)]; }

    const Peers peers_;
    const Endpoint own_;
    Flows& flows_;
    std::vector<Endpoint> hops_;
    uint64_t rx_own_address_ = 0, rx_stranger_ = 0, rx_not_peer_ = 0, flows_failed_ = 0;
    uint64_t rx_faults_[static_cast<size_t>(Fault::other_type) + 1] = {};
};
