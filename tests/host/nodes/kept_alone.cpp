// SPDX-FileCopyrightText: 2026 midwire contributors
// SPDX-License-Identifier: Apache-2.0
//
// Results that are kept, by themselves, for test_kept_alone.py. Arguments: IP version, `timeout_us`, bytes of each
// tensor of a result. Lines of standard input:
//
//   keep SOURCE REQUEST NOW              -> results and bytes that are kept then; of what was let go since the
//                                           last line, bytes that are not zero
//   part SOURCE REQUEST NOW TENSOR FIRST COUNT
//                                        -> the same, of some fragments of a tensor
//   came SOURCE REQUEST                  -> the same; a result under that name came in
//   expire NOW                           -> the same
//   ask SOURCE REQUEST TENSOR COUNT TOTAL BITMAP
//                                        -> fragments that leave, TENSOR:INDEX:BYTES, with R where they are
//                                           flagged `resend`; ! where the question passes

#include <cinttypes>
#include <cstdio>
#include <cstdlib>
#include <iostream>
#include <new>
#include <sstream>

#include "kept.h"

namespace {

constexpr uint16_t kClient = 7, kHop = 9;
constexpr uint8_t kTensorByte = 0xa5;
constexpr size_t kRun = 4;  // of them in a row are in nothing else
size_t left_behind = 0;

IpAddress address(bool ipv6, uint32_t number) {
    IpAddress out = IpAddress::of(number);
    if (ipv6) put32(out.bytes.data() + 4, number);  // a network of its own for each
    return out;
}

class Alone {
public:
    Alone(bool ipv6, Micros timeout, const std::vector<size_t>& sizes) : ipv6_(ipv6), timeout_(timeout), sizes_(sizes) {}

    void keep(uint32_t source, uint64_t request, Micros now) {
        for (size_t tensor = 0; tensor < sizes_.size(); ++tensor) fragments(source, request, now, tensor, 0, pieces(tensor));
        tell();
    }
    void part(uint32_t source, uint64_t request, Micros now, std::istream& words) {
        size_t tensor = 0, first = 0, count = 0;
        words >> tensor >> first >> count;
        fragments(source, request, now, tensor, first, first + count);
        tell();
    }
    void came(uint32_t source, uint64_t request) {
        kept_.takes(fragment(source, request, 0, 0), true);
        tell();
    }
    void expire(Micros now) {
        kept_.expire(timeout_, now);
        tell();
    }
    void ask(uint32_t source, uint64_t request, std::istream& words) {
        uint64_t tensor = 0, count = 0, total = 0, bitmap = 0;
        words >> tensor >> count >> total >> std::hex >> bitmap;
        Frame frame;
        uint8_t* header = begin(frame, request, mw::kMissing);
        put(header, {{mw::field::last, 1},
                     {mw::field::tensor_index, tensor},
                     {mw::field::fragment_count, count},
                     {mw::field::total_bytes, total}});
        stamp_crc(header);
        put32(header + mw::kHeaderBytes, static_cast<uint32_t>(bitmap >> 32));
        put32(header + mw::kHeaderBytes + 4, static_cast<uint32_t>(bitmap));
        wrap(frame, mw::kHeaderBytes + 8, hop(), client(source), 0);
        if (!kept_.takes(frame, true)) std::printf("!");
        while (kept_.asked()) {
            kept_.take(frame, now_);
            Headers headers;
            HeaderReader(frame, kAnybody).read(headers);
            const uint8_t* left = frame.data + headers.header_at();
            if (!well_formed(frame, headers) || !udp_right(frame, headers) || get_field(left, mw::field::crc) != header_crc(left))
                std::printf("damaged ");
            std::printf("%d:%d:%d%s ", static_cast<int>(get_field(left, mw::field::tensor_index)),
                        static_cast<int>(get_field(left, mw::field::fragment_index)),
                        static_cast<int>(udp_length(frame, headers) - 8 - mw::kHeaderBytes),
                        get_field(left, mw::field::resend) ? "R" : "");
        }
        std::puts("");
    }

private:
    void tell() const { std::printf("%zu %zu %zu\n", kept_.size(), kept_.bytes(), std::exchange(left_behind, 0)); }

    // Bytes of a fragment: as few as may be.
    size_t step(size_t tensor) const {
        return mw::kFragmentStep * ((sizes_[tensor] - 1) / (mw::kMaxFragments * mw::kFragmentStep) + 1);
    }
    size_t pieces(size_t tensor) const { return (sizes_[tensor] + step(tensor) - 1) / step(tensor); }
    Endpoint client(uint32_t source) const { return {address(ipv6_, source), kClient, ipv6_}; }
    Endpoint hop() const { return {address(ipv6_, 1), kHop, ipv6_}; }

    static void put(uint8_t* header, std::initializer_list<std::pair<mw::Field, uint64_t>> fields) {
        for (const auto& [field, value] : fields) put_field(header, field, value);
    }
    uint8_t* begin(Frame& frame, uint64_t request, uint64_t type) const {
        uint8_t* header = frame.data + headroom(ipv6_);
        std::memset(header, 0, mw::kHeaderBytes);
        put(header, {{mw::field::magic, mw::kMagic},
                     {mw::field::version, mw::kVersion},
                     {mw::field::message_type, type},
                     {mw::field::cursor, 1},
                     {mw::field::request_id, request}});
        return header;
    }
    const Frame& fragment(uint32_t source, uint64_t request, size_t tensor, size_t index) {
        Frame& frame = frame_;
        const size_t size = std::min(step(tensor), sizes_[tensor] - index * step(tensor));
        uint8_t* header = begin(frame, request, mw::kTensor);
        put(header, {{mw::field::result, 1},
                     {mw::field::tensor_index, tensor},
                     {mw::field::source_count, sizes_.size()},
                     {mw::field::fragment_index, index},
                     {mw::field::fragment_count, pieces(tensor)}});
        stamp_crc(header);
        std::memset(header + mw::kHeaderBytes, kTensorByte, size);
        wrap(frame, mw::kHeaderBytes + size, client(source), hop(), 0);
        return frame;
    }
    void fragments(uint32_t source, uint64_t request, Micros now, size_t tensor, size_t first, size_t end) {
        now_ = now;
        for (size_t index = first; index < end; ++index) kept_.keep(fragment(source, request, tensor, index), now);
    }

    const bool ipv6_;
    const Micros timeout_;
    const std::vector<size_t> sizes_;
    Frame frame_;
    Micros now_ = 0;
    KeptResults kept_;
};

}  // namespace

// What is let go is looked at: nothing of a tensor may be left in it.
void operator delete(void* block) noexcept { std::free(block); }
void operator delete(void* block, size_t size) noexcept {
    size_t run = 0;
    for (size_t i = 0; i < size; ++i) {
        run = static_cast<volatile uint8_t*>(block)[i] == kTensorByte ? run + 1 : 0;
        left_behind += run >= kRun;
    }
    std::free(block);
}
void* operator new(size_t size) {
    if (void* block = std::malloc(size)) return block;
    throw std::bad_alloc();
}

int main(int, char** argv) {
    std::vector<size_t> sizes;
    for (char** each = argv + 3; *each; ++each) sizes.push_back(std::strtoul(*each, nullptr, 10));
    Alone alone(std::string(argv[1]) == "6", std::strtoul(argv[2], nullptr, 10), sizes);
    for (std::string line; std::getline(std::cin, line);) {
        std::istringstream words(line);
        std::string what;
        uint64_t first = 0, second = 0, now = 0;
        words >> what >> first;
        const auto source = static_cast<uint32_t>(first);
        if (what != "expire") words >> second;
        if (what == "keep" || what == "part") words >> now;
        if (what == "keep") alone.keep(source, second, now);
        else if (what == "part") alone.part(source, second, now, words);
        else if (what == "came") alone.came(source, second);
        else if (what == "expire") alone.expire(first);
        else alone.ask(source, second, words);
    }
}
