// SPDX-FileCopyrightText: 2026 midwire contributors
// SPDX-License-Identifier: Apache-2.0
//
// A bump in the wire between two network interfaces (packet_socket.h; Linux, needs CAP_NET_RAW).
//
// What comes in on one side leaves on the other. The datapath has one stream, so the side of an emitted
// frame is found as a bridge finds it: away from the side where its source address was last seen; a frame
// that we made goes to the side of its destination, or to side 1 (the next hop's) if that was never seen.
//
// Arguments: --interface NAME, twice; --listen IP:PORT (what requests are addressed to), for the ready
// line only: registers decide what is ours.

#pragma once

#include "link_news.h"
#include "packet_socket.h"
#include "stations.h"
#include "transport.h"

class InterfaceTransport : public Transport {
public:
    explicit InterfaceTransport(const Arguments& arguments) : place_(arguments.must("--listen")) {
        const auto names = arguments.all("--interface");
        if (names.size() != 2 || names[0] == names[1]) fail("two different --interface are needed");
        for (size_t side = 0; side < 2; ++side) sides_[side] = std::make_unique<PacketSocket>(names[side]);
    }

    std::string place() const override { return place_; }

    void watch(std::vector<pollfd>& fds, bool room, bool pending) const override {
        for (int side = 0; side < 2; ++side) {
            const bool out = pending && (blocked_ < 0 || blocked_ == side);  // the other could be written to
            fds.push_back({sides_[side]->fd(), static_cast<short>((room ? POLLIN : 0) | (out ? POLLOUT : 0)), 0});
        }
        fds.push_back({news_.fd(), POLLIN, 0});
    }

    bool ready() const override { return sides_[0]->waiting() || sides_[1]->waiting(); }

    // A turn is bounded, and the sides go first in turn, with half of the room where the other one has
    // something too: a crowd on one side keeps out nothing of the other.
    void receive(const pollfd* fds, size_t, FrameQueue& to) override {
        for (size_t side = 0; side < 2; ++side)
            if (fds[side].revents & POLLERR) counters_.rx_failed += sides_[side]->take_error();
        if (fds[2].revents) look_at_interfaces();
        first_ = 1 - first_;
        const auto has = [&](size_t side) { return fds[side].revents & POLLIN || sides_[side]->waiting(); };
        const size_t room = to.room(), second = 1 - first_;
        if (has(first_)) take(first_, has(second) ? (room + 1) / 2 : room, to);
        if (has(second)) take(second, room, to);
    }

    void send(FrameQueue& from) override {
        blocked_ = -1;
        while (!from.empty()) {
            const size_t side = side_of(from.front());
            size_t count = 1;
            while (count < PacketSocket::kBatch && count < from.size() && side_of(from.at(count)) == side) ++count;
            const int sent = sides_[side]->send(from, count);
            if (sent < 0 && (errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR)) {
                blocked_ = static_cast<int>(side);
                return;
            }
            if (sent <= 0) {
                ++counters_.tx_failed;  // ENOBUFS too: the interface's queue has dropped it, as a bridge would
                from.pop();
            }
            for (int i = 0; i < sent; ++i) from.pop();
            counters_.tx_frames += sent > 0 ? static_cast<uint64_t>(sent) : 0;
        }
    }

    void count(Statistics& out) const override {
        out.add("rx_frames", counters_.rx_frames);
        out.add("rx_kernel_dropped", sides_[0]->dropped() + sides_[1]->dropped());
        out.add("rx_merged", counters_.rx_merged);
        out.add("rx_not_cut", counters_.rx_not_cut);
        out.add("rx_too_long", counters_.rx_too_long);
        out.add("rx_too_short", counters_.rx_too_short);
        out.add("rx_failed", counters_.rx_failed);
        out.add("tx_frames", counters_.tx_frames);
        out.add("tx_failed", counters_.tx_failed);
    }

private:
    static constexpr size_t kTurn = 8 * PacketSocket::kBatch;  // frames of a side that are taken at once
    // More than there are frames inside, so that the source of none of them is forgotten before it leaves.
    static constexpr size_t kStations = 4096;

    void look_at_interfaces() {
        news_.forget();
        for (const auto& side : sides_) side->check();
    }

    void take(size_t side, size_t most, FrameQueue& to) {
        sides_[side]->take(to, std::min(most, kTurn), counters_, [&](const Frame& frame) {
            const uint64_t source = mac_at(frame.data + 6);
            if (!(source >> 40 & 1)) stations_.see(source, static_cast<uint8_t>(side));
        });
    }

    size_t side_of(const Frame& frame) const {
        const int sender = stations_.side(mac_at(frame.data + 6));
        if (sender >= 0) return static_cast<size_t>(1 - sender);
        const int receiver = stations_.side(mac_at(frame.data));
        return receiver >= 0 ? static_cast<size_t>(receiver) : 1;
    }

    std::string place_;
    LinkNews news_;  // before the sides are opened: nothing is missed
    std::unique_ptr<PacketSocket> sides_[2];
    size_t first_ = 0;
    int blocked_ = -1;  // the side that had no room for the next frame
    Stations stations_{kStations};
    InterfaceCounters counters_;
};
