// SPDX-FileCopyrightText: 2026 midwire contributors
// SPDX-License-Identifier: Apache-2.0
//
// The Verilated pipeline as a datapath. Cycles pass only while something moves inside.
//
// A request that lacks fragments moves nothing: the loop sleeps meanwhile. The register `timeout` counts
// cycles of hardware, that is `timeout` / `clock_mhz` microseconds, and that time is kept in real time: a few
// times in it the pipeline is told to give up what has had no fragment since (keep_time()). This is the only
// place where real time enters it.
//
// Arguments: --quiet CYCLES (the pipeline has not the registers of formats.h: what to run on for after the
// last beat).

#include <algorithm>
#include <chrono>

#include "datapath.h"
#include "formats.h"
#include "pipeline.h"
#include "simulated_time.h"

namespace {

namespace reg = mw::reg;

constexpr uint64_t kLookEvery = 64;                     // cycles between two looks at the clock
constexpr uint64_t kSettle = 16;                        // cycles until registers know of a beat
constexpr auto kTurn = std::chrono::microseconds(500);  // between two looks at the sockets
constexpr int kLooks = 4;                               // at unfinished requests, in the time that they have

class RtlDatapath : public Datapath {
public:
    RtlDatapath(const Arguments& arguments, FrameQueue& in, FrameQueue& out)
        : quiet_(number(arguments.one("--quiet", "0"))), out_(out), pipeline_(begin(context_, arguments), in, out) {}

    void work() override {
        const auto now = Clock::now();
        if (!quiet_ && (pipeline_.moving() || collecting_)) keep_time(now);
        while (out_.room() && working() && Clock::now() < now + kTurn)
            for (uint64_t i = 0; i < kLookEvery; ++i) pipeline_.tick();
    }
    // With no room for what comes out, the transport's descriptors are what to wait for.
    int due() override {
        if (!out_.room()) return -1;
        if (working()) return 0;
        if (!waiting()) return -1;
        const auto left = std::chrono::ceil<std::chrono::milliseconds>(time_.latest() + pause() - Clock::now());
        return static_cast<int>(std::max<int64_t>(left.count(), 0));
    }
    bool idle() override { return !working() && !waiting(); }
    bool read(uint32_t address, uint32_t& value) override { return pipeline_.read(address, value); }
    bool write(uint32_t address, uint32_t value) override {
        asked_at_ = kNever;  // it may have work again
        return pipeline_.write(address, value);
    }

    void count(Statistics& out) const override {
        const PipelineCounters& counted = pipeline_.counters();
        out.add("cycles", counted.cycles);
        out.add("frames_in", counted.frames_in);
        out.add("frames_out", counted.frames_out);
        out.add("frames_bad", counted.out_bad);
    }

private:
    static constexpr uint64_t kNever = ~uint64_t{0};

    // Before the model is made: it opens its memory images by these arguments.
    static VerilatedContext& begin(VerilatedContext& context, const Arguments& arguments) {
        context.commandArgs(arguments.argc, arguments.argv);
        return context;
    }

    // Whether cycles must pass: frames wait or move, or the pipeline says that it has work inside.
    bool working() {
        const PipelineCounters& counted = pipeline_.counters();
        if (pipeline_.moving()) return true;
        if (quiet_) return counted.beats_in && pipeline_.quiet() < quiet_;
        if (pipeline_.quiet() < kSettle && counted.beats_in) return true;
        if (counted.beats_in == asked_at_) return false;
        if (look() & (mw::kStatusBusy | mw::kStatusComputing)) return true;
        if (!pipeline_.moving()) asked_at_ = counted.beats_in;
        return pipeline_.moving();
    }

    // Whether a request lacks fragments, and time is all that it needs.
    bool waiting() const { return collecting_ && patience_.count(); }

    // The status register; where a request lacks fragments, also how long it may.
    uint32_t look() {
        const uint32_t status = value_of(reg::status);
        collecting_ = status & mw::kStatusCollecting;
        if (!collecting_) return status;
        const uint64_t mhz = std::max(1u, value_of(reg::clock_mhz));
        patience_ = std::chrono::microseconds((value_of(reg::timeout) + mhz - 1) / mhz);  // only 0 is never
        return status;
    }

    // Between two looks at what is unfinished.
    Clock::duration pause() const {
        return std::max<Clock::duration>(patience_ / kLooks, std::chrono::milliseconds(1));
    }

    // Gives up what has had no fragment for `patience_`: since more cycles than passed in that time.
    void keep_time(Clock::time_point now) {
        if (now < time_.latest() + pause()) return;
        time_.mark(now, pipeline_.counters().cycles, patience_);
        look();
        uint64_t then = 0;
        if (!waiting() || !time_.cycles_at(now - patience_, then)) return;
        const uint32_t timeout = value_of(reg::timeout);
        const uint64_t passed = std::max<uint64_t>(1, pipeline_.counters().cycles - then);
        pipeline_.write(mw::kRegisters[reg::timeout].offset, static_cast<uint32_t>(std::min<uint64_t>(passed, timeout)));
        for (uint64_t i = 0; i < kSettle; ++i) pipeline_.tick();
        pipeline_.write(mw::kRegisters[reg::timeout].offset, timeout);
        asked_at_ = kNever;
    }

    uint32_t value_of(size_t index) {
        uint32_t value = 0;
        pipeline_.read(mw::kRegisters[index].offset, value);
        return value;
    }

    const uint64_t quiet_;
    FrameQueue& out_;
    VerilatedContext context_;
    Pipeline pipeline_;
    SimulatedTime time_;
    Clock::duration patience_{};
    bool collecting_ = false;
    uint64_t asked_at_ = 0;  // beats that had come in when it last had no work
};

}  // namespace

std::unique_ptr<Datapath> make_datapath(const Arguments& arguments, FrameQueue& in, FrameQueue& out) {
    return std::make_unique<RtlDatapath>(arguments, in, out);
}
