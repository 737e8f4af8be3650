// SPDX-FileCopyrightText: 2026 midwire contributors
// SPDX-License-Identifier: Apache-2.0
//
// Addresses as the kernel has them, of IPv4 and IPv6.

#pragma once

#include <netinet/in.h>
#include <sys/socket.h>

#include "frame.h"

union SocketAddress {
    sockaddr any;
    sockaddr_in v4;
    sockaddr_in6 v6;
};

inline socklen_t size_of(const SocketAddress& address) {
    return address.any.sa_family == AF_INET6 ? sizeof address.v6 : sizeof address.v4;
}

inline SocketAddress address_of(const Endpoint& end) {
    SocketAddress out;
    std::memset(&out, 0, sizeof out);
    if (end.ipv6) {
        out.v6.sin6_family = AF_INET6;
        out.v6.sin6_port = htons(end.port);
        std::memcpy(&out.v6.sin6_addr, end.ip.bytes.data(), 16);
    } else {
        out.v4.sin_family = AF_INET;
        out.v4.sin_port = htons(end.port);
        out.v4.sin_addr.s_addr = htonl(end.ip.ipv4());
    }
    return out;
}

inline Endpoint endpoint_of(const SocketAddress& address) {
    if (address.any.sa_family != AF_INET6)
        return {IpAddress::of(ntohl(address.v4.sin_addr.s_addr)), ntohs(address.v4.sin_port), false};
    const auto* bytes = reinterpret_cast<const uint8_t*>(&address.v6.sin6_addr);
    return {IpAddress::at(bytes, true), ntohs(address.v6.sin6_port), true};
}
