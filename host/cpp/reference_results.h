// SPDX-FileCopyrightText: 2026 midwire contributors
// SPDX-License-Identifier: Apache-2.0
//
// Requests that are in the slice, and what came out of it, until its frames have left: in order, so many
// at most. A result goes out tensor by tensor, in the name of whoever sent tensor 0 (rules W3 and W6 of
// hw/formats/wire.py, R1 and R2 of hw/nic/result.py).

#pragma once

#include <algorithm>
#include <deque>
#include <string.h>
#include <utility>
#include <vector>

#include "reference_frames.h"

// A fragment of one: of which of its tensors, of so many bytes, that begins at `begin` of all; the bytes of the
// tensor before it.
struct Piece {
    size_t tensor, total, begin, offset;
};

struct Result {
    Origin origin;
    std::vector<uint8_t> bytes;  // of all outputs, one behind the other
    size_t filled = 0;           // of them
    Piece next{};                // to leave
    uint64_t fragment_bytes = 0, element_type = 0;  // as when it began to leave

    // Bytes of a fragment that is not the last one of a tensor, and the fragments of that.
    size_t step(size_t total) const {
        const size_t least = (total - 1) / (mw::kMaxFragments * mw::kFragmentStep) + 1;
        const size_t steps = fragment_bytes / mw::kFragmentStep;
        const size_t most = mw::kMaxFragmentBytes / mw::kFragmentStep;
        return mw::kFragmentStep * std::clamp(steps, least, most);
    }
    size_t pieces(size_t total) const { return (total + step(total) - 1) / step(total); }

    // A fragment, without what FrameMaker puts in front; its payload's bytes. `tensors`: that the result has.
    size_t write(Frame& frame, const Piece& piece, size_t tensors) const {
        const size_t size = std::min(step(piece.total), piece.total - piece.offset);
        uint8_t* header = frame.data + kHeaderAt;
        std::memcpy(header, origin.header, mw::kHeaderBytes);
        std::memcpy(frame.data + kPayloadAt, bytes.data() + piece.begin + piece.offset, size);
        change(header, {{mw::field::last, piece.offset + size == piece.total},
                        {mw::field::result, 1},
                        {mw::field::declined, 0},
                        {mw::field::reason, 0},
                        {mw::field::telemetry, 0},
                        {mw::field::cycles, 0},
                        {mw::field::cursor, get_field(header, mw::field::cursor) + 1},
                        {mw::field::fragment_index, piece.offset / step(piece.total)},
                        {mw::field::fragment_count, pieces(piece.total)},
                        {mw::field::offset, piece.offset},
                        {mw::field::total_bytes, piece.total},
                        {mw::field::tensor_index, piece.tensor},
                        {mw::field::source_count, tensors},
                        {mw::field::element_type, element_type}});
        pass_on(header, micros() - origin.stamp);
        return size;
    }
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

    // The next fragment, as Result::write. `ended`: it was the last of the request, which pop() takes out.
    size_t take(Frame& frame, Origin& origin, bool& ended) {
        Result& result = in_slice_.front();
        Piece& next = result.next;
        if (!next.begin && !next.offset) {
            next.total = sizes_[0];
            result.fragment_bytes = registers_[mw::reg::fragment_bytes];
            result.element_type = registers_[mw::reg::element_type];
        }
        origin = result.origin;
        const size_t bytes = result.write(frame, next, sizes_.size());
        next.offset += bytes;
        ended = next.offset == next.total && next.tensor + 1 == sizes_.size();
        if (!ended && next.offset == next.total)
            next = {next.tensor + 1, sizes_[next.tensor + 1], next.begin + next.total, 0};
        return bytes;
    }
    void pop() {
        std::vector<uint8_t>& bytes = in_slice_.front().bytes;
        explicit_bzero(bytes.data(), bytes.size());  // as what was kept of it is (K5)
        in_slice_.pop_front();
    }

private:
    const Registers& registers_;
    const std::vector<size_t> sizes_;
    size_t total_ = 0;
    std::deque<Result> in_slice_;  // the first one in is the first one out
};
