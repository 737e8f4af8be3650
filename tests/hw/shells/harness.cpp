// SPDX-FileCopyrightText: 2026 midwire contributors
// SPDX-License-Identifier: Apache-2.0
//
// Drives the two ports of an adapter to a shell as the shell would, from commands on standard input,
// one a line; checks the rules of AXI4-Stream on its outputs. Inputs are numbered rx0, rx1 (from the
// network), tx0, tx1 (from the host), outputs host0, host1, net0, net1. What comes out goes to
// standard output as "f OUTPUT HEX USER FIRST LAST", the last two the cycles of its first and last
// beat; a transmit completion that reaches the NIC's core as "c PORT TAG".
//
//   pause IN OUT SEED    probabilities, in percent, of a pause on each side
//   frame INPUT HEX USER queue a frame; USER in hexadecimal, beside each of its beats
//   block OUTPUT ON      an output takes nothing
//   write ADDR VALUE     -> "w RESP"
//   read ADDR            -> "r RESP VALUE"
//   drain                run until all frames are in and nothing came out for a while -> "d CYCLES"
//   cycles N             just run
//   reset                for some cycles
//
// The registers' clock is as slow as the bench says. Each frame that leaves to the network is
// completed some cycles later, with its tag.

#include <cstdint>
#include <cstdio>
#include <deque>
#include <iostream>
#include <random>
#include <sstream>
#include <string>
#include <vector>

#include "Vbench.h"
#include "verilated.h"

namespace {

constexpr int kQuiet = 4000, kSlotBytes = 64, kCompletionCycles = 20;

struct Frame {
    std::vector<uint8_t> data;
    uint64_t user = 0;
};

std::vector<uint8_t> unhex(const std::string& text) {
    std::vector<uint8_t> out;
    for (size_t i = 0; i + 1 < text.size(); i += 2)
        out.push_back(static_cast<uint8_t>(std::stoi(text.substr(i, 2), nullptr, 16)));
    return out;
}

[[noreturn]] void broken(const std::string& what) {
    std::cout << "broken " << what << std::endl;
    std::exit(1);
}

// The vectors of a stream: a slot of 64 bytes for each port.
struct Wires {
    uint32_t* data;
    uint32_t* keep;
    uint32_t* user;
    uint8_t* valid;
    uint8_t* ready;
    uint8_t* last;
};

uint64_t user_of(const Wires& wires, int port) {
    return wires.user[2 * port] | uint64_t(wires.user[2 * port + 1]) << 32;
}
uint64_t keep_of(const Wires& wires, int port) {
    return wires.keep[2 * port] | uint64_t(wires.keep[2 * port + 1]) << 32;
}
void set_bit(uint8_t& word, int bit, bool on) { word = (word & ~(1 << bit)) | (on << bit); }

class Source {
public:
    Source(Wires wires, int port) : wires_(wires), port_(port) {}
    void drive(int beat_bytes, bool may_begin) {
        if (!offered_ && (frames_.empty() || !may_begin)) return set_bit(*wires_.valid, port_, false);
        if (offered_) return;
        offered_ = true;
        const Frame& frame = frames_.front();
        const size_t bytes = std::min<size_t>(beat_bytes, frame.data.size() - at_);
        auto* lanes = reinterpret_cast<uint8_t*>(wires_.data) + kSlotBytes * port_;
        for (int lane = 0; lane < beat_bytes; ++lane)  // what is not kept is anything
            lanes[lane] = size_t(lane) < bytes ? frame.data[at_ + lane] : uint8_t(0xa5 + lane);
        const uint64_t keep = bytes == 64 ? ~0ull : (1ull << bytes) - 1;
        for (int half = 0; half < 2; ++half) {
            wires_.keep[2 * port_ + half] = uint32_t(keep >> 32 * half);
            wires_.user[2 * port_ + half] = uint32_t(frame.user >> 32 * half);
        }
        set_bit(*wires_.last, port_, at_ + bytes == frame.data.size());
        set_bit(*wires_.valid, port_, true);
    }
    bool taken() const { return (*wires_.valid & *wires_.ready) >> port_ & 1; }
    void next(int beat_bytes) {
        offered_ = false;
        at_ += beat_bytes;
        if (at_ >= frames_.front().data.size()) frames_.pop_front(), at_ = 0;
    }
    void reset() { frames_.clear(), at_ = 0, offered_ = false; }
    std::deque<Frame> frames_;

private:
    Wires wires_;
    int port_;
    size_t at_ = 0;
    bool offered_ = false;
};

class Sink {
public:
    Sink(Wires wires, int port, int number) : wires_(wires), port_(port), number_(number) {}
    void drive(bool ready) { set_bit(*wires_.ready, port_, ready && !blocked_); }
    // Returns whether a frame has come to its end.
    bool look(int beat_bytes, uint64_t cycle) {
        const bool valid = *wires_.valid >> port_ & 1, last = *wires_.last >> port_ & 1;
        const auto* lanes = reinterpret_cast<const uint8_t*>(wires_.data) + kSlotBytes * port_;
        Beat now{std::vector<uint8_t>(lanes, lanes + beat_bytes), keep_of(wires_, port_),
                 user_of(wires_, port_), last};
        if (waits_ && (!valid || !(now == held_))) broken("a beat changed while it waited");
        waits_ = valid && !(*wires_.ready >> port_ & 1);
        held_ = now;
        if (!valid || waits_) return false;
        const int bytes = __builtin_popcountll(now.keep);
        const uint64_t whole = beat_bytes == 64 ? ~0ull : (1ull << beat_bytes) - 1;
        if (!bytes || (now.keep & (now.keep + 1)) || (!last && now.keep != whole)) broken("tkeep");
        if (frame_.empty()) first_ = cycle, user_ = now.user;
        if (constant && user_ != now.user) broken("tuser changed inside a frame");
        user_ = now.user;
        frame_.insert(frame_.end(), lanes, lanes + bytes);
        if (!last) return false;
        std::cout << "f " << number_ << " ";
        for (const uint8_t byte : frame_) std::printf("%02x", byte);
        std::fflush(stdout);
        std::cout << " " << std::hex << user_ << std::dec << " " << first_ << " " << cycle << "\n";
        frame_.clear();
        return true;
    }
    void reset() { frame_.clear(), waits_ = false; }
    bool blocked_ = false, constant = false;
    uint64_t user_ = 0;

private:
    struct Beat {
        std::vector<uint8_t> data;
        uint64_t keep, user;
        bool last;
        bool operator==(const Beat& o) const {
            return data == o.data && keep == o.keep && user == o.user && last == o.last;
        }
    };
    Wires wires_;
    int port_, number_;
    std::vector<uint8_t> frame_;
    uint64_t first_ = 0;
    bool waits_ = false;
    Beat held_{};
};

#define WIRES(name) \
    Wires { top_.name##_data.data(), top_.name##_keep.data(), top_.name##_user.data(), &top_.name##_valid, &top_.name##_ready, &top_.name##_last }

class Bench {
public:
    explicit Bench(VerilatedContext* context) : top_(context) {
        top_.eval();  // the constants of the bench
        const Wires in[] = {WIRES(rx), WIRES(tx)}, out[] = {WIRES(host), WIRES(net)};
        for (int k = 0; k < 4; ++k) sources_.emplace_back(in[k / 2], k % 2), sinks_.emplace_back(out[k / 2], k % 2, k);
        reset();
        for (auto& sink : sinks_) sink.constant = top_.constant_user;
    }

    void reset() {
        top_.rst = 1;
        top_.rx_valid = top_.tx_valid = 0;
        for (int i = 0; i < 16; ++i) edge();
        top_.rst = 0;
        for (auto& source : sources_) source.reset();
        for (auto& sink : sinks_) sink.reset();
        for (auto& due : completions_) due.clear();
        for (int i = 0; i < 400; ++i) tick();
    }

    // Returns whether the registers' clock rose.
    bool tick() {
        const int bytes = top_.beat_bytes;
        for (auto& source : sources_) source.drive(bytes, !chance(pause_in_));
        for (auto& sink : sinks_) sink.drive(!chance(pause_out_));
        complete();
        top_.clk = 0;
        top_.eval();
        std::vector<bool> took;
        for (auto& source : sources_) took.push_back(source.taken());
        for (int k = 0; k < 4; ++k) {
            if (!sinks_[k].look(bytes, cycle_)) continue;
            if (k >= 2) completions_[k - 2].push_back({cycle_ + kCompletionCycles, sinks_[k].user_ >> 1 & 0xffff});
        }
        for (int port = 0; port < 2; ++port) {
            if ((top_.core_cpl_valid & top_.core_cpl_ready) >> port & 1)
                std::cout << "c " << port << " " << (top_.core_cpl_tag >> 16 * port & 0xffff) << "\n", moved_ = cycle_;
            if ((top_.mac_cpl_valid & top_.mac_cpl_ready) >> port & 1) completions_[port].pop_front(), offered_[port] = false;
        }
        const bool slow = edge();
        for (int k = 0; k < 4; ++k)
            if (took[k]) sources_[k].next(bytes);
        return slow;
    }

    void write(uint32_t address, uint32_t value) {
        top_.axil_awaddr = address, top_.axil_wdata = value, top_.axil_wstrb = 15;
        top_.axil_awvalid = top_.axil_wvalid = top_.axil_bready = 1;
        for (int limit = 10000;;) {
            top_.clk = 0, top_.eval();
            const bool aw = top_.axil_awready, w = top_.axil_wready, done = top_.axil_bvalid;
            const int response = top_.axil_bresp;
            if (!limit--) broken("a write has no answer");
            if (!tick()) continue;
            if (aw) top_.axil_awvalid = 0;
            if (w) top_.axil_wvalid = 0;
            if (!done) continue;
            top_.axil_bready = 0;
            std::cout << "w " << response << std::endl;
            return;
        }
    }

    void read(uint32_t address) {
        top_.axil_araddr = address, top_.axil_arvalid = 1, top_.axil_rready = 1;
        for (int limit = 10000;;) {
            top_.clk = 0, top_.eval();
            const bool ar = top_.axil_arready, done = top_.axil_rvalid;
            const uint32_t value = top_.axil_rdata;
            const int response = top_.axil_rresp;
            if (!limit--) broken("a read has no answer");
            if (!tick()) continue;
            if (ar) top_.axil_arvalid = 0;
            if (!done) continue;
            top_.axil_rready = 0;
            std::cout << "r " << response << " " << value << std::endl;
            return;
        }
    }

    void drain() {
        for (moved_ = cycle_; cycle_ - moved_ < kQuiet;) {
            tick();
            for (auto& source : sources_)
                if (!source.frames_.empty() && source.taken()) moved_ = cycle_;
            if ((top_.host_valid & top_.host_ready) || (top_.net_valid & top_.net_ready)) moved_ = cycle_;
        }
        for (auto& source : sources_)
            if (!source.frames_.empty()) std::cout << "left\n";
        std::cout << "d " << cycle_ << std::endl;
    }

    void run() {
        std::string line, what;
        while (std::getline(std::cin, line)) {
            std::istringstream words(line);
            words >> what;
            if (what == "frame") {
                int input;
                std::string hex;
                Frame frame;
                words >> input >> hex >> std::hex >> frame.user;
                frame.data = unhex(hex);
                sources_.at(input).frames_.push_back(std::move(frame));
            } else if (what == "pause") {
                unsigned seed;
                words >> pause_in_ >> pause_out_ >> seed;
                random_.seed(seed);
            } else if (what == "block") {
                int output, on;
                words >> output >> on;
                sinks_.at(output).blocked_ = on;
            } else if (what == "write") {
                uint32_t address, value;
                words >> address >> value;
                write(address, value);
            } else if (what == "read") {
                uint32_t address;
                words >> address;
                read(address);
            } else if (what == "cycles") {
                int count;
                words >> count;
                while (count--) tick();
            } else if (what == "drain") {
                drain();
            } else if (what == "reset") {
                reset();
            }
        }
    }

private:
    struct Due {
        uint64_t cycle, tag;
    };

    bool edge() {
        const int ratio = top_.slow_ratio;
        const bool slow = cycle_ % ratio == 0;
        top_.clk = 0;
        if (ratio == 1 || !slow) top_.slow_clk = 0;
        top_.eval();
        top_.clk = 1;
        if (slow) top_.slow_clk = 1;
        top_.eval();
        ++cycle_;
        return slow;
    }

    bool chance(int percent) { return percent && int(random_() % 100) < percent; }

    void complete() {
        for (int port = 0; port < 2; ++port) {
            auto& due = completions_[port];
            if (!offered_[port]) offered_[port] = !due.empty() && due.front().cycle <= cycle_;
            set_bit(top_.mac_cpl_valid, port, offered_[port]);
            if (!offered_[port]) continue;
            top_.mac_cpl_tag = (top_.mac_cpl_tag & ~(0xffffu << 16 * port)) | uint32_t(due.front().tag) << 16 * port;
            set_bit(top_.core_cpl_ready, port, !chance(pause_out_));
        }
    }

    Vbench top_;
    std::vector<Source> sources_;
    std::vector<Sink> sinks_;
    std::deque<Due> completions_[2];
    bool offered_[2] = {false, false};
    int pause_in_ = 0, pause_out_ = 0;
    std::mt19937 random_{1};
    uint64_t cycle_ = 0, moved_ = 0;
};

}  // namespace

int main(int argc, char** argv) {
    VerilatedContext context;
    context.commandArgs(argc, argv);
    Bench bench(&context);
    bench.run();
    return 0;
}
