// SPDX-FileCopyrightText: 2026 midwire contributors
// SPDX-License-Identifier: Apache-2.0
//
// What the kernel dropped in front of a socket: no room in its buffer, or a wrong UDP checksum.
//
// The kernel counts in 32 bits, and tells the count beside each datagram that it keeps (SO_RXQ_OVFL). What
// it dropped behind the last one is asked for (SO_MEMINFO): a burst that overflows is often the last.

#pragma once

#include <cstdint>
#include <cstring>
#include <linux/sock_diag.h>
#include <sys/socket.h>

#ifndef SO_MEMINFO
#define SO_MEMINFO 55
#endif

class KernelDrops {
public:
    static constexpr size_t kControl = CMSG_SPACE(sizeof(uint32_t));

    static void ask_for(int fd) {
        const int on = 1;
        setsockopt(fd, SOL_SOCKET, SO_RXQ_OVFL, &on, sizeof on);
    }

    // Takes what was told beside a datagram.
    void hear(const cmsghdr& item) {
        if (item.cmsg_level != SOL_SOCKET || item.cmsg_type != SO_RXQ_OVFL) return;
        uint32_t told = 0;
        std::memcpy(&told, CMSG_DATA(&item), sizeof told);
        total_ += since(told);
    }

    // All that it dropped until now.
    uint64_t total(int fd) const {
        uint32_t now[SK_MEMINFO_VARS] = {};
        socklen_t size = sizeof now;
        const bool told = getsockopt(fd, SOL_SOCKET, SO_MEMINFO, now, &size) == 0;
        return total_ + (told && size > SK_MEMINFO_DROPS * sizeof *now ? since(now[SK_MEMINFO_DROPS]) : 0);
    }

private:
    // The count goes round at 32 bits; of two, the later one is less than half of that ahead.
    uint32_t since(uint32_t count) const {
        const uint32_t more = count - static_cast<uint32_t>(total_);
        return more < 1u << 31 ? more : 0;
    }

    uint64_t total_ = 0;  // its low 32 bits are what the kernel told last
};
