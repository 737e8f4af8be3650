// SPDX-FileCopyrightText: 2026 midwire contributors
// SPDX-License-Identifier: Apache-2.0
//
// The way to the process that has the numpy reference (host/nodes/reference_helper.py): a stream socket.
//
//   there  slot (32 bits), zero (32), the bytes of the slice's input
//   back   slot (32 bits), zero (32), the bytes of the slice's output
//
// in network order. Whole tensors go, many at once where many wait. Neither side waits for the other
// here; when the helper has gone, the process ends and says so.

#pragma once

#include <cerrno>
#include <deque>
#include <poll.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <vector>

#include "arguments.h"
#include "reference_slots.h"

class Helper {
public:
    Helper(int fd, Slots& slots) : fd_(fd), slots_(slots), back_(kHead + slots[0].output.size()) {}

    void ask(size_t slot) { waiting_.push_back(slot); }
    void watch(std::vector<pollfd>& fds) const {
        fds.push_back({fd_, static_cast<short>(POLLIN | (waiting_.empty() ? 0 : POLLOUT)), 0});
    }

    // Moves what can be moved now; gives the slots whose output has come.
    void turn(std::deque<size_t>& done) {
        while (!waiting_.empty() && send_some()) {
        }
        while (receive_some(done)) {
        }
    }

private:
    static constexpr size_t kHead = 8;

    bool send_some() {
        Slot& slot = slots_[waiting_.front()];
        uint8_t head[kHead] = {};
        put32(head, static_cast<uint32_t>(waiting_.front()));
        iovec parts[2] = {{head, kHead}, {slot.input.data(), slot.input.size()}};
        msghdr message{};
        message.msg_iov = parts;
        message.msg_iovlen = 2;
        for (size_t skip = sent_, i = 0; i < 2; ++i) {
            const size_t part = std::min(skip, parts[i].iov_len);
            parts[i] = {static_cast<uint8_t*>(parts[i].iov_base) + part, parts[i].iov_len - part};
            skip -= part;
        }
        const ssize_t moved = sendmsg(fd_, &message, MSG_DONTWAIT | MSG_NOSIGNAL);
        if (moved < 0) return again();
        sent_ += static_cast<size_t>(moved);
        if (sent_ < kHead + slot.input.size()) return true;
        sent_ = 0;
        waiting_.pop_front();
        return true;
    }

    bool receive_some(std::deque<size_t>& done) {
        const ssize_t moved = recv(fd_, back_.data() + got_, back_.size() - got_, MSG_DONTWAIT);
        if (moved == 0) fail("the numpy reference has gone");
        if (moved < 0) return again();
        got_ += static_cast<size_t>(moved);
        if (got_ < back_.size()) return true;
        got_ = 0;
        const size_t index = get32(back_.data());
        if (index >= slots_.size()) fail("the numpy reference answered what was not asked");
        std::memcpy(slots_[index].output.data(), back_.data() + kHead, slots_[index].output.size());
        done.push_back(index);
        return true;
    }

    static bool again() {
        if (errno != EAGAIN && errno != EWOULDBLOCK && errno != EINTR)
            fail_errno("the numpy reference has gone");
        return false;
    }

    const int fd_;
    Slots& slots_;
    std::deque<size_t> waiting_;
    std::vector<uint8_t> back_;
    size_t sent_ = 0, got_ = 0;
};
