// SPDX-FileCopyrightText: 2026 midwire contributors
// SPDX-License-Identifier: Apache-2.0
//
// Readable where something has become of a network interface of this namespace (rtnetlink(7)). The socket of
// an interface is told once only, that it went down, and not that it was removed a moment later.

#pragma once

#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <sys/socket.h>
#include <unistd.h>

#include "arguments.h"

class LinkNews {
public:
    LinkNews() : fd_(socket(AF_NETLINK, SOCK_RAW | SOCK_NONBLOCK | SOCK_CLOEXEC, NETLINK_ROUTE)) {
        sockaddr_nl address{};
        address.nl_family = AF_NETLINK;
        address.nl_groups = RTMGRP_LINK;
        if (fd_ < 0 || bind(fd_, reinterpret_cast<const sockaddr*>(&address), sizeof address) < 0)
            fail_errno("cannot ask what becomes of interfaces");
    }
    ~LinkNews() { close(fd_); }
    LinkNews(const LinkNews&) = delete;

    int fd() const { return fd_; }

    // What it was does not matter: whoever is concerned looks for himself.
    void forget() {
        char text[8192];
        while (recv(fd_, text, sizeof text, 0) > 0) {
        }
    }

private:
    const int fd_;
};
