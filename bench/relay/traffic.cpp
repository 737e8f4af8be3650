// SPDX-FileCopyrightText: 2026 midwire contributors
// SPDX-License-Identifier: Apache-2.0
//
// Datagrams at a rate, and somebody who counts them.
//
// traffic send IP PORT BYTES COUNT TRAIN RATE HEX: COUNT datagrams of BYTES, TRAIN in a call to the kernel, RATE
// a second; all begin with HEX. traffic count IP PORT: until none has come for a second; prints how many.

#include <arpa/inet.h>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <netinet/in.h>
#include <poll.h>
#include <string>
#include <sys/socket.h>
#include <thread>
#include <vector>

namespace {

constexpr int kSegment = 103, kMerge = 104;  // UDP_SEGMENT, UDP_GRO

int send_all(int fd, const sockaddr_in& to, char** words) {
    const size_t bytes = std::strtoul(words[0], nullptr, 10), train = std::strtoul(words[2], nullptr, 10);
    const long count = std::atol(words[1]), rate = std::atol(words[3]);
    const std::string hex = words[4];
    std::vector<uint8_t> data(bytes * train);
    for (size_t at = 0; at < data.size(); at += bytes)
        for (size_t i = 0; i < hex.size() / 2 && i < bytes; ++i)
            data[at + i] = static_cast<uint8_t>(std::stoi(hex.substr(2 * i, 2), nullptr, 16));
    const int segment = static_cast<int>(bytes);
    if (train > 1) setsockopt(fd, IPPROTO_UDP, kSegment, &segment, sizeof segment);
    const auto start = std::chrono::steady_clock::now();
    for (long sent = 0; sent < count; sent += static_cast<long>(train)) {
        if (sendto(fd, data.data(), data.size(), 0, reinterpret_cast<const sockaddr*>(&to), sizeof to) < 0)
            std::perror("send");
        const auto due = start + std::chrono::nanoseconds(1'000'000'000 / rate * sent);
        if (due > std::chrono::steady_clock::now() + std::chrono::milliseconds(1)) std::this_thread::sleep_until(due);
    }
    return 0;
}

int count_all(int fd, const sockaddr_in& at) {
    const int on = 1, room = 64 << 20;
    setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &room, sizeof room);
    setsockopt(fd, IPPROTO_UDP, kMerge, &on, sizeof on);
    if (bind(fd, reinterpret_cast<const sockaddr*>(&at), sizeof at) < 0) return std::perror("bind"), 1;
    std::puts("ready"), std::fflush(stdout);
    std::vector<uint8_t> data(1 << 16);
    long count = 0;
    for (pollfd wait{fd, POLLIN, 0}; poll(&wait, 1, count ? 1000 : 20000) > 0;) {
        alignas(cmsghdr) uint8_t control[CMSG_SPACE(sizeof(int))];
        iovec part{data.data(), data.size()};
        msghdr message{};
        message.msg_iov = &part, message.msg_iovlen = 1;
        message.msg_control = control, message.msg_controllen = sizeof control;
        const ssize_t got = recvmsg(fd, &message, 0);
        int size = 0;
        for (cmsghdr* item = CMSG_FIRSTHDR(&message); item; item = CMSG_NXTHDR(&message, item))
            if (item->cmsg_level == IPPROTO_UDP && item->cmsg_type == kMerge)
                std::memcpy(&size, CMSG_DATA(item), sizeof size);
        count += size ? (got + size - 1) / size : 1;
    }
    std::printf("%ld\n", count);
    return 0;
}

}  // namespace

int main(int argc, char** argv) {
    if (argc < 4) return 2;
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(static_cast<uint16_t>(std::atoi(argv[3])));
    inet_pton(AF_INET, argv[2], &address.sin_addr);
    const int fd = socket(AF_INET, SOCK_DGRAM, 0);
    return argv[1][0] == 's' && argc == 9 ? send_all(fd, address, argv + 4) : count_all(fd, address);
}
