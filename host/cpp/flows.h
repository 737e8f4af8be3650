// SPDX-FileCopyrightText: 2026 midwire contributors
// SPDX-License-Identifier: Apache-2.0
//
// Flows: a socket towards the next hop for each client, by which the answer finds its way back.
//
// Bounded in all and for each source: an IPv4 address, or the first 64 bits of an IPv6 address, behind which
// whoever has one has all. Where one more is one too many, the flow that was not used for the longest gives
// way: of the same source where that has any, else of all. So a source costs others nothing but its own
// kMostOfSource places, and needs company to take the rest.
//
// Looked up in trees: addresses are the senders' choice, and none of them makes that slow.

#pragma once

#include <bitset>
#include <cerrno>
#include <list>
#include <map>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <vector>

#include "arguments.h"
#include "udp_socket.h"

struct Flow {
    Flow(const Endpoint& client, const Endpoint& at) : client(client), socket(at) {}
    const Endpoint client;
    UdpSocket socket;
};

class Flows {
public:
    static constexpr size_t kMost = 4096, kMostOfSource = 256;

    // Their sockets are bound to the address of this one, each at a port of its own.
    explicit Flows(const Endpoint& listen) : at_{listen.ip, 0, listen.ipv6}, ready_(epoll_create1(EPOLL_CLOEXEC)) {
        if (ready_ < 0) fail_errno("cannot wait for many sockets");
        rlimit files{};
        if (getrlimit(RLIMIT_NOFILE, &files) < 0 || files.rlim_cur >= kMost + kOthers) return;
        files.rlim_cur = std::min<rlim_t>(files.rlim_max, kMost + kOthers);
        setrlimit(RLIMIT_NOFILE, &files);  // with fewer, flows give way sooner
    }
    ~Flows() { close(ready_); }
    Flows(const Flows&) = delete;

    size_t size() const { return recent_.size(); }
    uint64_t replaced() const { return replaced_; }
    uint64_t dropped() const {
        uint64_t all = dropped_;
        for (const Flow& flow : recent_) all += flow.socket.dropped();
        return all;
    }

    // An address of one of the flows' sockets.
    bool own(const Endpoint& end) const { return end.ip == at_.ip && ports_[end.port]; }

    Flow* find(const Endpoint& client) {
        const auto found = by_client_.find(key(client));
        return found == by_client_.end() ? nullptr : &*found->second;
    }

    // Keeps the flow of a client from giving way soon; false if it has none.
    bool renew(const Endpoint& client) {
        const auto found = by_client_.find(key(client));
        if (found == by_client_.end()) return false;
        recent_.splice(recent_.begin(), recent_, found->second);
        return true;
    }

    // A flow for a client that has none; false if the machine has no socket for it.
    bool open(const Endpoint& client) {
        const IpAddress source = source_of(client);
        if (of_source(source) == kMostOfSource || size() == kMost) give_way(source);
        recent_.emplace_front(client, at_);
        while (!recent_.front().socket.open() && size() > 1 && (errno == EMFILE || errno == ENFILE)) {
            recent_.pop_front();
            give_way(source);
            recent_.emplace_front(client, at_);
        }
        const UdpSocket& socket = recent_.front().socket;
        epoll_event event{EPOLLIN, {&recent_.front()}};
        if (!socket.open() || epoll_ctl(ready_, EPOLL_CTL_ADD, socket.fd(), &event) < 0) {
            recent_.pop_front();
            return false;
        }
        by_client_[key(client)] = recent_.begin();
        ++sources_[source];
        ports_.set(socket.at().port);
        return true;
    }

    // Wakes where one of them has something.
    int fd() const { return ready_; }

    // Some that have something, others in the next turn.
    std::vector<Flow*> ready() const {
        epoll_event events[kTurn];
        const int got = epoll_wait(ready_, events, kTurn, 0);
        std::vector<Flow*> out;
        for (int i = 0; i < got; ++i) out.push_back(static_cast<Flow*>(events[i].data.ptr));
        return out;
    }

private:
    static constexpr size_t kOthers = 64;  // descriptors that are no flows'
    static constexpr int kTurn = 64;

    using Key = std::pair<IpAddress, uint16_t>;
    static Key key(const Endpoint& client) { return {client.ip, client.port}; }

    static IpAddress source_of(const Endpoint& client) {
        IpAddress out = client.ip;
        if (client.ipv6) std::fill(out.bytes.begin() + 8, out.bytes.end(), uint8_t{0});
        return out;
    }

    size_t of_source(const IpAddress& source) const {
        const auto found = sources_.find(source);
        return found == sources_.end() ? 0 : found->second;
    }

    void give_way(const IpAddress& of) {
        auto oldest = std::prev(recent_.end());
        if (of_source(of))
            while (source_of(oldest->client) != of) --oldest;
        dropped_ += oldest->socket.dropped();
        ports_.reset(oldest->socket.at().port);
        const auto source = sources_.find(source_of(oldest->client));
        if (--source->second == 0) sources_.erase(source);
        by_client_.erase(key(oldest->client));
        recent_.erase(oldest);
        ++replaced_;
    }

    const Endpoint at_;
    const int ready_;
    std::list<Flow> recent_;  // the latest first
    std::map<Key, std::list<Flow>::iterator> by_client_;
    std::map<IpAddress, size_t> sources_;  // flows of each
    std::bitset<0x10000> ports_;
    uint64_t replaced_ = 0, dropped_ = 0;  // `dropped_`: by the kernel, for flows that have gone
};
