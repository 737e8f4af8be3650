// SPDX-FileCopyrightText: 2026 midwire contributors
// SPDX-License-Identifier: Apache-2.0
//
// The Verilated pipeline as a datapath. Time passes only while there is work.
//
// Arguments: --busy ADDRESS=MASK[,ADDRESS=MASK...] (the pipeline has work inside while a masked bit is set
// in each of these registers; may be given several times), --quiet CYCLES (what to run on for after the
// last beat where there is no --busy).

#include <algorithm>
#include <chrono>
#include <sstream>

#include "datapath.h"
#include "pipeline.h"

namespace {

constexpr uint64_t kLookEvery = 64;                    // cycles between two looks at the clock
constexpr uint64_t kSettle = 16;                       // cycles until --busy knows of a beat
constexpr auto kTurn = std::chrono::microseconds(500);  // between two looks at the sockets

class RtlDatapath : public Datapath {
public:
    RtlDatapath(const Arguments& arguments, FrameQueue& in, FrameQueue& out)
        : quiet_(number(arguments.one("--quiet", "1000"))),
          out_(out),
          pipeline_(begin(context_, arguments), in, out) {
        for (const std::string& item : arguments.all("--busy")) {
            busy_.emplace_back();
            std::istringstream parts(item);
            for (std::string part; std::getline(parts, part, ',');) {
                const auto [address, mask] = split(part, '=');
                busy_.back().push_back(
                    {static_cast<uint32_t>(number(address)), static_cast<uint32_t>(number(mask))});
            }
        }
    }

    void work() override {
        const auto until = std::chrono::steady_clock::now() + kTurn;
        while (out_.room() && working() && std::chrono::steady_clock::now() < until)
            for (uint64_t i = 0; i < kLookEvery; ++i) pipeline_.tick();
    }
    // With no room for what comes out, the transport's descriptors are what to wait for.
    int due() override { return out_.room() && working() ? 0 : -1; }
    bool idle() override { return !working(); }
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
    struct Bits {
        uint32_t address, mask;
    };

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
        if (busy_.empty()) return counted.beats_in && pipeline_.quiet() < quiet_;
        if (pipeline_.quiet() < kSettle && counted.beats_in) return true;
        if (counted.beats_in == asked_at_) return false;
        const auto set = [&](const Bits& bits) {
            uint32_t value = 0;
            return pipeline_.read(bits.address, value) && value & bits.mask;
        };
        for (const std::vector<Bits>& all : busy_)
            if (std::all_of(all.begin(), all.end(), set)) return true;
        if (!pipeline_.moving()) asked_at_ = counted.beats_in;
        return pipeline_.moving();
    }

    const uint64_t quiet_;
    FrameQueue& out_;
    std::vector<std::vector<Bits>> busy_;
    VerilatedContext context_;
    Pipeline pipeline_;
    uint64_t asked_at_ = 0;  // beats that had come in when it last had no work
};

}  // namespace

std::unique_ptr<Datapath> make_datapath(const Arguments& arguments, FrameQueue& in, FrameQueue& out) {
    return std::make_unique<RtlDatapath>(arguments, in, out);
}
