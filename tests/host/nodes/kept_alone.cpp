// SPDX-FileCopyrightText: 2026 midwire contributors
// SPDX-License-Identifier: Apache-2.0
//
// Results that are kept, by themselves, for test_kept_alone.py. Arguments: IP version, `timeout_us`, bytes of each
// tensor of a result. Lines of standard input:
//
//   keep SOURCE REQUEST NOW              -> results and bytes that are kept then; of what was let go since the
//                                           last line, bytes that are not zero
//   expire NOW                           -> the same
//   ask SOURCE REQUEST TENSOR COUNT TOTAL BITMAP
//                                        -> fragments that leave, TENSOR:INDEX:BYTES, with R where they are
//                                           flagged `resend`; nothing where the question passes

#include <cinttypes>
#include <cstdio>
#include <cstdlib>
#include <iostream>
#include <new>
#include <sstream>

#include "reference_kept.h"

namespace {

constexpr uint16_t kClient = 7, kHop = 9;
size_t result_bytes = 0, left_behind = 0;

IpAddress address(bool ipv6, uint32_t number) {
    IpAddress out = IpAddress::of(number);
    if (ipv6) put32(out.bytes.data() + 4, number);  // a network of its own for each
    return out;
}

class Alone {
public:
    Alone(bool ipv6, Micros timeout, const std::vector<size_t>& sizes) : ipv6_(ipv6), sizes_(sizes), kept_(registers_, sizes_) {
        registers_[mw::reg::timeout_us] = timeout;
    }

    void keep(uint32_t source, uint64_t request, Micros now) {
        Result result;
        result.bytes.assign(result_bytes, 0xa5);
        result.fragment_bytes = 64;
        Origin& origin = result.origin;
        origin.ipv6 = ipv6_;
        origin.sender = {address(ipv6_, source), kClient};
        origin.hop = {0, address(ipv6_, 1), kHop};
        put_field(origin.header, mw::field::request_id, request);
        put_field(origin.header, mw::field::hop_limit, 8);
        kept_.keep(std::move(result), now);
        tell();
    }
    void expire(Micros now) {
        kept_.expire(now);
        tell();
    }
    void ask(uint32_t source, uint64_t request, std::istream& words) {
        uint64_t tensor = 0, count = 0, total = 0, bitmap = 0;
        words >> tensor >> count >> total >> std::hex >> bitmap;
        Frame frame;
        uint8_t* header = frame.data + headroom(ipv6_);
        std::memset(header, 0, mw::kHeaderBytes);
        change(header, {{mw::field::magic, mw::kMagic},
                        {mw::field::version, mw::kVersion},
                        {mw::field::message_type, mw::kMissing},
                        {mw::field::last, 1},
                        {mw::field::cursor, 1},
                        {mw::field::request_id, request},
                        {mw::field::tensor_index, tensor},
                        {mw::field::fragment_count, count},
                        {mw::field::total_bytes, total}});
        stamp_crc(header);
        put32(header + mw::kHeaderBytes, static_cast<uint32_t>(bitmap >> 32));
        put32(header + mw::kHeaderBytes + 4, static_cast<uint32_t>(bitmap));
        wrap(frame, mw::kHeaderBytes + 8, {address(ipv6_, 1), kHop, ipv6_}, {address(ipv6_, source), kClient, ipv6_}, 0);
        kept_.answers(frame);
        while (kept_.asked()) {
            Origin origin;
            const size_t bytes = kept_.take(frame, origin);
            const uint8_t* left = frame.data + kHeaderAt;
            std::printf("%d:%d:%zu%s ", static_cast<int>(get_field(left, mw::field::tensor_index)),
                        static_cast<int>(get_field(left, mw::field::fragment_index)), bytes,
                        get_field(left, mw::field::resend) ? "R" : "");
        }
        std::puts("");
    }

private:
    void tell() const { std::printf("%zu %zu %zu\n", kept_.size(), kept_.bytes(), std::exchange(left_behind, 0)); }

    const bool ipv6_;
    const std::vector<size_t> sizes_;
    Registers registers_;
    KeptResults kept_;
};

}  // namespace

// What is let go of the size of a result is looked at: nothing of it may be left.
void operator delete(void* block) noexcept { std::free(block); }
void operator delete(void* block, size_t size) noexcept {
    if (size == result_bytes)
        for (size_t i = 0; i < size; ++i) left_behind += static_cast<volatile uint8_t*>(block)[i] != 0;
    std::free(block);
}
void* operator new(size_t size) {
    if (void* block = std::malloc(size)) return block;
    throw std::bad_alloc();
}

int main(int, char** argv) {
    std::vector<size_t> sizes;
    for (char** each = argv + 3; *each; ++each) sizes.push_back(std::strtoul(*each, nullptr, 10));
    for (size_t size : sizes) result_bytes += size;
    Alone alone(std::string(argv[1]) == "6", std::strtoul(argv[2], nullptr, 10), sizes);
    for (std::string line; std::getline(std::cin, line);) {
        std::istringstream words(line);
        std::string what;
        uint64_t first = 0, second = 0, third = 0;
        words >> what >> first;
        if (what != "expire") words >> second;
        if (what == "keep") words >> third;
        if (what == "keep") alone.keep(static_cast<uint32_t>(first), second, third);
        else if (what == "expire") alone.expire(first);
        else alone.ask(static_cast<uint32_t>(first), second, words);
    }
}
