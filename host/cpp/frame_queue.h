// SPDX-FileCopyrightText: 2026 midwire contributors
// SPDX-License-Identifier: Apache-2.0
//
// A bounded queue of frames whose slots are reused. Push: fill back(), then push().

#pragma once

#include <cstddef>
#include <memory>
#include <utility>
#include <vector>

#include "frame.h"

class FrameQueue {
public:
    explicit FrameQueue(size_t slots) : slots_(slots) {
        for (auto& slot : slots_) slot = std::make_unique<Frame>();
    }
    bool empty() const { return count_ == 0; }
    size_t size() const { return count_; }
    size_t room() const { return slots_.size() - count_; }
    Frame& front() { return *slots_[head_]; }
    Frame& at(size_t index) { return *slot(index); }
    Frame& back(size_t ahead = 0) { return *slot(count_ + ahead); }
    void push(bool made = false) { slot(count_++)->made = made; }
    void pop() { head_ = (head_ + 1) % slots_.size(), --count_; }

    // Takes out frames from `first` on for which that is so; the others keep their order, and none is copied.
    template <typename Predicate>
    void remove_if(size_t first, Predicate predicate) {
        size_t kept = first;
        for (size_t index = first; index < count_; ++index)
            if (!predicate(*slot(index))) {
                if (kept != index) std::swap(slot(kept), slot(index));
                ++kept;
            }
        count_ = kept;
    }

    // The first frame of another queue, which gets a free one for it, without a copy.
    void move_from(FrameQueue& other) {
        std::swap(slot(count_), other.slot(0));
        push();
        other.pop();
    }

private:
    std::unique_ptr<Frame>& slot(size_t index) { return slots_[(head_ + index) % slots_.size()]; }

    std::vector<std::unique_ptr<Frame>> slots_;
    size_t head_ = 0, count_ = 0;
};
