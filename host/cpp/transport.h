// SPDX-FileCopyrightText: 2026 midwire contributors
// SPDX-License-Identifier: Apache-2.0
//
// Where frames come from and where they go. One implementation a header, chosen by --transport:
// `udp` (udp_transport.h), `interfaces` (interface_transport.h), `file` (file_transport.h).
//
// A transport never blocks and never sleeps: the loop waits for all its descriptors at once. What it
// takes in is bounded by the room in the queue.

#pragma once

#include <memory>
#include <poll.h>
#include <string>
#include <vector>

#include "arguments.h"
#include "frame_queue.h"
#include "statistics.h"

class Transport {
public:
    virtual ~Transport() = default;

    // Where it listens, for the ready line.
    virtual std::string place() const = 0;

    // Appends the descriptors to wait for: to read while there is `room`, to write while frames are
    // `pending`.
    virtual void watch(std::vector<pollfd>& fds, bool room, bool pending) const = 0;

    // Frames can be had without waiting for a descriptor.
    virtual bool ready() const { return false; }

    // Takes what has come, as far as there is room. `fds` are those that watch() appended.
    virtual void receive(const pollfd* fds, size_t count, FrameQueue& to) = 0;

    // Sends what can be sent now.
    virtual void send(FrameQueue& from) = 0;

    // No frame will ever come again.
    virtual bool ended() const { return false; }

    virtual void count(Statistics& out) const = 0;
};
