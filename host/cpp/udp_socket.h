// SPDX-FileCopyrightText: 2026 midwire contributors
// SPDX-License-Identifier: Apache-2.0
//
// A bound UDP socket, datagrams in batches, and what goes beside each: its time to live (TTL; in IPv6, its hop
// limit), which goes through the NIC as through a router, so that IP ends what would go round for ever; and the kernel's drops.

#pragma once

#include <algorithm>
#include <cerrno>
#include <fcntl.h>
#include <unistd.h>

#include "frame.h"
#include "frame_queue.h"
#include "kernel_drops.h"
#include "outgoing.h"

constexpr size_t kBatch = 32;

inline msghdr message_of(SocketAddress& end, iovec& part, uint8_t* control, size_t size) {
    msghdr out{};
    out.msg_name = &end;
    out.msg_namelen = sizeof end;
    out.msg_iov = &part;
    out.msg_iovlen = 1;
    out.msg_control = control;
    out.msg_controllen = size;
    return out;
}

struct Datagram {
    Endpoint from;
    uint32_t size = 0;
    uint8_t ttl = kTtl;
    bool cut = false;  // longer than its slot
};

class UdpSocket {
public:
    // Not open() where it cannot be had: errno says why.
    explicit UdpSocket(const Endpoint& at)
        : fd_(socket(at.ipv6 ? AF_INET6 : AF_INET, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0)), at_(at) {
        if (fd_ < 0) return;
        set_options();
        const SocketAddress address = address_of(at);
        if (bind(fd_, &address.any, size_of(address)) < 0 || !read_address()) give_up();
    }
    // One that is bound already, and perhaps shares its address; closed with this.
    explicit UdpSocket(int bound) : fd_(bound) {
        fcntl(fd_, F_SETFD, FD_CLOEXEC);
        fcntl(fd_, F_SETFL, O_NONBLOCK);
        if (read_address()) set_options();
        else give_up();
    }
    ~UdpSocket() {
        if (fd_ >= 0) close(fd_);
    }
    UdpSocket(const UdpSocket&) = delete;

    bool open() const { return fd_ >= 0; }
    int fd() const { return fd_; }
    const Endpoint& at() const { return at_; }
    uint64_t dropped() const { return drops_.total(fd_); }

    // Takes up to `most` datagrams, each into the payload of one of the next free slots of `to`, which
    // stay free; says how many, and of each what `about` has room for.
    size_t receive(FrameQueue& to, size_t most, Datagram (&about)[kBatch]) {
        mmsghdr messages[kBatch];
        iovec parts[kBatch];
        SocketAddress from[kBatch];
        alignas(cmsghdr) uint8_t control[kBatch][CMSG_SPACE(sizeof(int)) + KernelDrops::kControl];
        const size_t room = std::min({most, to.room(), kBatch});
        for (size_t i = 0; i < room; ++i) {
            parts[i] = {to.back(i).data + headroom(at_.ipv6), max_payload(at_.ipv6)};
            messages[i].msg_hdr = message_of(from[i], parts[i], control[i], sizeof *control);
        }
        const int got = recvmmsg(fd_, messages, static_cast<unsigned>(room), MSG_DONTWAIT, nullptr);
        for (int i = 0; i < got; ++i) {
            about[i] = {endpoint_of(from[i]), messages[i].msg_len};
            about[i].cut = messages[i].msg_hdr.msg_flags & MSG_TRUNC;
            read_beside(messages[i].msg_hdr, about[i]);
        }
        return got < 0 ? 0 : static_cast<size_t>(got);
    }

private:
    static constexpr int kBytes = 4 << 20;

    void set_options() {
        const int on = 1;
        setsockopt(fd_, SOL_SOCKET, SO_RCVBUF, &kBytes, sizeof kBytes);
        setsockopt(fd_, SOL_SOCKET, SO_SNDBUF, &kBytes, sizeof kBytes);
        if (at_.ipv6) setsockopt(fd_, IPPROTO_IPV6, IPV6_RECVHOPLIMIT, &on, sizeof on);
        else setsockopt(fd_, IPPROTO_IP, IP_RECVTTL, &on, sizeof on);
        KernelDrops::ask_for(fd_);
    }

    bool read_address() {
        SocketAddress address{};
        socklen_t size = sizeof address;
        if (getsockname(fd_, &address.any, &size) < 0) return false;
        at_ = endpoint_of(address);
        return true;
    }

    void give_up() {
        const int why = errno;
        close(fd_);
        fd_ = -1;
        errno = why;
    }

    void read_beside(msghdr& message, Datagram& about) {
        for (cmsghdr* item = CMSG_FIRSTHDR(&message); item; item = CMSG_NXTHDR(&message, item)) {
            drops_.hear(*item);
            const bool told = at_.ipv6 ? item->cmsg_level == IPPROTO_IPV6 && item->cmsg_type == IPV6_HOPLIMIT
                                       : item->cmsg_level == IPPROTO_IP && item->cmsg_type == IP_TTL;
            if (!told) continue;
            int ttl = 0;
            std::memcpy(&ttl, CMSG_DATA(item), sizeof ttl);
            about.ttl = static_cast<uint8_t>(ttl);
        }
    }

    int fd_;
    Endpoint at_;
    KernelDrops drops_;
};
