// SPDX-FileCopyrightText: 2026 midwire contributors
// SPDX-License-Identifier: Apache-2.0
//
// A bump in the wire over plain UDP sockets; needs no privilege.
//
// A client's datagram comes in at the listening socket and gets its Ethernet/IPv4/UDP headers back; what
// the datapath emits goes to the address that stands in it. Each client has a socket of its own towards
// the next hop (a flow), so that the answer finds its way back through the datapath to the client.
//
//   client -> listen -> frame(client, listen) -> datapath -> frame(client, hop) -> flow's socket -> hop
//   hop -> flow's socket -> frame(hop, client) -> datapath -> frame(hop, client) -> listen -> client
//
// A frame that was passed through unchanged, still addressed to `listen`, goes to the first next hop.
//
// Arguments: --listen IP:PORT (port 0: any free one), --next IP:PORT (the first is the default; answers
// are taken from these only).

#pragma once

#include <algorithm>
#include <cerrno>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include "transport.h"

class UdpTransport : public Transport {
public:
    explicit UdpTransport(const Arguments& arguments) {
        for (const std::string& hop : arguments.all("--next")) hops_.push_back(endpoint(hop));
        if (hops_.empty()) fail("--next is missing");
        const Endpoint at = endpoint(arguments.must("--listen"));
        listen_ = open_socket(at);
        if (listen_ < 0) fail_errno("cannot bind " + text_of(at));
        sockaddr_in address{};
        socklen_t size = sizeof address;
        getsockname(listen_, reinterpret_cast<sockaddr*>(&address), &size);
        at_ = endpoint_of(address);
    }
    ~UdpTransport() override {
        for (const Flow& flow : flows_) close(flow.fd);
        close(listen_);
    }

    std::string place() const override { return text_of(at_); }

    void watch(std::vector<pollfd>& fds, bool room, bool pending) const override {
        const auto add = [&](int fd) {
            const bool out = pending && (blocked_ < 0 || blocked_ == fd);  // the others could be written to
            fds.push_back({fd, static_cast<short>((room ? POLLIN : 0) | (out ? POLLOUT : 0)), 0});
        };
        add(listen_);
        for (const Flow& flow : flows_) add(flow.fd);
    }

    void receive(const pollfd* fds, size_t count, FrameQueue& to) override {
        if (fds[0].revents & (POLLIN | POLLERR)) drain(listen_, nullptr, to);
        // A flow that was replaced meanwhile has another descriptor: it is asked in the next turn.
        for (size_t i = 0; i < flows_.size() && i + 1 < count; ++i)
            if (fds[i + 1].revents & (POLLIN | POLLERR) && fds[i + 1].fd == flows_[i].fd)
                drain(flows_[i].fd, &flows_[i], to);
    }

    void send(FrameQueue& from) override {
        blocked_ = -1;
        while (!from.empty()) {
            mmsghdr messages[kBatch];
            iovec parts[kBatch];
            sockaddr_in to[kBatch];
            int fd = -1;
            size_t count = 0;
            while (count < kBatch && count < from.size()) {
                Frame& frame = from.at(count);
                Unwrapped headers;
                Endpoint target;
                int way = -1;
                const bool good = unwrap(frame, headers);
                if (!good || !route(headers, way, target)) {
                    if (count) break;  // what is in front of it goes first
                    ++(good ? tx_unroutable_ : tx_malformed_);
                    from.pop();
                    continue;
                }
                if (count && way != fd) break;
                fd = way;
                to[count] = address_of(target);
                parts[count] = {frame.data + kHeadroom, headers.payload};
                messages[count] = {};
                messages[count].msg_hdr.msg_iov = &parts[count];
                messages[count].msg_hdr.msg_iovlen = 1;
                messages[count].msg_hdr.msg_name = &to[count];
                messages[count].msg_hdr.msg_namelen = sizeof to[count];
                ++count;
            }
            if (!count) return;
            const int sent = sendmmsg(fd, messages, static_cast<unsigned>(count), MSG_DONTWAIT);
            if (sent < 0 && (errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR)) {
                blocked_ = fd;
                return;
            }
            if (sent <= 0) {
                ++tx_failed_;  // the first one cannot be sent: the next may
                from.pop();
                continue;
            }
            for (int i = 0; i < sent; ++i) {
                ++tx_datagrams_;
                tx_bytes_ += parts[i].iov_len;
                from.pop();
            }
        }
    }

    void count(Statistics& out) const override {
        out.add("rx_datagrams", rx_datagrams_);
        out.add("rx_bytes", rx_bytes_);
        out.add("rx_too_long", rx_too_long_);
        out.add("rx_stranger", rx_stranger_);
        out.add("tx_datagrams", tx_datagrams_);
        out.add("tx_bytes", tx_bytes_);
        out.add("tx_failed", tx_failed_);
        out.add("tx_malformed", tx_malformed_);
        out.add("tx_unroutable", tx_unroutable_);
        out.add("flows", flows_.size());
        out.add("flows_replaced", flows_replaced_);
        out.add("flows_failed", flows_failed_);
    }

private:
    static constexpr size_t kBatch = 32, kFlows = 64;
    static constexpr int kSocketBytes = 4 << 20;

    struct Flow {
        Endpoint client;
        int fd = -1;
        uint64_t used = 0;
    };

    static sockaddr_in address_of(Endpoint end) {
        sockaddr_in out{};
        out.sin_family = AF_INET;
        out.sin_addr.s_addr = htonl(end.ip);
        out.sin_port = htons(end.port);
        return out;
    }
    static Endpoint endpoint_of(const sockaddr_in& in) {
        return {ntohl(in.sin_addr.s_addr), ntohs(in.sin_port)};
    }

    // Negative, and errno says why, where there is none.
    static int open_socket(Endpoint at) {
        const int fd = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
        if (fd < 0) return fd;
        setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &kSocketBytes, sizeof kSocketBytes);
        setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &kSocketBytes, sizeof kSocketBytes);
        const sockaddr_in address = address_of(at);
        if (bind(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0) return fd;
        const int why = errno;
        close(fd);
        errno = why;
        return -1;
    }

    // Takes what a socket has, or as much as there is room for.
    void drain(int fd, Flow* flow, FrameQueue& to) {
        while (to.room() && take(fd, flow, to) == kBatch) {
        }
    }

    size_t take(int fd, Flow* flow, FrameQueue& to) {
        mmsghdr messages[kBatch];
        iovec parts[kBatch];
        sockaddr_in from[kBatch];
        const size_t room = to.room() < kBatch ? to.room() : kBatch;
        for (size_t i = 0; i < room; ++i) {
            parts[i] = {to.back(i).data + kHeadroom, kMaxPayload};
            messages[i] = {};
            messages[i].msg_hdr.msg_iov = &parts[i];
            messages[i].msg_hdr.msg_iovlen = 1;
            messages[i].msg_hdr.msg_name = &from[i];
            messages[i].msg_hdr.msg_namelen = sizeof from[i];
        }
        const int got = recvmmsg(fd, messages, static_cast<unsigned>(room), MSG_DONTWAIT, nullptr);
        size_t kept = 0;
        for (int i = 0; i < got; ++i) {
            const size_t ahead = static_cast<size_t>(i) - kept;  // slots left empty in front of it
            if (keep(messages[i], endpoint_of(from[i]), ahead, flow, to)) ++kept;
        }
        return got < 0 ? 0 : static_cast<size_t>(got);
    }

    bool keep(const mmsghdr& message, Endpoint from, size_t ahead, Flow* flow, FrameQueue& to) {
        ++rx_datagrams_;
        rx_bytes_ += message.msg_len;
        if (message.msg_hdr.msg_flags & MSG_TRUNC) return ++rx_too_long_, false;
        // Answers come from a hop, and by the way of the request only: a hop that could make itself a
        // client would be sent the results of others as answers.
        if ((flow != nullptr) != is_hop(from)) return ++rx_stranger_, false;
        Frame& slot = to.back();
        if (ahead) std::memcpy(slot.data + kHeadroom, to.back(ahead).data + kHeadroom, message.msg_len);
        wrap(slot, message.msg_len, from, flow ? flow->client : at_, id_++);
        if (!flow && !touch(from)) return ++flows_failed_, false;
        to.push();
        return true;
    }

    bool is_hop(Endpoint end) const {
        for (const Endpoint& hop : hops_)
            if (hop == end) return true;
        return false;
    }

    Flow* find(Endpoint client) {
        for (Flow& flow : flows_)
            if (flow.client == client) return &flow;
        return nullptr;
    }

    // Opens or renews the flow of a client; the least recently used one gives way. False if the machine
    // has no socket left for it.
    bool touch(Endpoint client) {
        Flow* flow = find(client);
        if (!flow) {
            if (flows_.size() == kFlows) drop_oldest();
            const int fd = open_socket({at_.ip, 0});
            if (fd < 0) return false;
            flows_.push_back({client, fd});
            flow = &flows_.back();
        }
        flow->used = rx_datagrams_;
        return true;
    }

    void drop_oldest() {
        const auto oldest = std::min_element(flows_.begin(), flows_.end(),
                                             [](const Flow& a, const Flow& b) { return a.used < b.used; });
        if (oldest->fd == blocked_) blocked_ = -1;
        close(oldest->fd);
        *oldest = flows_.back();
        flows_.pop_back();
        ++flows_replaced_;
    }

    // Where an emitted frame goes: the socket and the address; false if nowhere.
    bool route(const Unwrapped& frame, int& fd, Endpoint& to) {
        if (find(frame.to)) {
            fd = listen_, to = frame.to;
            return true;
        }
        const Flow* flow = find(frame.from);
        to = frame.to == at_ ? hops_[0] : frame.to;
        if (!flow || !is_hop(to)) return false;
        fd = flow->fd;
        return true;
    }

    std::vector<Endpoint> hops_;
    std::vector<Flow> flows_;
    Endpoint at_;
    int listen_ = -1, blocked_ = -1;  // `blocked_` had no room for the next frame
    uint16_t id_ = 0;
    uint64_t rx_datagrams_ = 0, rx_bytes_ = 0, rx_too_long_ = 0, rx_stranger_ = 0, tx_datagrams_ = 0;
    uint64_t tx_bytes_ = 0, tx_failed_ = 0, tx_malformed_ = 0, tx_unroutable_ = 0, flows_replaced_ = 0;
    uint64_t flows_failed_ = 0;
};
