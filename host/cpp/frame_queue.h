// SPDX-FileCopyrightText: 2026 midwire contributors
// SPDX-License-Identifier: Apache-2.0
//
// A bounded queue of frames whose slots are reused. Push: fill back(), then push().

#pragma once

#include <cstddef>
#include <vector>

#include "frame.h"

class FrameQueue {
public:
    explicit FrameQueue(size_t slots) : slots_(slots) {}
    bool empty() const { return count_ == 0; }
    size_t size() const { return count_; }
    size_t room() const { return slots_.size() - count_; }
    Frame& front() { return slots_[head_]; }
    Frame& at(size_t index) { return slots_[(head_ + index) % slots_.size()]; }
    Frame& back(size_t ahead = 0) { return slots_[(head_ + count_ + ahead) % slots_.size()]; }
    void push() { ++count_; }
    void pop() { head_ = (head_ + 1) % slots_.size(), --count_; }

private:
    std::vector<Frame> slots_;
    size_t head_ = 0, count_ = 0;
};
