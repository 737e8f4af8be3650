// SPDX-FileCopyrightText: 2026 midwire contributors
// SPDX-License-Identifier: Apache-2.0
//
// A datapath that hands every frame on: what is left is the cost of loop and transport.

#include <cstring>

#include "datapath.h"

namespace {

class Relay : public Datapath {
public:
    Relay(FrameQueue& in, FrameQueue& out) : in_(in), out_(out) {}

    void work(Micros) override {
        for (; !in_.empty() && out_.room(); in_.pop()) {
            Frame& to = out_.back();
            to.size = in_.front().size;
            std::memcpy(to.data, in_.front().data, to.size);
            out_.push();
        }
    }
    Micros due() override { return in_.empty() || !out_.room() ? kNever : 0; }
    bool idle() override { return in_.empty(); }
    bool read(uint32_t, uint32_t&) override { return false; }
    bool write(uint32_t, uint32_t) override { return false; }
    void count(Statistics&) const override {}

private:
    FrameQueue& in_;
    FrameQueue& out_;
};

}  // namespace

std::unique_ptr<Datapath> make_datapath(const Arguments&, FrameQueue& in, FrameQueue& out) {
    return std::make_unique<Relay>(in, out);
}
