// SPDX-FileCopyrightText: 2026 midwire contributors
// SPDX-License-Identifier: Apache-2.0
//
// The slice: the way to the process that has the numpy reference (host/nodes/reference_helper.py), a stream
// socket.
//
//   there  number of the request (32 bits), zero (32), the bytes of the slice's inputs, one behind the other
//   back   the same number, zero, the bytes of the slice's outputs
//
// in network order. Answers come in the order of requests; many go at once where many wait. Neither side
// waits for the other here; when the helper has gone, the process ends and says so.

#pragma once

#include <cerrno>
#include <deque>
#include <poll.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include "arguments.h"
#include "reference_results.h"
#include "reference_slots.h"

class Helper {
public:
    Helper(int fd, Results& results) : fd_(fd), results_(results) {}

    // A whole request, which goes into the slice or waits for it. Slots whose tensors have gone are given to
    // `left`: at once, or one turn of frames would fill them all.
    template <typename Left>
    void ask(Slot& slot, Left left) {
        waiting_.push_back(&slot);
        send(left);
    }
    void watch(std::vector<pollfd>& fds) const {
        fds.push_back({fd_, static_cast<short>(POLLIN | (can_send() ? POLLOUT : 0)), 0});
    }

    // Moves what can be moved now.
    template <typename Left>
    void turn(Left left) {
        send(left);
        while (receive_some()) {
        }
    }

private:
    static constexpr size_t kHead = 8;

    bool can_send() const { return !waiting_.empty() && (results_.room() || sent_); }

    template <typename Left>
    void send(Left left) {
        while (can_send() && send_some(left)) {
        }
    }

    template <typename Left>
    bool send_some(Left left) {
        Slot& slot = *waiting_.front();
        uint8_t head[kHead] = {};
        put32(head, asked_);
        iovec parts[2] = {{head, kHead}, {slot.memory.data(), slot.memory.size()}};
        const ssize_t moved = move(parts, sent_, true);
        if (moved < 0) return again();
        if (!sent_) results_.enter(slot.parts[0].first);
        sent_ += static_cast<size_t>(moved);
        if (sent_ < kHead + slot.memory.size()) return true;
        sent_ = 0;
        ++asked_;
        waiting_.pop_front();
        left(slot);
        return true;
    }

    bool receive_some() {
        Result* result = results_.next();
        uint8_t nobodys[1];
        iovec parts[2] = {{head_, kHead}, {nobodys, 0}};
        if (result) parts[1] = {result->bytes.data(), result->bytes.size()};
        const ssize_t moved = move(parts, got_, false);
        if (moved == 0) fail("the numpy reference has gone");
        if (moved < 0) return again();
        got_ += static_cast<size_t>(moved);
        if (got_ < kHead) return true;
        if (!result || get32(head_) != answered_) fail("the numpy reference answered what was not asked");
        result->filled = got_ - kHead;
        if (result->filled < result->bytes.size()) return true;
        got_ = 0;
        ++answered_;
        return true;
    }

    // Sends or receives what lies behind the first `skip` bytes of two parts.
    ssize_t move(iovec (&parts)[2], size_t skip, bool sends) const {
        for (iovec& part : parts) {
            const size_t done = std::min(skip, part.iov_len);
            part = {static_cast<uint8_t*>(part.iov_base) + done, part.iov_len - done};
            skip -= done;
        }
        msghdr message{};
        message.msg_iov = parts;
        message.msg_iovlen = 2;
        return sends ? sendmsg(fd_, &message, MSG_DONTWAIT | MSG_NOSIGNAL) : recvmsg(fd_, &message, MSG_DONTWAIT);
    }

    static bool again() {
        if (errno != EAGAIN && errno != EWOULDBLOCK && errno != EINTR)
            fail_errno("the numpy reference has gone");
        return false;
    }

    const int fd_;
    Results& results_;
    std::deque<Slot*> waiting_;
    uint8_t head_[kHead] = {};
    uint32_t asked_ = 0, answered_ = 0;
    size_t sent_ = 0, got_ = 0;  // of the request and of the answer under way
};
