// SPDX-FileCopyrightText: 2026 midwire contributors
// SPDX-License-Identifier: Apache-2.0
//
// A bump in the wire over plain UDP sockets; needs no privilege.
//
// A client's datagram comes in at the listening socket and gets its Ethernet, IP and UDP headers back; what
// the datapath emits goes to the address that stands in it. Each client has a socket of its own towards
// the next hop (a flow, flows.h), so that the answer finds its way back through the datapath to the client.
//
//   client -> listen -> frame(client, listen) -> datapath -> frame(client, hop) -> flow's socket -> hop
//   hop -> flow's socket -> frame(hop, client) -> datapath -> frame(hop, client) -> listen -> client
//
// A frame that was passed through unchanged, still addressed to `listen`, goes to the first next hop. What
// is taken in, and from whom, is admission.h. A frame leaves with a TTL one less than it came with.
//
// Arguments: --listen IP:PORT (port 0: any free one), --listen-fd NUMBER (a socket that is bound there, one
// of several that share the address; each is another process's), --next IP:PORT (the first is the default;
// answers are taken from these only), --peer (peers.h).

#pragma once

#include "admission.h"
#include "transport.h"

class UdpTransport : public Transport {
public:
    explicit UdpTransport(const Arguments& arguments)
        : listen_(listening(arguments)),
          flows_(opened(listen_, arguments).at()),
          admission_(arguments, listen_.at(), flows_) {}

    std::string place() const override { return text_of(listen_.at()); }

    // Two descriptors to read, however many flows there are, and perhaps one to write.
    void watch(std::vector<pollfd>& fds, bool room, bool pending) const override {
        const short in = room ? POLLIN : 0;
        fds.push_back({listen_.fd(), in, 0});
        fds.push_back({flows_.fd(), in, 0});
        if (pending) fds.push_back({blocked_ < 0 ? listen_.fd() : blocked_, POLLOUT, 0});
    }

    // A turn of each socket is bounded, and requests and answers go first in turn: no crowd at one keeps
    // out what comes at others.
    void receive(const pollfd* fds, size_t, FrameQueue& to) override {
        const bool requests = fds[0].revents, answers = fds[1].revents;
        answers_first_ = !answers_first_;
        if (answers && answers_first_) take_answers(to, requests ? (to.room() + 1) / 2 : to.room());
        if (requests) take_requests(to, answers && !answers_first_ ? (to.room() + 1) / 2 : to.room());
        if (answers && !answers_first_) take_answers(to, to.room());
    }

    void send(FrameQueue& from) override {
        blocked_ = -1;
        for (bool trains = true; !from.empty();) {
            batch_.begin(trains);
            const int fd = fill(batch_, from);
            if (fd < 0) continue;  // the first one goes nowhere, and was dropped
            const int sent = batch_.send(fd);
            if (sent < 0 && (errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR)) {
                blocked_ = fd;
                return;
            }
            trains = !(sent < 0 && batch_.refused_train(errno));
            if (!trains) continue;  // once more, one by one
            if (sent <= 0) {
                ++tx_failed_;  // the first one cannot be sent: the next may
                from.pop();
            }
            for (int i = 0; i < sent; ++i) {
                ++tx_datagrams_;
                tx_bytes_ += batch_.bytes(static_cast<size_t>(i));
                from.pop();
            }
        }
    }

    void count(Statistics& out) const override {
        out.add("rx_datagrams", rx_datagrams_);
        out.add("rx_bytes", rx_bytes_);
        out.add("rx_kernel_dropped", listen_.dropped() + flows_.dropped());
        out.add("rx_too_long", rx_too_long_);
        admission_.count(out);
        out.add("tx_datagrams", tx_datagrams_);
        out.add("tx_bytes", tx_bytes_);
        out.add("tx_failed", tx_failed_);
        out.add("tx_malformed", tx_malformed_);
        out.add("tx_unroutable", tx_unroutable_);
        out.add("tx_own_address", tx_own_address_);
        out.add("tx_expired", tx_expired_);
        out.add("flows", flows_.size());
        out.add("flows_replaced", flows_.replaced());
    }

private:
    static constexpr size_t kTurn = 8 * kBatch;  // datagrams of requests that are taken at once

    static UdpSocket listening(const Arguments& arguments) {
        const std::string bound = arguments.one("--listen-fd");
        if (!bound.empty()) return UdpSocket(static_cast<int>(number(bound)));
        return UdpSocket(endpoint(arguments.must("--listen")));
    }

    static const UdpSocket& opened(const UdpSocket& socket, const Arguments& arguments) {
        const std::string where = arguments.must("--listen");
        if (!socket.open()) fail_errno("cannot bind " + where);
        if (!socket.at().ip.any()) fail("--listen " + where + " is no address of its own, which frames need");
        return socket;
    }

    void take_requests(FrameQueue& to, size_t most) {
        most = std::min(most, kTurn);
        for (size_t got = kBatch, taken = 0; got == kBatch && taken < most; taken += got)
            got = take(listen_, nullptr, most - taken, to);
    }

    void take_answers(FrameQueue& to, size_t most) {
        for (Flow* flow : flows_.ready()) {
            if (!most) return;
            most -= take(flow->socket, flow, most, to);
        }
    }

    // One batch of a socket; how many datagrams it had.
    size_t take(UdpSocket& socket, const Flow* flow, size_t most, FrameQueue& to) {
        const size_t got = socket.receive(to, most, datagrams_);
        size_t kept = 0;
        for (size_t i = 0; i < got; ++i)
            if (keep(datagrams_[i], i - kept, flow, to)) ++kept;  // slots before it have become free again
        return got;
    }

    // Whether it goes on; it lies `ahead` slots behind the next free one.
    bool keep(const Datagram& datagram, size_t ahead, const Flow* flow, FrameQueue& to) {
        ++rx_datagrams_;
        rx_bytes_ += datagram.size;
        const uint8_t* payload = to.back(ahead).data + headroom(listen_.at().ipv6);
        if (datagram.cut) return ++rx_too_long_, false;
        if (!(flow ? admission_.take_answer(datagram.from)
                   : admission_.take_request(datagram.from, payload, datagram.size)))
            return false;
        Frame& slot = to.back();
        if (ahead) std::memcpy(slot.data + headroom(listen_.at().ipv6), payload, datagram.size);
        wrap(slot, datagram.size, datagram.from, flow ? flow->client : listen_.at(), id_++, datagram.ttl);
        to.push();
        return true;
    }

    // Puts frames that leave by one socket into a batch; says which. Negative where the first one goes
    // nowhere: it is dropped.
    int fill(Outgoing& batch, FrameQueue& from) {
        int fd = -1;
        while (!batch.full() && batch.size() < from.size()) {
            Frame& frame = from.at(batch.size());
            Unwrapped headers;
            Endpoint target;
            int way = -1;
            uint64_t* lost = nullptr;
            if (!unwrap(frame, headers)) lost = &tx_malformed_;
            else lost = route(headers, way, target);
            if (lost && !batch.size()) return ++*lost, from.pop(), -1;
            if (lost || (batch.size() && way != fd)) break;  // what is in front of it goes first
            fd = way;
            uint8_t* const payload = frame.data + headroom(headers.from.ipv6);
            batch.add(payload, headers.payload, target, static_cast<uint8_t>(headers.ttl - 1));
        }
        return fd;
    }

    // Where an emitted frame goes: the socket and the address. If nowhere: the counter of what is lost so.
    uint64_t* route(const Unwrapped& frame, int& fd, Endpoint& to) {
        const bool onward = frame.to == listen_.at();
        to = onward ? admission_.first_hop() : frame.to;
        if (admission_.is_own(to)) return &tx_own_address_;
        if (frame.ttl <= 1) return &tx_expired_;
        if (!onward && flows_.find(to)) return fd = listen_.fd(), nullptr;
        const Flow* flow = flows_.find(frame.from);
        if (!flow || !admission_.is_hop(to)) return &tx_unroutable_;
        return fd = flow->socket.fd(), nullptr;
    }

    UdpSocket listen_;
    Flows flows_;
    Admission admission_;
    Datagram datagrams_[kBatch];  // kept: to clear them each time costs more than to fill them
    Outgoing batch_;
    bool answers_first_ = false;
    int blocked_ = -1;  // had no room for the next frame
    uint16_t id_ = 0;
    uint64_t rx_datagrams_ = 0, rx_bytes_ = 0, rx_too_long_ = 0, tx_datagrams_ = 0, tx_bytes_ = 0;
    uint64_t tx_failed_ = 0, tx_malformed_ = 0, tx_unroutable_ = 0, tx_own_address_ = 0, tx_expired_ = 0;
};
