// SPDX-FileCopyrightText: 2026 midwire contributors
// SPDX-License-Identifier: Apache-2.0
//
// Registers from outside while the loop runs: packets over Unix sockets (SOCK_SEQPACKET).
//
// A packet is up to 512 records of 12 bytes, network order; the answer has as many, in their order:
//
//   request  operation (0 read, 1 write), 3 bytes zero, address (32), value (32)
//   answer   status (0 done, 1 not understood, 2 SLVERR), 3 bytes zero, address (32), value (32)
//
// Everything is bounded: connections, records in a packet, and a peer that does not take its answers is
// hung up. Who cannot be accepted now, as there is no descriptor left, waits and is looked at again later.
// host/control/register_bus.py is the other end.
//
// Arguments: --control-fd NUMBER (a connected socket), --control PATH (listen there, for this user only).

#pragma once

#include <cerrno>
#include <cstring>
#include <fcntl.h>
#include <poll.h>
#include <string>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>
#include <vector>

#include "arguments.h"
#include "clock.h"
#include "datapath.h"

class ControlChannel {
public:
    explicit ControlChannel(const Arguments& arguments) : path_(arguments.one("--control")) {
        const std::string given = arguments.one("--control-fd");
        if (!given.empty()) peers_.push_back(static_cast<int>(number(given)));
        if (!path_.empty()) listen_on();
    }
    ~ControlChannel() {
        if (listen_ >= 0) unlink(path_.c_str());
    }
    ControlChannel(const ControlChannel&) = delete;

    void watch(std::vector<pollfd>& fds) {
        if (again_ <= Clock::now()) again_ = {};
        for (int peer : peers_) fds.push_back({peer, POLLIN, 0});
        if (listen_ >= 0 && peers_.size() < kPeers && again_ == Clock::time_point{})
            fds.push_back({listen_, POLLIN, 0});
    }

    // How long until watch() is to be asked again although nothing has come; kNever.
    Micros due() const {
        if (again_ == Clock::time_point{}) return kNever;
        const auto left = std::chrono::ceil<std::chrono::microseconds>(again_ - Clock::now()).count();
        return left > 0 ? static_cast<Micros>(left) : 0;
    }

    // `fds` are those that watch() appended.
    void serve(const pollfd* fds, size_t count, Datapath& datapath) {
        std::vector<int> gone;
        for (size_t i = 0; i < count; ++i) {
            if (!fds[i].revents) continue;
            if (fds[i].fd == listen_) {
                const int peer = accept4(listen_, nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC);
                if (peer >= 0) peers_.push_back(peer);
                else again_ = Clock::now() + kPause;
            } else if (!answer(fds[i].fd, datapath)) {
                gone.push_back(fds[i].fd);
            }
        }
        for (int peer : gone) {
            close(peer);
            for (size_t i = 0; i < peers_.size(); ++i)
                if (peers_[i] == peer) peers_.erase(peers_.begin() + static_cast<long>(i--));
        }
    }

private:
    static constexpr size_t kPeers = 8, kRecord = 12, kRecords = 512;
    static constexpr auto kPause = std::chrono::milliseconds(100);

    void listen_on() {
        sockaddr_un address{};
        address.sun_family = AF_UNIX;
        if (path_.size() >= sizeof address.sun_path) fail("path of the control socket too long: " + path_);
        std::memcpy(address.sun_path, path_.c_str(), path_.size() + 1);
        const auto* where = reinterpret_cast<const sockaddr*>(&address);
        const int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
        // A socket that nobody answers at was left by a process that was killed. Any other file refuses
        // connections too, and is somebody's.
        struct stat found{};
        if (fd >= 0 && connect(fd, where, sizeof address) < 0 && errno == ECONNREFUSED &&
            lstat(path_.c_str(), &found) == 0 && S_ISSOCK(found.st_mode))
            unlink(path_.c_str());
        const mode_t old = umask(0177);
        const bool bound = fd >= 0 && bind(fd, where, sizeof address) == 0 && listen(fd, kPeers) == 0;
        umask(old);
        if (!bound) fail_errno("cannot listen at " + path_);
        listen_ = fd;
    }

    // False when the peer has gone or does not take its answers.
    static bool answer(int fd, Datapath& datapath) {
        uint8_t packet[kRecords * kRecord + 1];
        const ssize_t got = recv(fd, packet, sizeof packet, MSG_DONTWAIT);
        if (got < 0) return errno == EAGAIN || errno == EINTR;
        const size_t size = static_cast<size_t>(got);
        if (size == 0 || size > kRecords * kRecord || size % kRecord) return false;
        for (size_t at = 0; at < size; at += kRecord) {
            uint8_t* record = packet + at;
            const uint32_t address = get32(record + 4);
            uint32_t value = get32(record + 8);
            if (record[0] > 1) record[0] = 1;
            else if (record[0] == 1) record[0] = datapath.write(address, value) ? 0 : 2;
            else record[0] = datapath.read(address, value) ? 0 : 2;
            put32(record + 8, value);
        }
        return send(fd, packet, size, MSG_DONTWAIT | MSG_NOSIGNAL) == got;
    }

    std::string path_;
    std::vector<int> peers_;
    int listen_ = -1;
    Clock::time_point again_;  // when to accept again, after it failed: until then poll() would not sleep
};
