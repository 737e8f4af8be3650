// SPDX-FileCopyrightText: 2026 midwire contributors
// SPDX-License-Identifier: Apache-2.0
//
// Parts of the reference datapath by themselves, for test_slots_alone.py. Lines of standard input:
//
//   fingerprint REQUEST IP PORT        -> the fingerprint
//   lacks BYTES STEP INDEX INDEX ...   -> of a tensor of which those fragments have come: first fragment and
//                                         bitmap to ask for (hexadecimal), when it is asked for after 3 asks
//                                         of 10 us, and how many bytes of its slot are not 0 when it is free
//   overtaken BYTES STEP INDEX ...     -> the same fragments, one after the other: those that were overtaken,
//                                         in the order in which they are asked for
//   pauses ASK PAUSE BYTES STEP INDEX ...
//                                      -> the same fragments with such pauses between them: twice, how long
//                                         after the last one its sender is asked, and for what (0 where
//                                         time alone asks)

#include <cinttypes>
#include <cstdio>
#include <iostream>
#include <sstream>

#include "reference_decisions.h"
#include "reference_patience.h"

namespace {

Frame fragment(size_t bytes, size_t step, size_t index) {
    Frame frame{};
    const size_t count = (bytes + step - 1) / step, begin = index * step, size = std::min(step, bytes - begin);
    uint8_t* header = frame.data + kHeaderAt;
    put_field(header, mw::field::fragment_index, index);
    put_field(header, mw::field::fragment_count, count);
    put_field(header, mw::field::offset, begin);
    put_field(header, mw::field::last, index + 1 == count);
    std::memset(frame.data + kPayloadAt, 0xff, size);
    wrap(frame, mw::kHeaderBytes + size, {IpAddress::of(1), 2}, {IpAddress::of(3), 4}, 0);
    return frame;
}

void lacks(std::istream& words, bool overtaken) {
    size_t bytes = 0, step = 0;
    words >> bytes >> step;
    Slots slots(4, {bytes});
    Slot* slot = nullptr;
    for (size_t index = 0; words >> index;) {
        const Frame frame = fragment(bytes, step, index);
        Headers headers;
        HeaderReader(frame, {0, 4, {}}).read(headers);
        const Fragment its(frame, headers);
        if (!slot) slot = slots.open(its, 0);
        if (take(*slot, its, Hop{}, 500) != mw::outcome::COLLECTED) std::puts("not collected");
        for (Missing missing; overtaken && (missing = take_overtaken(*slot)).part;)
            for (size_t k = 0; k < 64; ++k)
                if (missing.bitmap[k / 8] & 0x80 >> k % 8) std::printf("%zu ", missing.first + k);
    }
    if (overtaken) {
        std::puts("");
        return;
    }
    const Missing missing = missing_of(*slot);
    std::printf("%zu ", missing.first);
    for (uint8_t byte : missing.bitmap) std::printf("%02x", byte);
    Registers registers;
    registers[mw::reg::ask_us] = 10;
    slot->asks += 3, slot->early = false;
    std::printf(" %" PRIu64, Patience(registers, false).asks(*slot));
    slot->clear();
    std::printf(" %zu\n", slot->memory.size() - static_cast<size_t>(std::count(slot->memory.begin(), slot->memory.end(), 0)));
}

void pauses(std::istream& words) {
    Registers registers;
    Micros pause = 0, now = 500;
    size_t bytes = 0, step = 0;
    words >> registers[mw::reg::ask_us] >> pause >> bytes >> step;
    registers[mw::reg::control] = 1;
    Slots slots(4, {bytes});
    Slot* slot = nullptr;
    Measured measured;
    for (size_t index = 0; words >> index; now += pause) {
        const Frame frame = fragment(bytes, step, index);
        Headers headers;
        HeaderReader(frame, {0, 4, {}}).read(headers);
        const Fragment its(frame, headers);
        if (!slot) slot = slots.open(its, 0);
        take(*slot, its, Hop{}, now);
        measured.take(*slot);
    }
    for (int i = 0; i < 2; ++i) {
        const Patience patience(registers, false, measured);
        const Micros at = patience.asks(*slot);
        const bool early = patience.early(*slot, at);
        const Missing missing = take_missing(*slot, early, at);
        std::printf("%" PRIu64 " ", at - slot->latest);
        for (uint8_t byte : missing.bitmap) std::printf("%02x", early ? byte : 0);
        std::printf("%c", i ? '\n' : ' ');
    }
}

}  // namespace

int main() {
    for (std::string line; std::getline(std::cin, line);) {
        std::istringstream words(line);
        std::string what;
        words >> what;
        if (what == "lacks" || what == "overtaken") {
            lacks(words, what == "overtaken");
            continue;
        }
        if (what == "pauses") {
            pauses(words);
            continue;
        }
        uint64_t request = 0;
        uint32_t ip = 0;
        Sender sender;
        words >> request >> ip >> sender.port;
        sender.ip = IpAddress::of(ip);
        std::printf("%u\n", request_fingerprint(request, sender));
    }
}
