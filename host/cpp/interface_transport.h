// SPDX-FileCopyrightText: 2026 midwire contributors
// SPDX-License-Identifier: Apache-2.0
//
// A bump in the wire between two network interfaces (AF_PACKET; Linux, needs CAP_NET_RAW).
//
// What comes in on one side leaves on the other. The datapath has one stream, so the side of an emitted
// frame is found as a bridge finds it: away from the side where its source address was last seen; a frame
// that we made goes to the side of its destination, or to side 1 (the next hop's) if that was never seen.
//
// The kernel must hand over frames as they are on the wire: merging on arrival is switched off on both
// interfaces, a checksum that the sender left to its hardware is filled in, and a VLAN tag that it took out
// is put back. A frame that was merged all the same, or is too long or too short, is dropped and counted.
//
// Arguments: --interface NAME, twice; --listen IP:PORT (what requests are addressed to), for the ready
// line only: registers decide what is ours.

#pragma once

#include <cerrno>
#include <linux/ethtool.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <linux/sockios.h>
#include <net/if.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "kernel_drops.h"
#include "stations.h"
#include "transport.h"

// What the kernel says in front of a frame: struct virtio_net_hdr, whose header is not C++.
struct Offload {
    uint8_t flags, gso_type;
    uint16_t header_bytes, gso_bytes, csum_start, csum_offset;
};

class InterfaceTransport : public Transport {
public:
    explicit InterfaceTransport(const Arguments& arguments) : place_(arguments.must("--listen")) {
        const auto names = arguments.all("--interface");
        if (names.size() != 2 || names[0] == names[1]) fail("two different --interface are needed");
        for (size_t side = 0; side < 2; ++side) fds_[side] = open_socket(names[side]);
    }
    ~InterfaceTransport() override {
        for (int fd : fds_) close(fd);
    }

    std::string place() const override { return place_; }

    void watch(std::vector<pollfd>& fds, bool room, bool pending) const override {
        for (int fd : fds_) {
            const bool out = pending && (blocked_ < 0 || blocked_ == fd);  // the other could be written to
            fds.push_back({fd, static_cast<short>((room ? POLLIN : 0) | (out ? POLLOUT : 0)), 0});
        }
    }

    void receive(const pollfd* fds, size_t, FrameQueue& to) override {
        for (size_t side = 0; side < 2; ++side)
            if (fds[side].revents & (POLLIN | POLLERR))
                for (size_t i = 0; i < kBatch && to.room() && take(side, to); ++i) {
                }
    }

    void send(FrameQueue& from) override {
        blocked_ = -1;
        while (!from.empty()) {
            Frame& frame = from.front();
            Offload none{};
            iovec parts[2] = {{&none, sizeof none}, {frame.data, frame.size}};
            msghdr message{};
            message.msg_iov = parts;
            message.msg_iovlen = 2;
            const int fd = fds_[side_of(frame)];
            if (sendmsg(fd, &message, MSG_DONTWAIT) < 0) {
                if (errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR) {
                    blocked_ = fd;
                    return;
                }
                ++tx_failed_;  // ENOBUFS too: the interface's queue has dropped it, as a bridge would
            } else {
                ++tx_frames_;
            }
            from.pop();
        }
    }

    void count(Statistics& out) const override {
        out.add("rx_frames", rx_frames_);
        out.add("rx_kernel_dropped", drops_[0].total(fds_[0]) + drops_[1].total(fds_[1]));
        out.add("rx_merged", rx_merged_);
        out.add("rx_too_long", rx_too_long_);
        out.add("rx_too_short", rx_too_short_);
        out.add("rx_failed", rx_failed_);
        out.add("tx_frames", tx_frames_);
        out.add("tx_failed", tx_failed_);
    }

private:
    static constexpr size_t kBatch = 256, kHeader = 14;
    // More than there are frames inside, so that the source of none of them is forgotten before it leaves.
    static constexpr size_t kStations = 4096;
    static constexpr int kSocketBytes = 4 << 20;
    static constexpr uint8_t kNeedsChecksum = 1;
    static constexpr uint32_t kTag = 4;

    static int open_socket(const std::string& name) {
        const int fd = socket(AF_PACKET, SOCK_RAW | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
        if (fd < 0) fail_errno("no packet socket (it needs the capability CAP_NET_RAW)");
        const int index = static_cast<int>(if_nametoindex(name.c_str()));
        if (!index) fail_errno("no interface " + name);
        const int on = 1;
        packet_mreq all{};
        all.mr_ifindex = index;
        all.mr_type = PACKET_MR_PROMISC;
        setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &kSocketBytes, sizeof kSocketBytes);
        sockaddr_ll address{};
        address.sll_family = AF_PACKET;
        address.sll_protocol = htons(ETH_P_ALL);
        address.sll_ifindex = index;
        merge_nothing(fd, name);
        KernelDrops::ask_for(fd);
        if (setsockopt(fd, SOL_PACKET, PACKET_VNET_HDR, &on, sizeof on) < 0 ||
            setsockopt(fd, SOL_PACKET, PACKET_IGNORE_OUTGOING, &on, sizeof on) < 0 ||
            setsockopt(fd, SOL_PACKET, PACKET_AUXDATA, &on, sizeof on) < 0 ||
            setsockopt(fd, SOL_PACKET, PACKET_ADD_MEMBERSHIP, &all, sizeof all) < 0 ||
            bind(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address) < 0)
            fail_errno("cannot open the interface " + name);
        return fd;
    }

    // Generic and hardware merging of frames on arrival; an interface that knows neither merges nothing.
    static void merge_nothing(int fd, const std::string& name) {
        ethtool_value value{};
        ifreq request{};
        std::strncpy(request.ifr_name, name.c_str(), IFNAMSIZ - 1);
        request.ifr_data = reinterpret_cast<char*>(&value);
        value.cmd = ETHTOOL_SGRO;
        ioctl(fd, SIOCETHTOOL, &request);
        value.cmd = ETHTOOL_GFLAGS;
        if (ioctl(fd, SIOCETHTOOL, &request) == 0 && value.data & ETH_FLAG_LRO) {
            value.cmd = ETHTOOL_SFLAGS;
            value.data &= ~static_cast<uint32_t>(ETH_FLAG_LRO);
            ioctl(fd, SIOCETHTOOL, &request);
        }
    }

    bool take(size_t side, FrameQueue& to) {
        Frame& frame = to.back();
        Offload about{};
        iovec parts[2] = {{&about, sizeof about}, {frame.data, kMaxFrame}};
        alignas(cmsghdr) uint8_t control[CMSG_SPACE(sizeof(tpacket_auxdata)) + KernelDrops::kControl];
        msghdr message{};
        message.msg_iov = parts;
        message.msg_iovlen = 2;
        message.msg_control = control;
        message.msg_controllen = sizeof control;
        const ssize_t got = recvmsg(fds_[side], &message, MSG_DONTWAIT);
        if (got < 0) {
            if (errno != EAGAIN && errno != EWOULDBLOCK && errno != EINTR) ++rx_failed_;
            return false;
        }
        ++rx_frames_;
        for (cmsghdr* item = CMSG_FIRSTHDR(&message); item; item = CMSG_NXTHDR(&message, item))
            drops_[side].hear(*item);
        if (about.gso_type) return ++rx_merged_, true;
        if (message.msg_flags & MSG_TRUNC) return ++rx_too_long_, true;
        if (static_cast<size_t>(got) < sizeof about + kHeader) return ++rx_too_short_, true;
        frame.size = static_cast<uint32_t>(static_cast<size_t>(got) - sizeof about);
        if (about.flags & kNeedsChecksum) finish_checksum(frame, about.csum_start, about.csum_offset);
        if (!put_tag_back(frame, message)) return ++rx_too_long_, true;
        const uint64_t source = mac_at(frame.data + 6);
        if (!(source >> 40 & 1)) stations_.see(source, static_cast<uint8_t>(side));
        to.push();
        return true;
    }

    // The sum over the pseudo header stands in the field; what follows is left to the hardware.
    static void finish_checksum(Frame& frame, size_t start, size_t offset) {
        if (start + offset + 2 > frame.size) return;
        const uint32_t sum = ~fold(sum16(frame.data + start, frame.size - start)) & 0xffff;
        put16(frame.data + start + offset, sum ? sum : 0xffff);
    }

    // A VLAN tag is taken out of the frame before we see it, and told beside it. False if it has no room.
    static bool put_tag_back(Frame& frame, msghdr& message) {
        for (cmsghdr* item = CMSG_FIRSTHDR(&message); item; item = CMSG_NXTHDR(&message, item)) {
            if (item->cmsg_level != SOL_PACKET || item->cmsg_type != PACKET_AUXDATA) continue;
            tpacket_auxdata about;
            std::memcpy(&about, CMSG_DATA(item), sizeof about);
            if (!(about.tp_status & TP_STATUS_VLAN_VALID)) continue;
            if (frame.size + kTag > kMaxFrame) return false;
            std::memmove(frame.data + 12 + kTag, frame.data + 12, frame.size - 12);
            put16(frame.data + 12, about.tp_status & TP_STATUS_VLAN_TPID_VALID ? about.tp_vlan_tpid : ETH_P_8021Q);
            put16(frame.data + 14, about.tp_vlan_tci);
            frame.size += kTag;
        }
        return true;
    }

    size_t side_of(const Frame& frame) const {
        const int sender = stations_.side(mac_at(frame.data + 6));
        if (sender >= 0) return static_cast<size_t>(1 - sender);
        const int receiver = stations_.side(mac_at(frame.data));
        return receiver >= 0 ? static_cast<size_t>(receiver) : 1;
    }

    std::string place_;
    int fds_[2] = {-1, -1};
    int blocked_ = -1;  // had no room for the next frame
    KernelDrops drops_[2];
    Stations stations_{kStations};
    uint64_t rx_frames_ = 0, rx_merged_ = 0, rx_too_long_ = 0, rx_too_short_ = 0, rx_failed_ = 0;
    uint64_t tx_frames_ = 0, tx_failed_ = 0;
};
