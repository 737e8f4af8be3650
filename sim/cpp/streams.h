// SPDX-FileCopyrightText: 2026 midwire contributors
// SPDX-License-Identifier: Apache-2.0
//
// The two ends of AXI4-Streams, for sim/cpp/driver.cpp, which has the rules that they check.

#pragma once

#include <cstdarg>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "verilated.h"

namespace {

using u64 = unsigned long long;  // what %llu wants, on every platform

constexpr u64 kMaxUnknownFrame = u64{1} << 30;

enum Status : int { kMore = 0, kDone = 1, kDeadlock = -1, kProtocol = -2, kFatal = -3 };

struct Failure : std::runtime_error {
    Status status;
    Failure(Status s, const std::string& text) : std::runtime_error(text), status(s) {}
};

__attribute__((format(printf, 1, 2))) std::string format(const char* pattern, ...) {
    char text[2048];
    va_list args;
    va_start(args, pattern);
    std::vsnprintf(text, sizeof text, pattern, args);
    va_end(args);
    return text;
}

// One per port, so that a stall on one port does not move the stalls of another.
class Stall {
public:
    void seed(uint64_t seed, uint64_t stream, uint32_t threshold) {
        threshold_ = threshold;
        uint64_t z = seed + 0x9e3779b97f4a7c15ull * (stream + 1);  // splitmix64
        z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ull;
        z = (z ^ (z >> 27)) * 0x94d049bb133111ebull;
        state_ = (z ^ (z >> 31)) | 1;
    }
    bool next() {
        if (!threshold_) return false;
        state_ ^= state_ << 13;
        state_ ^= state_ >> 7;
        state_ ^= state_ << 17;
        return static_cast<uint32_t>(state_ >> 32) < threshold_;
    }

private:
    uint64_t state_ = 1;
    uint32_t threshold_ = 0;
};

// Verilator keeps bit 0 in the lowest bit of the first word: on a little-endian host, and there is
// no other that the wheels run on, the bytes of a port are the bytes of the stream.
static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "the driver needs a little-endian host");

// Where one end of a stream stands: `beat` of `beats` (0 while unknown) in `frame` of `count`.
template <class Data>
struct End {
    const std::string port;
    Data& tdata;
    CData &tvalid, &tready, &tlast;
    u64 beats = 0, beat = 0, frame = 0, count = 0;
    Stall stall;

    End(const char* name, Data& data, CData& valid, CData& ready, CData& last)
        : port(name), tdata(data), tvalid(valid), tready(ready), tlast(last) {}

    bool finished() const { return frame == count; }
    std::string where() const {
        const std::string total = beats ? format(" of %llu", beats) : "";
        return format("beat %llu%s of inference %llu", beat, total.c_str(), frame);
    }

protected:
    void begin(u64 frame_bytes, u64 beat_bytes, u64 frames) {
        beats = frame_bytes / beat_bytes;
        beat = frame = 0;
        count = frames;
    }
};

template <unsigned Bytes, class Data>
struct Source : End<Data> {
    using End<Data>::End;
    using End<Data>::port, End<Data>::tdata, End<Data>::tvalid, End<Data>::tready;
    using End<Data>::tlast, End<Data>::beats, End<Data>::beat, End<Data>::frame;
    using End<Data>::finished, End<Data>::where, End<Data>::stall;

    void start(const uint8_t* data, u64 frame_bytes, u64 frames) {
        this->begin(frame_bytes, Bytes, frames);
        next_ = data;
        offered_ = taken_ = false;
    }
    void idle() {
        tvalid = 0;
        tlast = 1;
        uint8_t poison[Bytes];
        std::memset(poison, 0xa5, Bytes);
        put(poison);
    }
    void drive() {
        if (taken_) {
            idle();
            taken_ = false;
        }
        if (offered_ || finished() || stall.next()) return;
        put(next_);
        tvalid = 1;
        tlast = beat + 1 == beats;
        offered_ = true;
    }
    // True if a beat moved; `first` is set if it was the first of its frame.
    bool sample(bool& first) {
        if (!offered_ || !tready) return false;
        offered_ = false;
        taken_ = true;
        next_ += Bytes;
        first = beat == 0;
        if (++beat == beats) {
            beat = 0;
            ++frame;
        }
        return true;
    }
    std::string state() const {
        if (finished()) return port + " has sent everything";
        return port + (offered_ ? " waits for tready (" : " offers nothing (") + where() + ")";
    }

private:
    void put(const uint8_t* bytes) {
        std::memset(static_cast<void*>(&tdata), 0, sizeof(Data));
        std::memcpy(static_cast<void*>(&tdata), bytes, Bytes);
    }

    const uint8_t* next_ = nullptr;
    bool offered_ = false, taken_ = false;
};

template <unsigned Bytes, class Data>
struct Sink : End<Data> {
    using End<Data>::End;
    using End<Data>::port, End<Data>::tdata, End<Data>::tvalid, End<Data>::tready;
    using End<Data>::tlast, End<Data>::beats, End<Data>::beat, End<Data>::frame;
    using End<Data>::count, End<Data>::finished, End<Data>::where, End<Data>::stall;

    std::vector<uint8_t> bytes;

    void start(u64 frame_bytes, u64 frames) {
        this->begin(frame_bytes, Bytes, frames);
        bytes.clear();
        bytes.reserve(frame_bytes * frames);
        held_ = false;
    }
    void drive() { ready_ = !finished() && !stall.next(); }
    bool stalled() const { return !ready_; }
    void probe() { tready = 1; }
    void probed() { would_ = tvalid; }
    void apply() { tready = ready_; }

    // True if a beat moved; `last` is set if it was the last of its frame.
    bool sample(u64 cycle, bool was_probed, bool& last) {
        if (was_probed && would_ != tvalid) fail_dependent(cycle);
        if (held_) check_held(cycle);
        if (!tvalid) return false;
        if (finished()) fail_extra(cycle);
        if (!ready_) {
            held_ = true;
            std::memcpy(held_data_, static_cast<const void*>(&tdata), Bytes);
            held_last_ = tlast;
            return false;
        }
        held_ = false;
        check_last(cycle);
        const size_t at = bytes.size();
        bytes.resize(at + Bytes);
        std::memcpy(bytes.data() + at, static_cast<const void*>(&tdata), Bytes);
        ++beat;
        last = tlast;
        if (last) {
            if (!beats) beats = beat;
            beat = 0;
            ++frame;
        }
        return true;
    }
    std::string state() const {
        if (finished()) return port + " has received everything";
        return port + (held_ ? " holds a beat (" : " waits for tvalid (") + where() + ")";
    }

private:
    void check_held(u64 cycle) const {
        const char* what = nullptr;
        if (!tvalid)
            what = "tvalid fell";
        else if (std::memcmp(held_data_, static_cast<const void*>(&tdata), Bytes))
            what = "tdata changed";
        else if (held_last_ != tlast)
            what = "tlast changed";
        if (what)
            throw Failure(kProtocol,
                          format("%s: %s at cycle %llu before tready took the beat (%s): tvalid, "
                                 "tdata and tlast must hold until they are taken",
                                 port.c_str(), what, cycle, where().c_str()));
    }
    void check_last(u64 cycle) const {
        const bool expected = beat + 1 == beats;
        if (beats && expected != static_cast<bool>(tlast))
            throw Failure(kProtocol,
                          format("%s_tlast is %d on %s (counted from 0) at cycle %llu: expected "
                                 "%d, since tlast marks the final beat and only that",
                                 port.c_str(), tlast, where().c_str(), cycle, expected));
        if (!beats && !tlast && (beat + 1) * Bytes > kMaxUnknownFrame)
            throw Failure(kProtocol, format("%s sent %llu bytes without tlast: the design never "
                                            "ends its frame",
                                            port.c_str(), (beat + 1) * Bytes));
    }
    [[noreturn]] void fail_dependent(u64 cycle) const {
        if (ready_)  // our own tready was high both times
            throw Failure(kProtocol,
                          format("%s_tvalid is %d with every tready high and %d with another "
                                 "output's low, at cycle %llu (%s): tvalid must not depend on "
                                 "tready",
                                 port.c_str(), would_, tvalid, cycle, where().c_str()));
        throw Failure(kProtocol,
                      format("%s_tvalid is %d with %s_tready high and %d with it low, at cycle "
                             "%llu (%s): tvalid must not depend on tready",
                             port.c_str(), would_, port.c_str(), tvalid, cycle, where().c_str()));
    }
    [[noreturn]] void fail_extra(u64 cycle) const {
        throw Failure(kProtocol,
                      format("%s offers a beat at cycle %llu, after the last of %llu frames: the "
                             "design must send one frame for each inference",
                             port.c_str(), cycle, count));
    }

    uint8_t held_data_[Bytes] = {};
    CData would_ = 0, held_last_ = 0;
    bool held_ = false, ready_ = false;
};

}  // namespace
