// SPDX-FileCopyrightText: 2026 midwire contributors
// SPDX-License-Identifier: Apache-2.0
//
// Any datapath, in front of which questions for results that have left it are answered (kept.h). In hardware
// this is the driver's: it is not on the way of frames but of copies, and what it answers it counts.
//
// It looks at frames in the queues around the datapath, where they lie: those that come in before the datapath
// takes them, those that leave behind it. Datapaths move frames in every call, also where a register is read.

#pragma once

#include <memory>
#include <utility>

#include "datapath.h"
#include "kept.h"
#include "register_map.h"

class KeepingDatapath : public Datapath {
public:
    KeepingDatapath(std::unique_ptr<Datapath> inner, FrameQueue& in, FrameQueue& out)
        : inner_(std::move(inner)), in_(in), out_(out) {}

    void work(Micros now) override {
        take_questions();
        // Before the datapath, which may fill all the room that there is.
        for (size_t i = 0; i < kTurn && kept_.asked() && out_.room(); ++i, ++counted_.again) {
            kept_.take(out_.back(), micros());
            out_.push();
        }
        around([&] { inner_->work(now); });
        kept_.expire(timeout_, now);
    }
    Micros due() override {
        const Micros inner = around([&] { return inner_->due(); });
        if (!out_.room()) return kNever;
        return kept_.asked() ? 0 : std::min(inner, until(kept_.due(timeout_)));
    }
    bool idle() override {
        return around([&] { return inner_->idle(); }) && !kept_.asked();
    }
    void watch(std::vector<pollfd>& fds) const override { inner_->watch(fds); }

    bool read(uint32_t address, uint32_t& value) override {
        const size_t number = register_at(address);
        const uint64_t ours = of(number);
        if (!ours) return around([&] { return inner_->read(address, value); });
        const uint32_t at = mw::kRegisters[number].offset;
        uint32_t high = 0, low = 0;
        if (!around([&] { return inner_->read(at, high) && inner_->read(at + 4, low); })) return false;
        const uint64_t all = (uint64_t{high} << 32 | low) + ours;
        value = static_cast<uint32_t>(address == at ? all >> 32 : all);
        return true;
    }
    bool write(uint32_t address, uint32_t value) override {
        if (!around([&] { return inner_->write(address, value); })) return false;
        switch (register_at(address)) {
            case mw::reg::control: enabled_ = value & 1; break;
            case mw::reg::timeout_us: timeout_ = value; break;
            case mw::reg::snapshot: seen_ = counted_; break;
        }
        return true;
    }

    void count(Statistics& out) const override {
        inner_->count(out);
        out.add("frames_answered", counted_.answered);
        out.add("frames_again", counted_.again);
        out.add("results_kept", kept_.size());
        out.add("bytes_kept", kept_.bytes());
    }

private:
    static constexpr size_t kTurn = 64;  // frames that are sent again at once
    static_assert(mw::kRegisters[mw::reg::timeout_us].width == 32);

    struct Counted {
        uint64_t answered = 0, again = 0;
    };

    // What a counter says beside what the datapath has counted, as of the last snapshot. A question is a frame in,
    // and each fragment that leaves again one of a result.
    uint64_t of(size_t number) const {
        switch (number) {
            case mw::reg::frames_in:
            case mw::reg::answered: return seen_.answered;
            case mw::reg::result_frames: return seen_.again;
            default: return 0;
        }
    }

    void take_questions() {
        in_.remove_if(looked_at_, [&](const Frame& frame) {
            const bool taken = kept_.takes(frame, enabled_);
            counted_.answered += taken;
            return taken;
        });
        looked_at_ = in_.size();
    }

    // Calls the datapath, with no frame before it that was not looked at, and looks at what comes out.
    template <typename Call>
    auto around(Call call) -> decltype(call()) {
        take_questions();
        const Looking looking{*this, out_.size()};
        return call();
    }
    struct Looking {
        KeepingDatapath& its;
        const size_t left;
        ~Looking() {
            its.looked_at_ = its.in_.size();
            if (its.out_.size() > left) its.keep(left);
        }
    };
    void keep(size_t first) {
        const Micros now = micros();
        for (size_t i = first; i < out_.size(); ++i)
            if (out_.at(i).made) kept_.keep(out_.at(i), now);
    }

    const std::unique_ptr<Datapath> inner_;
    FrameQueue &in_, &out_;
    KeptResults kept_;
    bool enabled_ = mw::kRegisters[mw::reg::control].reset & 1;
    Micros timeout_ = mw::kRegisters[mw::reg::timeout_us].reset;
    Counted counted_, seen_;
    size_t looked_at_ = 0;  // frames at the front of `in_`
};
