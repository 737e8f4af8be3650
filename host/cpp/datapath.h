// SPDX-FileCopyrightText: 2026 midwire contributors
// SPDX-License-Identifier: Apache-2.0
//
// Who executes. One implementation a source file, linked into a program of its own:
// rtl_datapath.cpp (the Verilated pipeline), reference_datapath.cpp (the same shell in C++ around the
// numpy reference); hardware later.
//
// A datapath takes frames from one queue and puts frames into another. It is the only thing that
// knows registers. It never blocks and never sleeps.

#pragma once

#include <cstdint>
#include <memory>
#include <poll.h>
#include <vector>

#include "arguments.h"
#include "clock.h"
#include "frame_queue.h"
#include "statistics.h"

class Datapath {
public:
    virtual ~Datapath() = default;

    // Works for a bounded turn, in which it is `now`: what had come by then was looked for. A process may be
    // stopped anywhere, and what comes meanwhile must not be taken for lost.
    virtual void work(Micros now) = 0;

    // How long until work() has something to do although nothing has come: 0 at once, or kNever.
    virtual Micros due() = 0;

    // Nothing is inside that will still come out or be given up.
    virtual bool idle() = 0;

    // Appends the descriptors that wake it; work() looks at them itself.
    virtual void watch(std::vector<pollfd>& fds) const { (void)fds; }

    // Registers, as over AXI-Lite; false where the answer is SLVERR. Frames go on moving meanwhile.
    virtual bool read(uint32_t address, uint32_t& value) = 0;
    virtual bool write(uint32_t address, uint32_t value) = 0;

    virtual void count(Statistics& out) const = 0;
};

// The one that this program is linked with.
std::unique_ptr<Datapath> make_datapath(const Arguments& arguments, FrameQueue& in, FrameQueue& out);
