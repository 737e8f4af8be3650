// SPDX-FileCopyrightText: 2026 midwire contributors
// SPDX-License-Identifier: Apache-2.0
//
// The Verilated pipeline as a datapath. Cycles pass only while something moves inside, so they tell no time:
// `clock_mhz` is 0, and the register `time_us` is told the real time before cycles pass, once a turn.
//
// A request that lacks fragments moves nothing. The loop sleeps meanwhile, and wakes a few times before the
// next moment at which its sender could be asked or it could be given up (`ask_us`, `timeout_us`): it tells
// the time, and lets as many cycles pass as the pipeline needs to look at all its slots.
//
// While frames wait in front of the pipeline, which is slow, what lacks may be among them: nobody is asked
// meanwhile, and the pipeline has 0 in its register `ask_us`. Whoever reads it is told what was written.
//
// Arguments: --quiet CYCLES (the pipeline has not the registers of formats.h: what to run on for after the
// last beat).

#include <algorithm>

#include "clock.h"
#include "datapath.h"
#include "formats.h"
#include "pipeline.h"

namespace {

namespace reg = mw::reg;

constexpr uint64_t kLookEvery = 64;                     // cycles between two looks at the clock
constexpr uint64_t kSettle = 16;                        // cycles until registers know of a beat
constexpr uint64_t kScan = 512;                         // cycles in which it has looked at all its slots
constexpr uint64_t kInside = 4096;                      // cycles that a frame is on its way to where it is known
constexpr auto kTurn = std::chrono::microseconds(500);  // between two looks at the sockets
constexpr Micros kTick = 100;                           // between two times that it is told
constexpr Micros kLeastPause = 1000;                    // between two looks at what lacks fragments
constexpr Micros kMostPause = 600'000'000;              // until it removes what is too old: its time wraps

class RtlDatapath : public Datapath {
public:
    RtlDatapath(const Arguments& arguments, FrameQueue& in, FrameQueue& out)
        : quiet_(number(arguments.one("--quiet", "0"))),
          in_(in),
          out_(out),
          pipeline_(begin(context_, arguments), in, out) {}

    void work(Micros now) override {
        if (!in_.empty()) crowd_until_ = pipeline_.counters().cycles + kInside;
        hold_asks(pipeline_.counters().cycles < crowd_until_);
        if (now >= look_at_) let_it_look();
        tell_time(now);
        const auto end = Clock::now() + kTurn;
        bool works = true;
        while (out_.room() && (works = working()) && Clock::now() < end)
            for (uint64_t i = 0; i < kLookEvery; ++i) pipeline_.tick();
        if (!works) crowd_until_ = 0;
    }
    // With no room for what comes out, the transport's descriptors are what to wait for.
    Micros due() override {
        if (!out_.room()) return kNever;
        return working() ? 0 : until(look_at_);
    }
    // A request that is never given up is not waited for.
    bool idle() override { return !working() && !(collecting_ && timeout_); }
    bool read(uint32_t address, uint32_t& value) override {
        if (!is_ask(address)) return pipeline_.read(address, value);
        value = ask_;
        return true;
    }
    bool write(uint32_t address, uint32_t value) override {
        let_it_look();  // it may have work again
        if (!is_ask(address)) return pipeline_.write(address, value);
        ask_ = value & ((1u << kAsk.width) - 1);
        return pipeline_.write(address, crowded_ ? 0 : ask_);
    }

    void count(Statistics& out) const override {
        const PipelineCounters& counted = pipeline_.counters();
        out.add("cycles", counted.cycles);
        out.add("frames_in", counted.frames_in);
        out.add("frames_out", counted.frames_out);
        out.add("frames_bad", counted.out_bad);
    }

private:
    static constexpr uint64_t kNone = ~uint64_t{0};
    static constexpr mw::Register kAsk = mw::kRegisters[reg::ask_us];

    bool is_ask(uint32_t address) const { return !quiet_ && address == kAsk.offset; }

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
        if (counted.cycles < looks_until_ || (counted.beats_in && pipeline_.quiet() < kSettle)) return true;
        if (counted.beats_in == asked_at_) return false;
        if (look() & (mw::kStatusBusy | mw::kStatusComputing)) return true;
        if (!pipeline_.moving()) asked_at_ = counted.beats_in;
        return pipeline_.moving();
    }

    // The status register; where a request lacks fragments, also when to look again.
    uint32_t look() {
        const uint32_t status = value_of(reg::status);
        collecting_ = status & mw::kStatusCollecting;
        const Micros ask = ask_, now = micros();
        look_at_ = now + kMostPause;
        if (!collecting_) return status;
        timeout_ = value_of(reg::timeout_us);
        if (pipeline_.counters().beats_in != beats_in_) beats_in_ = pipeline_.counters().beats_in, came_ = now;
        if (!ask && !timeout_) return status;
        // Each ask takes twice as long as the one before: what has waited for long may wait a little longer.
        Micros pause = std::max(ask / 2, (now - came_) / 8);
        if (timeout_ && (!ask || pause > timeout_ / 4)) pause = timeout_ / 4;
        look_at_ = now + std::max(pause, kLeastPause);
        return status;
    }

    // Gives it the cycles to look at all its slots.
    void let_it_look() {
        looks_until_ = pipeline_.counters().cycles + kScan;
        look_at_ = kNever;
        asked_at_ = kNone;
    }

    // Told at the begin of a turn only: behind frames that this turn takes, others may wait in a socket, and
    // the next turn begins with those. The last ones of a crowd may be inside when no other waits.
    void hold_asks(bool crowded) {
        if (quiet_ || crowded_ == crowded) return;
        crowded_ = crowded;
        pipeline_.write(kAsk.offset, crowded_ ? 0 : ask_);
    }

    void tell_time(Micros now) {
        if (quiet_ || now < told_ + kTick) return;
        pipeline_.write(mw::kRegisters[reg::time_us].offset, static_cast<uint32_t>(now));
        told_ = now;
    }

    uint32_t value_of(size_t index) {
        uint32_t value = 0;
        pipeline_.read(mw::kRegisters[index].offset, value);
        return value;
    }

    const uint64_t quiet_;
    FrameQueue &in_, &out_;
    VerilatedContext context_;
    Pipeline pipeline_;
    Micros told_ = 0, look_at_ = kNever, timeout_ = 0;
    uint32_t ask_ = kAsk.reset;
    bool collecting_ = false, crowded_ = false;
    uint64_t looks_until_ = 0;              // cycles that must have passed
    uint64_t crowd_until_ = 0;              // cycles up to which frames of a crowd may be inside
    uint64_t asked_at_ = 0;                 // beats that had come in when it last had no work
    uint64_t beats_in_ = 0;                 // when it last was looked at what lacks fragments
    Micros came_ = 0;                       // when there were more of them
};

}  // namespace

std::unique_ptr<Datapath> make_datapath(const Arguments& arguments, FrameQueue& in, FrameQueue& out) {
    return std::make_unique<RtlDatapath>(arguments, in, out);
}
