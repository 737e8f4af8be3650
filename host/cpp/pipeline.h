// SPDX-FileCopyrightText: 2026 midwire contributors
// SPDX-License-Identifier: Apache-2.0
//
// The Verilated pipeline of a bundle, driven cycle by cycle: frames in, frames out, registers over AXI-Lite.
//
// Time only passes while tick() is called, so an idle pipeline costs nothing. Any width of the streams
// works: tdata and tkeep are filled through their own sizes. Wide ones bring no more bytes a cycle than
// narrow ones do: what comes faster than it is looked at would pass (rule A5 of hw/nic/wide/splitter.py).

#pragma once

#include <cstdint>
#include <cstring>
#include <memory>
#include <stdexcept>

#include "Vnic.h"
#include "frame_queue.h"
#include "verilated.h"

struct PipelineCounters {
    uint64_t cycles = 0, frames_in = 0, frames_out = 0, beats_in = 0, beats_out = 0;
    uint64_t out_bad = 0;  // emitted with the bad-frame bit, too long or empty: not sent
};

class Pipeline {
public:
    Pipeline(VerilatedContext& context, FrameQueue& in, FrameQueue& out)
        : top_(new Vnic(&context)), in_(in), out_(out) {
        top_->clk = 0;
        top_->aresetn = 0;
        for (int i = 0; i < 8; ++i) tick();
        top_->aresetn = 1;
        running_ = true;
        tick();
    }
    ~Pipeline() { top_->final(); }

    const PipelineCounters& counters() const { return counters_; }
    // A frame is between the queues and the pipeline's inside.
    bool moving() const { return !in_.empty() || filled_ > 0; }
    // Cycles since a beat moved on either stream.
    uint64_t quiet() const { return counters_.cycles - last_move_; }

    void tick() {
        drive();
        top_->clk = 0;
        top_->eval();
        const bool took = top_->s_axis_tvalid && top_->s_axis_tready;
        const bool gave = top_->m_axis_tvalid && top_->m_axis_tready;
        if (gave) collect();
        aw_ |= top_->s_axil_awvalid && top_->s_axil_awready;
        w_ |= top_->s_axil_wvalid && top_->s_axil_wready;
        ar_ |= top_->s_axil_arvalid && top_->s_axil_arready;
        if (top_->s_axil_bvalid && top_->s_axil_bready) b_ = true, okay_ = top_->s_axil_bresp == 0;
        if (top_->s_axil_rvalid && top_->s_axil_rready)
            r_ = true, okay_ = top_->s_axil_rresp == 0, data_ = top_->s_axil_rdata;
        top_->clk = 1;
        top_->eval();
        ++counters_.cycles;
        if (took) advance();
        if (took || gave) last_move_ = counters_.cycles;
    }

    // A register access takes some cycles, in which frames move as ever; false if answered by SLVERR.
    bool write(uint32_t address, uint32_t value) {
        aw_ = w_ = b_ = false;
        top_->s_axil_awaddr = address;
        top_->s_axil_wdata = value;
        top_->s_axil_wstrb = 0xf;
        top_->s_axil_bready = 1;
        for (int i = 0; !b_; ++i) {
            if (i == kAxilCycles) throw std::runtime_error("no answer to a register write");
            top_->s_axil_awvalid = !aw_;
            top_->s_axil_wvalid = !w_;
            tick();
        }
        top_->s_axil_awvalid = top_->s_axil_wvalid = top_->s_axil_bready = 0;
        return okay_;
    }

    bool read(uint32_t address, uint32_t& value) {
        ar_ = r_ = false;
        top_->s_axil_araddr = address;
        top_->s_axil_rready = 1;
        for (int i = 0; !r_; ++i) {
            if (i == kAxilCycles) throw std::runtime_error("no answer to a register read");
            top_->s_axil_arvalid = !ar_;
            tick();
        }
        top_->s_axil_arvalid = top_->s_axil_rready = 0;
        value = data_;
        return okay_;
    }

private:
    static constexpr int kAxilCycles = 1000;
    static constexpr size_t kBytes = sizeof(Vnic::s_axis_tdata);
    static constexpr size_t kCoreBytes = 8, kBetweenFrames = 24;

    static uint64_t ones(size_t count) { return count >= 64 ? ~uint64_t{0} : (uint64_t{1} << count) - 1; }

    // Presents the next beat; a presented beat does not change until it is taken.
    void drive() {
        top_->m_axis_tready = running_ && out_.room() > 0;
        if (!running_ || in_.empty()) {
            top_->s_axis_tvalid = 0;
            return;
        }
        if (top_->s_axis_tvalid || counters_.cycles < next_) return;
        const Frame& frame = in_.front();
        const size_t left = frame.size - sent_;
        const size_t count = left < kBytes ? left : kBytes;
        uint8_t beat[kBytes] = {};
        std::memcpy(beat, frame.data + sent_, count);
        std::memcpy(&top_->s_axis_tdata, beat, kBytes);
        top_->s_axis_tkeep = ones(count);
        top_->s_axis_tlast = left <= kBytes;
        top_->s_axis_tuser = 0;
        top_->s_axis_tvalid = 1;
    }

    void advance() {
        ++counters_.beats_in;
        top_->s_axis_tvalid = 0;  // drive() presents the next beat before the next edge
        next_ = counters_.cycles + kBytes / kCoreBytes - 1;
        sent_ += kBytes;
        if (sent_ < in_.front().size) return;
        sent_ = 0;
        if (kBytes > kCoreBytes) next_ += kBetweenFrames / kCoreBytes;
        in_.pop();
        ++counters_.frames_in;
    }

    void collect() {
        ++counters_.beats_out;
        Frame& frame = out_.back();
        const uint64_t keep = top_->m_axis_tkeep;
        size_t count = 0;
        while (count < kBytes && keep >> count & 1) ++count;
        if (filled_ + count <= kMaxFrame) {
            std::memcpy(frame.data + filled_, &top_->m_axis_tdata, count);
        } else {
            too_long_ = true;
        }
        filled_ += count;
        if (!top_->m_axis_tlast) return;
        if (too_long_ || filled_ == 0 || (top_->m_axis_tuser & 1)) {
            ++counters_.out_bad;
        } else {
            frame.size = static_cast<uint32_t>(filled_);
            out_.push(top_->m_axis_tid);
            ++counters_.frames_out;
        }
        filled_ = 0;
        too_long_ = false;
    }

    std::unique_ptr<Vnic> top_;
    FrameQueue& in_;
    FrameQueue& out_;
    PipelineCounters counters_;
    size_t sent_ = 0, filled_ = 0;
    uint64_t last_move_ = 0, next_ = 0;
    uint32_t data_ = 0;
    bool running_ = false, too_long_ = false;
    bool aw_ = false, w_ = false, b_ = false, ar_ = false, r_ = false, okay_ = false;
};
