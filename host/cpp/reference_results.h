// SPDX-FileCopyrightText: 2026 midwire contributors
// SPDX-License-Identifier: Apache-2.0
//
// Requests that are in the slice, and what came out of it, until its frames have left: in order, so many
// at most. A result goes out tensor by tensor, in the name of whoever sent tensor 0 (rules W3 and W6 of
// hw/formats/wire.py, R1 and R2 of hw/nic/result.py).

#pragma once

#include <algorithm>
#include <deque>
#include <vector>

#include "reference_frames.h"

struct Result {
    Origin origin;
    std::vector<uint8_t> bytes;       // of all outputs, one behind the other
    size_t filled = 0;                // of them
    size_t tensor = 0, sent = 0;      // the next fragment to leave: bytes of its tensor before it
    size_t begin = 0;                 // of that tensor
};

class Results {
public:
    static constexpr size_t kMost = 64;

    // `sizes`: bytes of the slice's output tensors.
    Results(const Registers& registers, const std::vector<size_t>& sizes) : registers_(registers), sizes_(sizes) {
        for (size_t bytes : sizes_) total_ += bytes;
    }

    bool room() const { return in_slice_.size() < kMost; }
    bool empty() const { return in_slice_.empty(); }
    // Bytes of the first one that comes out are all here.
    bool ready() const { return !empty() && in_slice_.front().filled == total_; }
    size_t bytes() const { return total_; }

    void enter(const Origin& origin) { in_slice_.push_back({origin, std::vector<uint8_t>(total_)}); }

    // The one whose bytes come out of the slice next; nullptr where none is in it.
    Result* next() {
        for (Result& result : in_slice_)
            if (result.filled < total_) return &result;
        return nullptr;
    }

    // The next fragment, without what FrameMaker puts in front; its payload's bytes. `ended`: it was the last
    // of the request.
    size_t take(Frame& frame, Origin& origin, bool& ended) {
        Result& result = in_slice_.front();
        const size_t total = sizes_[result.tensor], step = step_of(total);
        const size_t bytes = std::min(step, total - result.sent);
        const bool last = result.sent + bytes == total;
        uint8_t* header = frame.data + kHeaderAt;
        origin = result.origin;
        std::memcpy(header, origin.header, mw::kHeaderBytes);
        std::memcpy(frame.data + kPayloadAt, result.bytes.data() + result.begin + result.sent, bytes);
        change(header, {{mw::field::last, last},
                        {mw::field::result, 1},
                        {mw::field::declined, 0},
                        {mw::field::reason, 0},
                        {mw::field::telemetry, 0},
                        {mw::field::cycles, 0},
                        {mw::field::cursor, get_field(header, mw::field::cursor) + 1},
                        {mw::field::fragment_index, result.sent / step},
                        {mw::field::fragment_count, (total + step - 1) / step},
                        {mw::field::offset, result.sent},
                        {mw::field::total_bytes, total},
                        {mw::field::tensor_index, result.tensor},
                        {mw::field::source_count, sizes_.size()},
                        {mw::field::element_type, registers_[mw::reg::element_type]}});
        pass_on(header, micros() - origin.stamp);
        result.sent += bytes;
        if (last) result.begin += total, result.sent = 0, ++result.tensor;
        ended = result.tensor == sizes_.size();
        if (ended) in_slice_.pop_front();
        return bytes;
    }

private:
    size_t step_of(size_t total) const {
        const size_t least = (total - 1) / (mw::kMaxFragments * mw::kFragmentStep) + 1;
        const size_t steps = registers_[mw::reg::fragment_bytes] / mw::kFragmentStep;
        const size_t most = mw::kMaxFragmentBytes / mw::kFragmentStep;
        return mw::kFragmentStep * std::clamp(steps, least, most);
    }

    const Registers& registers_;
    const std::vector<size_t> sizes_;
    size_t total_ = 0;
    std::deque<Result> in_slice_;  // the first one in is the first one out
};
