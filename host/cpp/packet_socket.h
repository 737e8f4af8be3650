// SPDX-FileCopyrightText: 2026 midwire contributors
// SPDX-License-Identifier: Apache-2.0
//
// A network interface, with whole frames in and out in batches (AF_PACKET; Linux, needs CAP_NET_RAW).
//
// Frames come as they are on the wire: merging on arrival is switched off, trains are cut (train.h), a
// checksum that the sender left to its hardware is filled in, and a VLAN tag that the kernel took out is put
// back. What cannot be handed on is dropped and counted.
//
// While the interface is down, frames to it fail and are counted; when it is up again, it goes on. One that
// is removed cannot come back: that is the end, with a sentence.

#pragma once

#include <cerrno>
#include <linux/if_packet.h>
#include <memory>
#include <optional>
#include <sys/socket.h>
#include <unistd.h>

#include "arguments.h"
#include "frame_queue.h"
#include "kernel_drops.h"
#include "statistics.h"
#include "train.h"
#include "unmerged.h"

struct InterfaceCounters {
    uint64_t rx_frames = 0, rx_merged = 0, rx_not_cut = 0, rx_too_long = 0, rx_too_short = 0, rx_failed = 0;
    uint64_t tx_frames = 0, tx_failed = 0;
};

class PacketSocket {
public:
    explicit PacketSocket(const std::string& name)
        : name_(name), fd_(socket(AF_PACKET, SOCK_RAW | SOCK_NONBLOCK | SOCK_CLOEXEC, 0)) {
        if (fd_ < 0) fail_errno("no packet socket (it needs the capability CAP_NET_RAW)");
        const int index = static_cast<int>(if_nametoindex(name.c_str()));
        if (!index) fail_errno("no interface " + name);
        unmerged_.emplace(fd_, index);
        open(index);
        for (size_t i = 0; i < kBatch; ++i) {
            parts_[i][0] = {&about_[i], sizeof about_[i]};
            parts_[i][1] = {bytes_.get() + i * kTrain, kTrain};
        }
    }
    ~PacketSocket() {
        unmerged_.reset();
        close(fd_);
    }
    PacketSocket(const PacketSocket&) = delete;

    int fd() const { return fd_; }
    uint64_t dropped() const { return drops_.total(fd_); }

    // Frames were received that have not been taken.
    bool waiting() const { return next_ < got_ || !train_.over(); }

    // Takes up to `most` frames, each by `keep`, into the next free slots of `to`. What is left of a batch
    // waits here.
    template <typename Keep>
    void take(FrameQueue& to, size_t most, InterfaceCounters& counters, Keep keep) {
        for (; most && to.room(); --most) {
            if (!have_train(counters)) return;
            Frame& frame = to.back();
            train_.cut(frame.data, frame.size);
            put_tag_back(frame);
            ++counters.rx_frames;
            keep(frame);
            to.push();
        }
    }

    // How many of the first `count` frames have left; negative, and errno says why, where the first one cannot.
    int send(FrameQueue& from, size_t count) {
        Offload none{};
        iovec parts[kBatch][2];
        mmsghdr messages[kBatch] = {};
        for (size_t i = 0; i < count; ++i) {
            Frame& frame = from.at(i);
            parts[i][0] = {&none, sizeof none};
            parts[i][1] = {frame.data, frame.size};
            messages[i].msg_hdr.msg_iov = parts[i];
            messages[i].msg_hdr.msg_iovlen = 2;
        }
        return sendmmsg(fd_, messages, static_cast<unsigned>(count), MSG_DONTWAIT);
    }

    // The kernel has an error for us, that it went down say: heard once.
    bool take_error() {
        int error = 0;
        socklen_t size = sizeof error;
        return getsockopt(fd_, SOL_SOCKET, SO_ERROR, &error, &size) == 0 && error;
    }

    // Ends it if the interface is gone: it never comes back under this socket.
    void check() const {
        sockaddr_ll at{};
        socklen_t size = sizeof at;
        if (getsockname(fd_, reinterpret_cast<sockaddr*>(&at), &size) == 0 && at.sll_ifindex > 0) return;
        fail("the interface " + name_ + " was removed, or moved to another network namespace; start again when it is back");
    }

    static constexpr size_t kBatch = 32;

private:
    static constexpr size_t kHeader = 14, kTag = 4;
    static constexpr size_t kTrain = (64 << 10) + 512;  // the longest IP packet, and what is around it
    static constexpr int kSocketBytes = 4 << 20;
    static constexpr size_t kControl = CMSG_SPACE(sizeof(tpacket_auxdata)) + KernelDrops::kControl;

    void open(int index) {
        const int on = 1;
        packet_mreq all{};
        all.mr_ifindex = index;
        all.mr_type = PACKET_MR_PROMISC;
        // FORCE goes beyond net.core.rmem_max, where we may.
        if (setsockopt(fd_, SOL_SOCKET, SO_RCVBUFFORCE, &kSocketBytes, sizeof kSocketBytes) < 0)
            setsockopt(fd_, SOL_SOCKET, SO_RCVBUF, &kSocketBytes, sizeof kSocketBytes);
        sockaddr_ll address{};
        address.sll_family = AF_PACKET;
        address.sll_protocol = htons(ETH_P_ALL);
        address.sll_ifindex = index;
        KernelDrops::ask_for(fd_);
        if (setsockopt(fd_, SOL_PACKET, PACKET_VNET_HDR, &on, sizeof on) < 0 ||
            setsockopt(fd_, SOL_PACKET, PACKET_IGNORE_OUTGOING, &on, sizeof on) < 0 ||
            setsockopt(fd_, SOL_PACKET, PACKET_AUXDATA, &on, sizeof on) < 0 ||
            setsockopt(fd_, SOL_PACKET, PACKET_ADD_MEMBERSHIP, &all, sizeof all) < 0 ||
            bind(fd_, reinterpret_cast<const sockaddr*>(&address), sizeof address) < 0)
            fail_errno("cannot open the interface " + name_);
    }

    // Whether a frame can be cut: goes on to the next train, and to the next batch, where one is over.
    bool have_train(InterfaceCounters& counters) {
        while (train_.over()) {
            if (next_ == got_ && !receive(counters)) return false;
            open_train(next_++, counters);
        }
        return true;
    }

    bool receive(InterfaceCounters& counters) {
        for (size_t i = 0; i < kBatch; ++i) {
            msghdr& header = messages_[i].msg_hdr;
            header = {};
            header.msg_iov = parts_[i];
            header.msg_iovlen = 2;
            header.msg_control = control_[i];
            header.msg_controllen = kControl;
        }
        const int got = recvmmsg(fd_, messages_, kBatch, MSG_DONTWAIT, nullptr);
        if (got < 0 && errno != EAGAIN && errno != EWOULDBLOCK && errno != EINTR) ++counters.rx_failed;
        next_ = 0;
        got_ = got < 0 ? 0 : static_cast<size_t>(got);
        return got_;
    }

    // Leaves train_ over where it is dropped.
    void open_train(size_t index, InterfaceCounters& counters) {
        msghdr& header = messages_[index].msg_hdr;
        const size_t size = messages_[index].msg_len;
        tag_.reset();
        for (cmsghdr* item = CMSG_FIRSTHDR(&header); item; item = CMSG_NXTHDR(&header, item)) {
            drops_.hear(*item);
            hear_tag(*item);
        }
        if (size < sizeof(Offload) + kHeader) return drop(counters.rx_too_short, counters);
        if (header.msg_flags & MSG_TRUNC) return drop(counters.rx_too_long, counters);
        uint8_t* const data = bytes_.get() + index * kTrain;
        if (!train_.open(data, size - sizeof(Offload), about_[index])) return drop(counters.rx_not_cut, counters);
        if (train_.longest() + (tag_ ? kTag : 0) > kMaxFrame) return drop(counters.rx_too_long, counters);
        counters.rx_merged += about_[index].gso_type != 0;
    }

    void drop(uint64_t& counter, InterfaceCounters& counters) {
        train_ = {};
        ++counters.rx_frames;
        ++counter;
    }

    struct Tag {
        uint16_t protocol, control;
    };

    void hear_tag(const cmsghdr& item) {
        if (item.cmsg_level != SOL_PACKET || item.cmsg_type != PACKET_AUXDATA) return;
        tpacket_auxdata about;
        std::memcpy(&about, CMSG_DATA(&item), sizeof about);
        if (!(about.tp_status & TP_STATUS_VLAN_VALID)) return;
        const bool told = about.tp_status & TP_STATUS_VLAN_TPID_VALID;
        tag_ = Tag{told ? about.tp_vlan_tpid : static_cast<uint16_t>(ETH_P_8021Q), about.tp_vlan_tci};
    }

    // The kernel took it out of the frame, and told it beside.
    void put_tag_back(Frame& frame) const {
        if (!tag_) return;
        std::memmove(frame.data + 12 + kTag, frame.data + 12, frame.size - 12);
        put16(frame.data + 12, tag_->protocol);
        put16(frame.data + 14, tag_->control);
        frame.size += kTag;
    }

    const std::string name_;
    const int fd_;
    std::optional<Unmerged> unmerged_;
    KernelDrops drops_;
    // Not initialised: pages that no train needs are never touched.
    std::unique_ptr<uint8_t[]> bytes_{new uint8_t[kBatch * kTrain]};
    Offload about_[kBatch];
    iovec parts_[kBatch][2];
    mmsghdr messages_[kBatch];
    alignas(cmsghdr) uint8_t control_[kBatch][kControl];
    size_t next_ = 0, got_ = 0;
    Train train_;
    std::optional<Tag> tag_;
};
