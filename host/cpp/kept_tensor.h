// SPDX-FileCopyrightText: 2026 midwire contributors
// SPDX-License-Identifier: Apache-2.0
//
// Frames of one tensor of a result that is kept (kept.h): one piece of memory, which is zeroed when it is let go.

#pragma once

#include <cstring>
#include <string.h>
#include <utility>
#include <vector>

#include "clock.h"
#include "frame.h"

class KeptTensor {
public:
    KeptTensor() = default;
    KeptTensor(KeptTensor&&) = default;
    ~KeptTensor() { explicit_bzero(memory_.data(), memory_.size()); }

    static size_t bytes_for(size_t count, size_t frame_bytes) { return count * (sizeof(Mark) + frame_bytes); }

    size_t bytes() const { return memory_.size(); }
    size_t count() const { return count_; }  // fragments; 0 where none has left
    size_t left() const { return left_; }    // of them, have left

    // Of so many frames, none larger than so many bytes.
    void begin(size_t count, size_t frame_bytes) {
        count_ = count;
        step_ = sizeof(Mark) + frame_bytes;
        memory_.resize(bytes_for(count, frame_bytes));
    }

    // The next frame that leaves; false where it is not the next one, or no such one as the first was.
    bool append(size_t index, size_t count, const Frame& frame, Micros now) {
        if (index != left_ || count != count_ || left_ == count_ || sizeof(Mark) + frame.size > step_) return false;
        uint8_t* const to = memory_.data() + left_++ * step_;
        const Mark mark{now, frame.size};
        std::memcpy(to, &mark, sizeof mark);
        std::memcpy(to + sizeof mark, frame.data, frame.size);
        return true;
    }

    // A frame as it left, and when.
    void copy(size_t index, Frame& frame, Micros& left) const {
        const uint8_t* const from = memory_.data() + index * step_;
        Mark mark;
        std::memcpy(&mark, from, sizeof mark);
        std::memcpy(frame.data, from + sizeof mark, mark.size);
        frame.size = mark.size;
        left = mark.left;
    }

private:
    struct Mark {  // in front of each
        Micros left;
        uint32_t size;
    };

    size_t count_ = 0, step_ = 0, left_ = 0;
    std::vector<uint8_t> memory_;
};
