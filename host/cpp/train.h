// SPDX-FileCopyrightText: 2026 midwire contributors
// SPDX-License-Identifier: Apache-2.0
//
// What the kernel hands over of an interface: a frame as it is on the wire, or a train, one large frame
// that a sender left to its hardware to cut (TSO, GSO). A virtual interface has no such hardware and hands
// it on uncut, whatever is switched off on it; so it is cut here, as the hardware would have:
//
// * every frame has the train's headers, with its own length, IPv4 identification (one more each), TCP
//   sequence number and checksums;
// * FIN and PSH stand in the last one only, CWR in the first one only (RFC 3168).
//
// Trains are of TCP or UDP straight over IPv4 or IPv6, with VLAN tags in front perhaps. Those inside a
// tunnel are not known here.

#pragma once

#include <algorithm>
#include <linux/if_ether.h>
#include <netinet/in.h>

#include "frame.h"

// What the kernel says in front of a frame: struct virtio_net_hdr, whose header is not C++.
struct Offload {
    uint8_t flags, gso_type;
    uint16_t header_bytes, gso_bytes, csum_start, csum_offset;
};

class Train {
public:
    // The bytes must stay until it is over(). False if it is a train of a kind that is not known.
    bool open(uint8_t* data, size_t size, const Offload& about) {
        data_ = data, size_ = size, index_ = 0;
        at_ = head_ = 0;
        chunk_ = size;
        const bool merged = about.gso_type & ~kEcn;
        if (!merged && about.flags & kNeedsChecksum) finish_checksum(about.csum_start, about.csum_offset);
        if (!merged || measure(about)) return true;
        at_ = size_;
        return false;
    }
    bool over() const { return at_ >= size_; }

    // Bytes of its longest frame.
    size_t longest() const { return head_ + std::min(chunk_, size_ - head_); }

    // The next frame, where it is not over. `to` has room for the longest.
    void cut(uint8_t* to, uint32_t& size) {
        const size_t chunk = std::min(chunk_, size_ - at_);
        std::memcpy(to, data_, head_);
        std::memcpy(to + head_, data_ + at_, chunk);
        size = static_cast<uint32_t>(head_ + chunk);
        if (head_) mend(to, size);
        at_ += chunk;
        ++index_;
    }

private:
    static constexpr uint8_t kNeedsChecksum = 1, kTcp4 = 1, kTcp6 = 4, kUdp = 5, kEcn = 0x80;
    static constexpr size_t kAddresses = 12, kIp4 = 20, kIp6 = 40, kUdpHead = 8, kTcpHead = 20;
    static constexpr uint8_t kFin = 1, kPsh = 8, kCwr = 0x80;

    // Where its headers are, and whether they are as they must be.
    bool measure(const Offload& about) {
        const uint8_t kind = about.gso_type & static_cast<uint8_t>(~kEcn);
        if (kind != kTcp4 && kind != kTcp6 && kind != kUdp) return false;
        ip_ = kAddresses + 2;
        while (ip_ + 4 < size_ && is_tag(get16(data_ + ip_ - 2))) ip_ += 4;
        l4_ = about.csum_start;
        if (!about.gso_bytes || l4_ + kTcpHead > size_) return false;
        six_ = get16(data_ + ip_ - 2) == ETH_P_IPV6;
        if (!six_ && get16(data_ + ip_ - 2) != ETH_P_IP) return false;
        if (l4_ != ip_ + (six_ ? kIp6 : size_t{4} * (data_[ip_] & 0xf))) return false;
        udp_ = kind == kUdp;
        if (data_[ip_ + (six_ ? 6 : 9)] != (udp_ ? IPPROTO_UDP : IPPROTO_TCP)) return false;
        head_ = l4_ + (udp_ ? kUdpHead : size_t{4} * (data_[l4_ + 12] >> 4));
        chunk_ = about.gso_bytes;
        at_ = head_;
        return head_ < size_;
    }

    static bool is_tag(uint32_t type) { return type == ETH_P_8021Q || type == ETH_P_8021AD; }

    // The headers of the frame that is made of data_[at_...].
    void mend(uint8_t* frame, size_t size) const {
        uint8_t* const ip = frame + ip_;
        uint8_t* const l4 = frame + l4_;
        const uint32_t length = static_cast<uint32_t>(size - l4_);
        if (six_) {
            put16(ip + 4, length);
        } else {
            const size_t head = l4_ - ip_;
            put16(ip + 2, static_cast<uint32_t>(head) + length);
            put16(ip + 4, get16(ip + 4) + index_);
            put16(ip + 10, 0);
            put16(ip + 10, ~fold(sum16(ip, head)) & 0xffff);
        }
        if (udp_) put16(l4 + 4, length);
        else mend_tcp(l4, size - head_);
        uint8_t* const sum_at = l4 + (udp_ ? 6 : 16);
        put16(sum_at, 0);
        const uint32_t protocol = udp_ ? IPPROTO_UDP : IPPROTO_TCP;
        const uint32_t pseudo = six_ ? sum16(ip + 8, 32, protocol + length) : sum16(ip + 12, 8, protocol + length);
        const uint32_t sum = ~fold(sum16(l4, length, pseudo)) & 0xffff;
        put16(sum_at, sum ? sum : 0xffff);
    }

    void mend_tcp(uint8_t* tcp, size_t chunk) const {
        put32(tcp + 4, get32(tcp + 4) + static_cast<uint32_t>(at_ - head_));
        if (at_ + chunk < size_) tcp[13] &= static_cast<uint8_t>(~(kFin | kPsh));
        if (index_) tcp[13] &= static_cast<uint8_t>(~kCwr);
    }

    // The sum over the pseudo header stands in the field; what follows was left to the hardware.
    void finish_checksum(size_t start, size_t offset) {
        if (start + offset + 2 > size_) return;
        const uint32_t sum = ~fold(sum16(data_ + start, size_ - start)) & 0xffff;
        put16(data_ + start + offset, sum ? sum : 0xffff);
    }

    uint8_t* data_ = nullptr;
    size_t size_ = 0, at_ = 0, head_ = 0, chunk_ = 0, ip_ = 0, l4_ = 0;
    uint32_t index_ = 0;
    bool six_ = false, udp_ = false;
};
