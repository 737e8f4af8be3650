// SPDX-FileCopyrightText: 2026 midwire contributors
// SPDX-License-Identifier: Apache-2.0
//
// Frames out of a recorded file and into another: for tests, and to replay what was seen.
//
// Files are classic pcap (not pcapng), link type Ethernet; either byte order and either resolution is
// read. The n-th frame written is stamped n microseconds, so that the same frames give the same file.
// The loop ends when the input has ended and everything has come out.
//
// Arguments: --read PCAP, --write PCAP.

#pragma once

#include <cstdio>

#include "transport.h"

class FileTransport : public Transport {
public:
    explicit FileTransport(const Arguments& arguments)
        : from_(arguments.must("--read")), in_(std::fopen(from_.c_str(), "rb")) {
        if (!in_) fail_errno("cannot read " + from_);
        uint8_t header[24];
        if (std::fread(header, 1, sizeof header, in_) != sizeof header) fail(from_ + " is no pcap file");
        const uint32_t magic = get32(header);
        swapped_ = magic == 0xd4c3b2a1 || magic == 0x4d3cb2a1;
        if (!swapped_ && magic != 0xa1b2c3d4 && magic != 0xa1b23c4d) fail(from_ + " is no pcap file");
        if ((number_at(header + 20) & 0xfffffff) != kEthernet) fail(from_ + " has no Ethernet frames");
        const std::string to = arguments.must("--write");
        out_ = std::fopen(to.c_str(), "wb");
        if (!out_) fail_errno("cannot write " + to);
        uint8_t head[24] = {};
        put32(head, 0xa1b2c3d4);
        put16(head + 4, 2), put16(head + 6, 4);
        put32(head + 16, 65535), put32(head + 20, kEthernet);
        put(head, sizeof head);
    }
    ~FileTransport() override {
        std::fclose(in_);
        std::fclose(out_);
    }

    std::string place() const override { return from_; }
    void watch(std::vector<pollfd>&, bool, bool) const override {}
    bool ready() const override { return !ended_; }
    bool ended() const override { return ended_; }

    void receive(const pollfd*, size_t, FrameQueue& to) override {
        for (size_t i = 0; i < kBatch && to.room() && !ended_; ++i) {
            uint8_t record[16];
            const size_t got = std::fread(record, 1, sizeof record, in_);
            const uint32_t size = number_at(record + 8);
            if (got == sizeof record && size > kMaxFrame) {
                ++rx_too_long_;
                ended_ = std::fseek(in_, static_cast<long>(size), SEEK_CUR) != 0;
                continue;
            }
            if (got == sizeof record && size == 0) {
                ++rx_empty_;
                continue;
            }
            Frame& frame = to.back();
            if (got != sizeof record || std::fread(frame.data, 1, size, in_) != size) {
                rx_cut_off_ += got != 0;  // the recording stops in the middle of a frame
                ended_ = true;
                return;
            }
            frame.size = size;
            ++rx_frames_;
            to.push();
        }
    }

    void send(FrameQueue& from) override {
        for (; !from.empty(); from.pop()) {
            const Frame& frame = from.front();
            uint8_t record[16] = {};
            put32(record, static_cast<uint32_t>(tx_frames_ / 1000000));
            put32(record + 4, static_cast<uint32_t>(tx_frames_ % 1000000));
            put32(record + 8, frame.size), put32(record + 12, frame.size);
            put(record, sizeof record);
            put(frame.data, frame.size);
            ++tx_frames_;
        }
        if (std::fflush(out_) != 0) fail_errno("cannot write the recording");
    }

    void count(Statistics& out) const override {
        out.add("rx_frames", rx_frames_);
        out.add("rx_too_long", rx_too_long_);
        out.add("rx_empty", rx_empty_);
        out.add("rx_cut_off", rx_cut_off_);
        out.add("tx_frames", tx_frames_);
    }

private:
    static constexpr uint32_t kEthernet = 1;
    static constexpr size_t kBatch = 256;

    uint32_t number_at(const uint8_t* at) const { return swapped_ ? __builtin_bswap32(get32(at)) : get32(at); }
    void put(const uint8_t* data, size_t size) {
        if (std::fwrite(data, 1, size, out_) != size) fail_errno("cannot write the recording");
    }

    std::string from_;
    std::FILE* in_ = nullptr;
    std::FILE* out_ = nullptr;
    bool swapped_ = false, ended_ = false;
    uint64_t rx_frames_ = 0, rx_too_long_ = 0, rx_empty_ = 0, rx_cut_off_ = 0, tx_frames_ = 0;
};
