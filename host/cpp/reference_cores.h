// SPDX-FileCopyrightText: 2026 midwire contributors
// SPDX-License-Identifier: Apache-2.0
//
// Several slices side by side, each in a core of its own (rules D8 and D9 of hw/nic/cores.py, C8 of
// hw/formats/csr.py). One is the ordinary case.
//
// A core has all registers. What is written goes to all of them, or to one, where registers are of one core; of
// counters, what all have counted is added up. So each has the same steering table, and counts its own hits.

#pragma once

#include <algorithm>
#include <memory>
#include <vector>

#include "datapath.h"
#include "header.h"
#include "reference_registers.h"

struct ReferenceSlice {
    std::vector<size_t> inputs, outputs;  // bytes of its tensors
    size_t slots;
    int helper_fd;
};

inline std::vector<size_t> numbers(const std::string& text) {
    std::vector<size_t> out;
    for (size_t at = 0, end; at <= text.size(); at = end + 1) {
        end = std::min(text.find(',', at), text.size());
        out.push_back(number(text.substr(at, end - at)));
    }
    return out;
}

inline std::vector<ReferenceSlice> slices_of(const Arguments& arguments) {
    const auto inputs = arguments.all("--inputs"), outputs = arguments.all("--outputs");
    const auto slots = arguments.all("--slots"), helpers = arguments.all("--helper-fd");
    if (inputs.empty() || inputs.size() != outputs.size() || inputs.size() != slots.size() ||
        inputs.size() != helpers.size())
        fail("--inputs, --outputs, --slots and --helper-fd are needed once for each slice");
    std::vector<ReferenceSlice> out;
    for (size_t i = 0; i < inputs.size(); ++i)
        out.push_back({numbers(inputs[i]), numbers(outputs[i]), number(slots[i]), static_cast<int>(number(helpers[i]))});
    return out;
}

// The number among `count` cores of one key that a request of this id goes to (D9).
inline size_t share_of(uint64_t request, size_t count) {
    for (unsigned bits = 32; bits >= 8; bits /= 2) request ^= request >> bits;
    size_t reversed = 0;
    for (unsigned bit = 0; bit < 8; ++bit) reversed |= (request >> bit & 1) << (7 - bit);
    return reversed * count >> 8;
}

template <typename Core>
class ReferenceCores : public Datapath {
public:
    ReferenceCores(const Arguments& arguments, FrameQueue& in, FrameQueue& out) : in_(in) {
        for (const ReferenceSlice& slice : slices_of(arguments))
            cores_.push_back(std::make_unique<Core>(slice, in, out));
    }

    void work(Micros now) override {
        for (auto& core : cores_) core->begin(now);
        size_t judged = 0;
        for (; judged < kTurnFrames && cores_[0]->can_judge(); ++judged) {
            Headers headers;
            Frame& frame = in_.front();
            const uint64_t fate = cores_[0]->classify(frame, headers);
            Core* core = cores_[0].get();
            if (fate == Classifier::kOurs) core = &core_for(frame.data + headers.header_at());
            core->judge(frame, headers, fate);
        }
        // What there is room for is each one's by turns.
        if (++first_ >= cores_.size()) first_ = 0;
        for (size_t i = 0; i < cores_.size(); ++i) cores_[(first_ + i) % cores_.size()]->end(judged > 0);
    }
    Micros due() override {
        Micros least = kNever;
        for (auto& core : cores_) least = std::min(least, core->due());
        return least;
    }
    bool idle() override {
        return std::all_of(cores_.begin(), cores_.end(), [](auto& core) { return core->idle(); });
    }
    void watch(std::vector<pollfd>& fds) const override {
        for (const auto& core : cores_) core->watch(fds);
    }

    bool read(uint32_t address, uint32_t& value) override {
        const size_t number = register_at(address);
        if (number == mw::kRegisterCount) return false;
        if (mw::kRegisters[number].of_core) {
            value = 0;
            return index_ >= cores_.size() || cores_[index_]->read(address, value);
        }
        if (number == mw::reg::cores) return value = static_cast<uint32_t>(cores_.size()), true;
        if (number == mw::reg::status) return read_status(address, value);
        if (mw::kRegisters[number].width > 32) return read_counter(mw::kRegisters[number].offset, address, value);
        return cores_[0]->read(address, value);
    }
    bool write(uint32_t address, uint32_t value) override {
        const size_t number = register_at(address);
        if (number != mw::kRegisterCount && mw::kRegisters[number].of_core)
            return index_ < cores_.size() && cores_[index_]->write(address, value);
        bool written = true;
        for (auto& core : cores_) written &= core->write(address, value);
        if (written && number == mw::reg::core_index) cores_[0]->read(address, index_);
        return written;
    }

    void count(Statistics& out) const override {
        uint64_t in = 0, left = 0;
        for (const auto& core : cores_) in += core->frames_in(), left += core->frames_out();
        out.add("frames_in", in);
        out.add("frames_out", left);
    }

private:
    static constexpr size_t kTurnFrames = 1024;

    // D8 and D9.
    Core& core_for(const uint8_t* header) {
        if (cores_.size() == 1) return *cores_[0];
        unsigned most = 0;
        closest_.clear();
        for (auto& core : cores_) {
            const unsigned its = core->agreement(header);
            if (its > most) most = its, closest_.clear();
            if (its == most) closest_.push_back(core.get());
        }
        return *closest_[share_of(get_field(header, mw::field::request_id), closest_.size())];
    }

    bool read_status(uint32_t address, uint32_t& value) {
        value = 0;
        for (auto& core : cores_) {
            uint32_t its = 0;
            if (!core->read(address, its)) return false;
            value |= its;
        }
        return true;
    }

    // All of them as of one snapshot, which was written to all.
    bool read_counter(uint32_t high_at, uint32_t address, uint32_t& value) {
        uint64_t total = 0;
        for (auto& core : cores_) {
            uint32_t high = 0, low = 0;
            if (!core->read(high_at, high) || !core->read(high_at + 4, low)) return false;
            total += uint64_t{high} << 32 | low;
        }
        value = static_cast<uint32_t>(address == high_at ? total >> 32 : total);
        return true;
    }

    FrameQueue& in_;
    std::vector<std::unique_ptr<Core>> cores_;
    std::vector<Core*> closest_;
    uint32_t index_ = 0;  // register core_index
    size_t first_ = 0;    // whose turn it is
};
