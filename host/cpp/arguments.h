// SPDX-FileCopyrightText: 2026 midwire contributors
// SPDX-License-Identifier: Apache-2.0
//
// Command-line arguments: pairs of --key and value, a key perhaps several times. Each part of the
// program reads its own; what nobody has read is an error. Errors end the process with one line.

#pragma once

#include <arpa/inet.h>
#include <cerrno>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <map>
#include <set>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "frame.h"

// Thrown, so that whatever was changed outside of the process is undone on the way to main().
[[noreturn]] inline void fail(const std::string& text) { throw std::runtime_error(text); }

[[noreturn]] inline void fail_errno(const std::string& text) { fail(text + ": " + std::strerror(errno)); }

inline uint64_t number(const std::string& text) {
    char* end = nullptr;
    errno = 0;
    const uint64_t value = std::strtoull(text.c_str(), &end, 0);
    if (text.empty() || *end || errno) fail("not a number: " + text);
    return value;
}

inline std::pair<std::string, std::string> split(const std::string& text, char mark) {
    const size_t at = text.rfind(mark);
    if (at == std::string::npos) fail("expected LEFT" + std::string(1, mark) + "RIGHT, not " + text);
    return {text.substr(0, at), text.substr(at + 1)};
}

// IP:PORT, an IPv6 address in brackets or not.
inline Endpoint endpoint(const std::string& text) {
    auto [host, port] = split(text, ':');
    if (host.size() > 2 && host.front() == '[' && host.back() == ']') host = host.substr(1, host.size() - 2);
    uint8_t bytes[16];
    const bool ipv6 = host.find(':') != std::string::npos;
    if (inet_pton(ipv6 ? AF_INET6 : AF_INET, host.c_str(), bytes) != 1 || number(port) > 0xffff)
        fail("not an IP address and port: " + text);
    return {IpAddress::at(bytes, ipv6), static_cast<uint16_t>(number(port)), ipv6};
}

inline std::string text_of(const Endpoint& end) {
    char text[INET6_ADDRSTRLEN] = {};
    inet_ntop(end.ipv6 ? AF_INET6 : AF_INET, end.ip.bytes.data() + (end.ipv6 ? 0 : 12), text, sizeof text);
    return (end.ipv6 ? "[" + std::string(text) + "]" : std::string(text)) + ":" + std::to_string(end.port);
}

class Arguments {
public:
    Arguments(int argc, char** argv) : argc(argc), argv(argv) {
        for (int i = 1; i < argc; ++i) {
            const std::string key = argv[i];
            if (key[0] == '+') continue;  // the simulator's own
            if (++i == argc) fail(key + " needs a value");
            values_[key].push_back(argv[i]);
        }
    }

    std::vector<std::string> all(const std::string& key) const {
        read_.insert(key);
        const auto found = values_.find(key);
        return found == values_.end() ? std::vector<std::string>{} : found->second;
    }
    std::string one(const std::string& key, const std::string& otherwise = "") const {
        const auto found = all(key);
        return found.empty() ? otherwise : found.back();
    }
    std::string must(const std::string& key) const {
        const auto found = all(key);
        if (found.empty()) fail(key + " is missing");
        return found.back();
    }
    // Call when everything has read what it knows.
    void check() const {
        for (const auto& [key, value] : values_)
            if (!read_.count(key)) fail("unknown argument " + key);
    }

    const int argc;
    char** const argv;

private:
    std::map<std::string, std::vector<std::string>> values_;
    mutable std::set<std::string> read_;
};
