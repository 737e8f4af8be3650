// SPDX-FileCopyrightText: 2026 midwire contributors
// SPDX-License-Identifier: Apache-2.0
//
// Drives a Verilated midwire_nic from commands on standard input, one a line; checks the rules of
// AXI4-Stream on its output; frames that come out go to standard output as "f HEX BAD BACK FIRST LAST",
// the last two the cycles of their first and last beat, and the cycle in which a frame's first beat is taken as "i CYCLE".
//
//   pause IN OUT SEED   probabilities, in percent, of a pause on each side
//   frame HEX BAD       queue a frame
//   write ADDR VALUE    -> "w RESP"
//   read ADDR           -> "r RESP VALUE"
//   drain CYCLES        run until all frames are in and nothing came out for 64 cycles and the status
//                       register is idle -> "d CYCLES", or "stuck"
//   cycles N            just run
//   reset               for some cycles
//   wire RATE           frames take their time on a link of RATE / 100 bytes a cycle, in and out: with preamble,
//                       check sequence and gap, 24 bytes more than they have
//   stalls              -> "s CYCLES" in which a beat was kept waiting since the last time

#include <array>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <deque>
#include <iostream>
#include <random>
#include <sstream>
#include <string>
#include <utility>
#include <vector>

#include "Vnic.h"
#include "verilated.h"

namespace {

struct Frame {
    std::vector<uint8_t> data;
    bool bad = false;
};

std::vector<uint8_t> unhex(const std::string& text) {
    std::vector<uint8_t> out;
    for (size_t i = 0; i + 1 < text.size(); i += 2)
        out.push_back(static_cast<uint8_t>(std::stoi(text.substr(i, 2), nullptr, 16)));
    return out;
}

class Bench {
public:
    explicit Bench(VerilatedContext* context) : top_(context) {
        reset();
    }

    // While nothing comes in. What is on its way out is cut off.
    void reset() {
        top_.aresetn = 0;
        for (int i = 0; i < 4; ++i) edge();
        top_.aresetn = 1;
        out_.clear();
        offered_ = false;
    }

    void tick() {
        drive();
        top_.clk = 0;
        top_.eval();
        const bool took = top_.s_axis_tvalid && top_.s_axis_tready;
        stalls_ += top_.s_axis_tvalid && !took;
        check();
        if (took && !at_) std::cout << "i " << cycle_ << "\n";
        edge();
        if (!took) return;
        top_.s_axis_tvalid = 0;
        at_ += kBeat;
        if (at_ >= in_.front().data.size()) in_.pop_front(), at_ = 0;
    }

    void write(uint32_t address, uint32_t value) {
        top_.s_axil_awaddr = address, top_.s_axil_wdata = value, top_.s_axil_wstrb = 15;
        top_.s_axil_awvalid = top_.s_axil_wvalid = top_.s_axil_bready = 1;
        for (bool done = false; !done;) {
            top_.clk = 0, top_.eval();
            const bool aw = top_.s_axil_awvalid && top_.s_axil_awready;
            const bool w = top_.s_axil_wvalid && top_.s_axil_wready;
            done = top_.s_axil_bvalid;
            if (done) std::cout << "w " << int(top_.s_axil_bresp) << "\n";
            tick();
            if (aw) top_.s_axil_awvalid = 0;
            if (w) top_.s_axil_wvalid = 0;
        }
        top_.s_axil_bready = 0;
    }

    uint32_t read(uint32_t address, int& response) {
        top_.s_axil_araddr = address, top_.s_axil_arvalid = 1, top_.s_axil_rready = 1;
        for (;;) {
            top_.clk = 0, top_.eval();
            const bool ar = top_.s_axil_arvalid && top_.s_axil_arready;
            const bool done = top_.s_axil_rvalid;
            const uint32_t value = top_.s_axil_rdata;
            response = top_.s_axil_rresp;
            tick();
            if (ar) top_.s_axil_arvalid = 0;
            if (done) {
                top_.s_axil_rready = 0;
                return value;
            }
        }
    }

    void drain(uint64_t limit) {
        const uint64_t start = cycle_;
        while (cycle_ - start < limit) {
            tick();
            if (!in_.empty() || cycle_ - moved_ < 64 || cycle_ % 64) continue;
            int response = 0;
            if ((read(0x18, response) & 1) == 0 && in_.empty() && cycle_ - moved_ >= 64) {
                std::cout << "d " << cycle_ << "\n";
                return;
            }
        }
        std::cout << "stuck\n";
    }

    void queue(Frame frame) { in_.push_back(std::move(frame)); }
    void wire(uint64_t rate) { rate_ = rate; }
    uint64_t stalls() { return std::exchange(stalls_, 0); }
    void pause(int in, int out, unsigned seed) { pause_in_ = in, pause_out_ = out, random_.seed(seed); }

private:
    void edge() {
        top_.clk = 0;
        top_.eval();
        top_.clk = 1;
        top_.eval();
        ++cycle_;
    }

    // Whether a link carries another frame until later than this cycle; its time is in hundredths of bytes.
    bool busy(uint64_t until) const { return rate_ && rate_ * cycle_ < until; }
    // A frame that begins with the next cycle after another one's end is right behind it: gaps are
    // shorter or longer by some bytes, and right on average.
    void occupy(uint64_t& until, uint64_t since, size_t size) const {
        if (rate_ * since >= until + rate_) until = rate_ * since;
        until += 100 * (size + kBetweenFrames);
    }

    bool chance(int percent) { return percent && int(random_() % 100) < percent; }

    void drive() {
        top_.m_axis_tready = !chance(pause_out_) && !(out_.empty() && busy(out_until_));
        if (top_.s_axis_tvalid || in_.empty() || chance(pause_in_)) return;
        const Frame& frame = in_.front();
        if (!at_) {
            if (busy(in_until_)) return;
            occupy(in_until_, cycle_, frame.data.size());
        }
        Beat data;
        uint64_t keep = 0;
        for (size_t i = 0; i < kBeat; ++i) {
            // Bytes that are not kept are garbage, so that nobody relies on them.
            const bool kept = at_ + i < frame.data.size();
            data[i] = static_cast<uint8_t>(kept ? frame.data[at_ + i] : random_() & 255);
            keep |= uint64_t(kept) << i;
        }
        std::memcpy(&top_.s_axis_tdata, data.data(), kBeat);
        top_.s_axis_tkeep = static_cast<decltype(top_.s_axis_tkeep + 0)>(keep);
        top_.s_axis_tlast = at_ + kBeat >= frame.data.size();
        top_.s_axis_tuser = frame.bad && top_.s_axis_tlast;
        top_.s_axis_tvalid = 1;
    }

    void check() {
        Beat data;
        std::memcpy(data.data(), &top_.m_axis_tdata, kBeat);
        if (offered_ && (!top_.m_axis_tvalid || data != data_ || top_.m_axis_tkeep != keep_ ||
                         top_.m_axis_tlast != last_ || top_.m_axis_tdest != back_))
            fail("the output changed before it was taken");
        offered_ = top_.m_axis_tvalid && !top_.m_axis_tready;
        data_ = data, keep_ = top_.m_axis_tkeep, last_ = top_.m_axis_tlast;
        if (!top_.m_axis_tvalid) return;
        if (!out_.empty() && top_.m_axis_tdest != back_) fail("tdest changed in a frame");
        back_ = top_.m_axis_tdest;
        if (!top_.m_axis_tready) return;
        moved_ = cycle_;
        if (out_.empty()) first_ = cycle_;
        if ((keep_ & (keep_ + 1)) || !keep_ || (!last_ && keep_ != kFull)) fail("tkeep is not contiguous");
        for (unsigned i = 0; i < kBeat; ++i)
            if (keep_ >> i & 1) out_.push_back(data_[i]);
        if (top_.m_axis_tuser && !last_) fail("tuser is set before the last beat");
        if (!last_) return;
        std::string text;
        char pair[3];
        for (uint8_t byte : out_) std::snprintf(pair, sizeof pair, "%02x", byte), text += pair;
        occupy(out_until_, first_, out_.size());
        std::cout << "f " << text << " " << int(top_.m_axis_tuser) << " " << int(back_) << " " << first_ << " " << cycle_ << "\n";
        out_.clear();
    }

    static void fail(const char* text) {
        std::cout << "broken " << text << "\n";
        std::cout.flush();
        std::exit(1);
    }

    static constexpr size_t kBetweenFrames = 24;
    // Verilator keeps bytes in the lowest lane first, on hosts that do so themselves.
    static constexpr size_t kBeat = sizeof(Vnic::s_axis_tdata);
    static constexpr uint64_t kFull = ~uint64_t{0} >> (64 - kBeat);
    using Beat = std::array<uint8_t, kBeat>;

    Vnic top_;
    std::deque<Frame> in_;
    std::vector<uint8_t> out_;
    size_t at_ = 0;
    uint64_t cycle_ = 0, moved_ = 0, first_ = 0;
    uint64_t in_until_ = 0, out_until_ = 0, stalls_ = 0, rate_ = 0, keep_ = 0;
    Beat data_{};
    bool offered_ = false, last_ = false, back_ = false;
    int pause_in_ = 0, pause_out_ = 0;
    std::mt19937 random_;
};

}  // namespace

int main() {
    VerilatedContext context;
    Bench bench(&context);
    for (std::string line; std::getline(std::cin, line);) {
        std::istringstream words(line);
        std::string command, text;
        uint64_t a = 0, b = 0, c = 0;
        words >> command;
        if (command == "frame") {
            words >> text >> a;
            bench.queue({unhex(text), a != 0});
            continue;
        }
        words >> a >> b >> c;
        int response = 0;
        if (command == "pause") bench.pause(int(a), int(b), unsigned(c));
        if (command == "write") bench.write(uint32_t(a), uint32_t(b));
        if (command == "read") {
            const uint32_t value = bench.read(uint32_t(a), response);
            std::cout << "r " << response << " " << value << "\n";
        }
        if (command == "drain") bench.drain(a);
        if (command == "reset") bench.reset();
        if (command == "wire") bench.wire(a);
        if (command == "stalls") std::cout << "s " << bench.stalls() << "\n";
        if (command == "cycles")
            while (a--) bench.tick();
        std::cout.flush();
    }
}
