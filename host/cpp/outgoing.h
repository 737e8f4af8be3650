// SPDX-FileCopyrightText: 2026 midwire contributors
// SPDX-License-Identifier: Apache-2.0
//
// Datagrams that leave by one socket in one call: several messages, and each is one datagram or a train, those
// in a row that go to one address and are of one size, the last perhaps shorter. The kernel cuts trains
// (UDP_SEGMENT), or the interface's hardware does.
//
// Trains are not asked for on the way in (UDP_GRO): the kernel counts one that it drops as one datagram.

#pragma once

#include <cerrno>
#include "socket_address.h"

constexpr int kUdpSegment = 103;  // as linux/udp.h has it since 4.18

class Outgoing {
public:
    // Begins anew, with none. Without `trains`, each is a message of its own.
    void begin(bool trains) { trains_ = trains, count_ = messages_count_ = 0; }

    size_t size() const { return count_; }
    bool full() const { return count_ == kDatagrams || messages_count_ == kMessages; }
    size_t bytes(size_t index) const { return parts_[index].iov_len; }

    void add(uint8_t* data, size_t size, const Endpoint& to, uint8_t ttl) {
        parts_[count_++] = {data, size};
        if (messages_count_ && joins(size, to, ttl)) {
            Message& train = about_[messages_count_ - 1];
            ++train.datagrams, train.bytes += size;
            return;
        }
        about_[messages_count_++] = {to, ttl, size, size, 1};
    }

    // How many datagrams have left; negative, and errno says why, where the first ones cannot.
    int send(int fd) {
        mmsghdr messages[kMessages];
        SocketAddress to[kMessages];
        alignas(cmsghdr) uint8_t control[kMessages][CMSG_SPACE(sizeof(int)) + CMSG_SPACE(sizeof(uint16_t))] = {};
        iovec* part = parts_;
        for (size_t i = 0; i < messages_count_; ++i) {
            to[i] = address_of(about_[i].to);
            msghdr& header = messages[i].msg_hdr;
            header = {};
            header.msg_name = &to[i];
            header.msg_namelen = size_of(to[i]);
            header.msg_iov = part;
            header.msg_iovlen = about_[i].datagrams;
            header.msg_control = control[i];
            header.msg_controllen = sizeof control[i];
            tell(header, about_[i]);
            part += about_[i].datagrams;
        }
        const int sent = sendmmsg(fd, messages, static_cast<unsigned>(messages_count_), MSG_DONTWAIT);
        int datagrams = sent < 0 ? -1 : 0;
        for (int i = 0; i < sent; ++i) datagrams += static_cast<int>(about_[i].datagrams);
        return datagrams;
    }

    // Whether the first message is a train, and it did not leave because it is one: its datagrams are longer
    // than the interface's MTU, say.
    bool refused_train(int why) const {
        return about_[0].datagrams > 1 && (why == EINVAL || why == EMSGSIZE || why == EIO || why == EOPNOTSUPP);
    }

private:
    static constexpr size_t kMessages = 32, kDatagrams = 256;
    static constexpr size_t kTrain = 64, kTrainBytes = 65507;  // what the kernel takes at most

    struct Message {
        Endpoint to;
        uint8_t ttl;
        size_t each, bytes, datagrams;
    };

    bool joins(size_t size, const Endpoint& to, uint8_t ttl) const {
        const Message& train = about_[messages_count_ - 1];
        return trains_ && train.to == to && train.ttl == ttl && size <= train.each && size &&
               train.bytes == train.each * train.datagrams && train.datagrams < kTrain &&
               train.bytes + size <= kTrainBytes;
    }

    static void tell(msghdr& header, const Message& about) {
        const int ttl = about.ttl;
        const uint16_t each = static_cast<uint16_t>(about.each);
        cmsghdr* const item = CMSG_FIRSTHDR(&header);
        item->cmsg_level = about.to.ipv6 ? IPPROTO_IPV6 : IPPROTO_IP;
        item->cmsg_type = about.to.ipv6 ? IPV6_HOPLIMIT : IP_TTL;
        item->cmsg_len = CMSG_LEN(sizeof ttl);
        std::memcpy(CMSG_DATA(item), &ttl, sizeof ttl);
        if (about.datagrams == 1) {
            header.msg_controllen = CMSG_SPACE(sizeof ttl);
            return;
        }
        cmsghdr* const next = CMSG_NXTHDR(&header, item);
        next->cmsg_level = IPPROTO_UDP;
        next->cmsg_type = kUdpSegment;
        next->cmsg_len = CMSG_LEN(sizeof each);
        std::memcpy(CMSG_DATA(next), &each, sizeof each);
    }

    bool trains_ = true;
    iovec parts_[kDatagrams];
    Message about_[kMessages];
    size_t count_ = 0, messages_count_ = 0;
};
