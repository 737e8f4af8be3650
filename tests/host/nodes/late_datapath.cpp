// SPDX-FileCopyrightText: 2026 midwire contributors
// SPDX-License-Identifier: Apache-2.0
//
// A datapath that passes frames on, and finds only when it is asked how long to wait that nothing is inside.

#include "datapath.h"

namespace {

class LateDatapath : public Datapath {
public:
    LateDatapath(FrameQueue& in, FrameQueue& out) : in_(in), out_(out) {}

    void work(Micros) override {
        for (; !in_.empty() && out_.room(); inside_ = true) out_.move_from(in_);
    }
    Micros due() override {
        inside_ = false;
        return kNever;
    }
    bool idle() override { return !inside_; }
    bool read(uint32_t, uint32_t&) override { return false; }
    bool write(uint32_t, uint32_t) override { return false; }
    void count(Statistics&) const override {}

private:
    FrameQueue &in_, &out_;
    bool inside_ = false;
};

}  // namespace

std::unique_ptr<Datapath> make_datapath(const Arguments&, FrameQueue& in, FrameQueue& out) {
    return std::make_unique<LateDatapath>(in, out);
}
