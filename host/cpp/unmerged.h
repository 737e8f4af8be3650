// SPDX-FileCopyrightText: 2026 midwire contributors
// SPDX-License-Identifier: Apache-2.0
//
// An interface that merges no frames on arrival (GRO, LRO), as long as this lives; then it is as it was.
// Only SIGKILL leaves it so: `ethtool -K NAME gro on` is what it was then.

#pragma once

#include <cstdint>
#include <cstring>
#include <linux/ethtool.h>
#include <linux/sockios.h>
#include <net/if.h>
#include <sys/ioctl.h>

class Unmerged {
public:
    // `fd` is a socket that lives longer. An interface that knows no merging merges nothing.
    Unmerged(int fd, int index) : fd_(fd), index_(index) {
        uint32_t flags = 0;
        gro_ = get(ETHTOOL_GGRO, flags) && flags && set(ETHTOOL_SGRO, 0);
        lro_ = get(ETHTOOL_GFLAGS, flags) && flags & ETH_FLAG_LRO && set(ETHTOOL_SFLAGS, flags & ~kLro);
    }
    ~Unmerged() {
        uint32_t flags = 0;
        if (gro_) set(ETHTOOL_SGRO, 1);
        if (lro_ && get(ETHTOOL_GFLAGS, flags)) set(ETHTOOL_SFLAGS, flags | kLro);
    }
    Unmerged(const Unmerged&) = delete;

private:
    static constexpr uint32_t kLro = ETH_FLAG_LRO;

    bool get(uint32_t command, uint32_t& value) const {
        ethtool_value about{command, 0};
        if (!ask(about)) return false;
        value = about.data;
        return true;
    }
    bool set(uint32_t command, uint32_t value) const {
        ethtool_value about{command, value};
        return ask(about);
    }
    // By its name now: it may have another one than when we began.
    bool ask(ethtool_value& about) const {
        ifreq request{};
        if (!if_indextoname(static_cast<unsigned>(index_), request.ifr_name)) return false;
        request.ifr_data = reinterpret_cast<char*>(&about);
        return ioctl(fd_, SIOCETHTOOL, &request) == 0;
    }

    const int fd_, index_;
    bool gro_ = false, lro_ = false;
};
