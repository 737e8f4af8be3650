// SPDX-FileCopyrightText: 2026 midwire contributors
// SPDX-License-Identifier: Apache-2.0
//
// The numpy reference as a datapath: hw/nic's shell in C++, and the slice in a helper process.
//
// Frames, registers and counters are as docs/nic.md says of the pipeline, by the same descriptions
// (formats.h is generated from hw/formats). What differs, because there is no clock: time is real time,
// results carry no cycles, and there are many request slots whose fragments come in any order. A slice
// with several inputs or outputs is not executed: every tensor is declined.
//
// Arguments: --helper-fd NUMBER (socket to the helper), --input BYTES and --output BYTES, once for each
// tensor of the slice.

#include "datapath.h"
#include "reference_helper.h"
#include "reference_registers.h"

namespace {

namespace reg = mw::reg;
namespace field = mw::field;
namespace reason = mw::reason;
namespace outcome = mw::outcome;

constexpr size_t kSlots = 64, kTurnFrames = 1024;
constexpr uint64_t kOurs = ~uint64_t{0};

std::vector<size_t> sizes(const Arguments& arguments, const std::string& key) {
    std::vector<size_t> out;
    for (const std::string& text : arguments.all(key)) out.push_back(number(text));
    if (out.empty()) fail(key + " is missing");
    return out;
}

class ReferenceDatapath : public Datapath {
public:
    ReferenceDatapath(const Arguments& arguments, FrameQueue& in, FrameQueue& out)
        : inputs_(sizes(arguments, "--input")),
          outputs_(sizes(arguments, "--output")),
          in_(in),
          out_(out),
          slots_(kSlots, inputs_[0], outputs_[0]),
          helper_(static_cast<int>(number(arguments.must("--helper-fd"))), slots_) {
        registers_[reg::capability] = static_cast<uint32_t>(
            8 | (executes_ ? kSlots : 0) << 8 | inputs_.size() << 16 | outputs_.size() << 24);
        registers_[reg::input_bytes] = static_cast<uint32_t>(executes_ ? inputs_[0] : 0);
        registers_[reg::output_bytes] = static_cast<uint32_t>(executes_ ? outputs_[0] : 0);
    }

    void work() override {
        now_ = Clock::now();
        for (size_t i = 0; i < kTurnFrames && !in_.empty() && out_.room(); ++i, in_.pop()) judge(in_.front());
        helper_.turn(done_);
        while (!done_.empty() && out_.room()) send_result(slots_[done_.front()]);
        const bool enabled = registers_[reg::control] & 1;
        if (!enabled || timeout() != Clock::duration::zero())
            registers_[reg::evicted] += slots_.expire(now_, enabled ? timeout() : Clock::duration::zero());
    }
    int due() override {
        if (!out_.room()) return -1;  // the transport's descriptors are what to wait for
        if (!in_.empty() || !done_.empty()) return 0;
        const Clock::time_point oldest = slots_.oldest();
        if (oldest == Clock::time_point::max() || timeout() == Clock::duration::zero()) return -1;
        const auto left = oldest + timeout() - Clock::now();
        if (left.count() <= 0) return 0;
        return static_cast<int>(std::chrono::ceil<std::chrono::milliseconds>(left).count());
    }
    bool idle() override {
        const bool lacking = slots_.any(Slot::collecting) && timeout() != Clock::duration::zero();
        return in_.empty() && done_.empty() && !lacking && !slots_.any(Slot::whole);
    }
    void watch(std::vector<pollfd>& fds) const override { helper_.watch(fds); }

    bool read(uint32_t address, uint32_t& value) override {
        registers_[reg::status] = (slots_.any(Slot::collecting) ? mw::kStatusCollecting : 0) |
                                  (slots_.any(Slot::whole) ? mw::kStatusComputing : 0) |
                                  (!in_.empty() || !done_.empty() ? mw::kStatusBusy : 0);
        return registers_.read(address, value);
    }
    bool write(uint32_t address, uint32_t value) override { return registers_.write(address, value); }

    void count(Statistics& out) const override {
        out.add("frames_in", frames_in_);
        out.add("frames_out", frames_out_);
    }

private:
    Clock::duration timeout() const {
        const uint64_t mhz = std::max<uint64_t>(1, registers_[reg::clock_mhz]);
        return std::chrono::microseconds((registers_[reg::timeout] + mhz - 1) / mhz);  // only 0 is never
    }

    void judge(Frame& frame) {
        ++frames_in_, ++registers_[reg::frames_in];
        uint64_t fate = classify(frame);
        if (fate == kOurs) {
            fate = asked(frame) ? decide(frame) : uint64_t{outcome::FORWARDED};
            if (fate != outcome::COLLECTED) send_on(frame, fate - outcome::FORWARDED);
        } else if (fate < outcome::DROPPED_BAD_FRAME) {
            emit(frame.data, frame.size);
        }
        ++registers_[reg::passed + fate];
    }

    // Rules P1 to P4 of hw/nic/parser.py: the outcome, or kOurs.
    uint64_t classify(const Frame& frame) const {
        const uint8_t *ip = frame.data + 14, *udp = ip + 20, *header = frame.data + kHeaderAt;
        const bool to_us = registers_[reg::control] & 1 && frame.size >= kHeaderAt &&
                           get16(frame.data + 12) == 0x0800 && ip[0] == 0x45 && ip[9] == 17 &&
                           !(get16(ip + 6) & 0x3fff) && get16(udp + 2) == registers_[reg::own_port] &&
                           (!registers_[reg::own_ip] || get32(ip + 16) == registers_[reg::own_ip]);
        if (!to_us) return outcome::PASSED;
        const uint32_t total = get16(ip + 2), length = get16(udp + 4);
        if (fold(sum16(ip, 20)) != 0xffff || total != length + 20 || length < 8 || frame.size < 14 + total)
            return outcome::PASSED_MALFORMED;
        switch (fault_of(header, length - 8)) {
            case Fault::none: break;
            case Fault::no_header: return outcome::PASSED_MALFORMED;
            case Fault::bad_magic: return outcome::PASSED_BAD_MAGIC;
            case Fault::bad_version: return outcome::PASSED_BAD_VERSION;
            case Fault::bad_crc: return outcome::PASSED_BAD_CRC;
            case Fault::other_type: return outcome::PASSED_OTHER_TYPE;
        }
        if (get16(udp + 6) && udp_sum(frame, length) != 0xffff) return outcome::DROPPED_BAD_CHECKSUM;
        if (!sound(header, payload_of(frame))) return outcome::DROPPED_BAD_LENGTH;
        if (!get_field(header, field::hop_limit)) return outcome::DROPPED_HOP_LIMIT;
        return kOurs;
    }

    static size_t payload_of(const Frame& frame) { return get16(frame.data + 38) - 8 - mw::kHeaderBytes; }

    // Whether a fragment's lengths agree with each other (W2).
    static bool sound(const uint8_t* header, size_t payload) {
        const size_t tail = get_field(header, field::encrypted) ? mw::kTagBytes : 0;
        if (payload <= tail) return false;
        const uint64_t index = get_field(header, field::fragment_index);
        const uint64_t offset = get_field(header, field::offset);
        const uint64_t total = get_field(header, field::total_bytes);
        const uint64_t end = offset + payload - tail;
        const bool last = get_field(header, field::last);
        return index < get_field(header, field::fragment_count) &&
               last == (index + 1 == get_field(header, field::fragment_count)) &&
               (index == 0) == (offset == 0) && end <= total && last == (end == total) &&
               (last || !((payload - tail) % mw::kFragmentStep));
    }

    bool is(const uint8_t* header, mw::Field name, size_t number) const {
        return get_field(header, name) == registers_[number];
    }
    bool is_model(const uint8_t* header) const {
        const uint64_t high = registers_[reg::model_hash_high];
        return get_field(header, field::model_hash) == (high << 32 | registers_[reg::model_hash_low]);
    }
    bool is_cursor(const uint8_t* header) const {
        return is(header, field::cursor, reg::cursor) && is(header, field::slice_count, reg::slice_count);
    }

    // Rule D0 of hw/nic/decide.py.
    bool asked(const Frame& frame) const {
        const uint8_t* header = frame.data + kHeaderAt;
        return !get_field(header, field::result) ||
               (is(header, field::tenant, reg::tenant) && is_model(header) && is_cursor(header));
    }

    // Rules D1 to D5, in their order: the outcome.
    uint64_t decide(const Frame& frame) {
        const uint64_t why = refuse(frame);
        return why == reason::NONE ? uint64_t{outcome::COLLECTED} : outcome::FORWARDED + why;
    }

    uint64_t refuse(const Frame& frame) {
        const uint8_t* header = frame.data + kHeaderAt;
        if (get_field(header, field::encrypted)) return reason::ENCRYPTED;
        if (!is(header, field::tenant, reg::tenant)) return reason::WRONG_TENANT;
        if (!is_model(header)) return reason::WRONG_MODEL;
        if (!is_cursor(header)) return reason::WRONG_CURSOR;
        if (!is(header, field::epoch, reg::epoch)) return reason::WRONG_EPOCH;
        if (get_field(header, field::tensor_index) || get_field(header, field::source_count) != 1 || !executes_)
            return reason::WRONG_TENSOR;
        if (!get_field(header, field::may_execute)) return reason::POLICY;
        if (!get_field(header, field::deadline_us)) return reason::DEADLINE;
        if (get_field(header, field::total_bytes) != inputs_[0]) return reason::BAD_LENGTH;
        size_t whole = 0;
        const uint64_t why = slots_.take(frame, payload_of(frame), now_, whole);
        if (whole < slots_.size()) {
            ++registers_[reg::requests];
            helper_.ask(whole);
        }
        return why;
    }

    // Declined, or just forwarded, without a reason.
    void send_on(Frame& frame, uint64_t why) {
        uint8_t* header = frame.data + kHeaderAt;
        if (why != reason::NONE) {
            put_field(header, field::declined, 1);
            put_field(header, field::reason, why);
        }
        put_field(header, field::hop_limit, get_field(header, field::hop_limit) - 1);
        const Endpoint sender{get32(frame.data + 26), static_cast<uint16_t>(get16(frame.data + 34))};
        address(frame, payload_of(frame), sender, frame.data[15], frame.data[22]);
        emit(frame.data, frame.size);
    }

    // The next fragment of a result (W3); the slot is free after the last one.
    void send_result(Slot& slot) {
        const size_t total = slot.output.size();
        const size_t least = (total - 1) / (mw::kMaxFragments * mw::kFragmentStep) + 1;
        const size_t steps = registers_[reg::fragment_bytes] / mw::kFragmentStep;
        const size_t most = mw::kMaxFragmentBytes / mw::kFragmentStep;
        const size_t step = mw::kFragmentStep * std::clamp(steps, least, most);
        const size_t bytes = std::min(step, total - slot.sent);
        Frame& frame = out_.back();
        uint8_t* header = frame.data + kHeaderAt;
        std::memcpy(header, slot.header, mw::kHeaderBytes);
        std::memcpy(frame.data + kPayloadAt, slot.output.data() + slot.sent, bytes);
        const bool last = slot.sent + bytes == total;
        const uint64_t used = static_cast<uint64_t>(
            std::chrono::duration_cast<std::chrono::microseconds>(Clock::now() - slot.came).count());
        const uint64_t deadline = get_field(header, field::deadline_us);
        const std::pair<mw::Field, uint64_t> changes[] = {
            {field::last, last},
            {field::result, 1},
            {field::declined, 0},
            {field::reason, 0},
            {field::telemetry, 0},
            {field::cycles, 0},
            {field::cursor, get_field(header, field::cursor) + 1},
            {field::fragment_index, slot.sent / step},
            {field::fragment_count, (total + step - 1) / step},
            {field::offset, slot.sent},
            {field::total_bytes, total},
            {field::element_type, registers_[reg::element_type]},
            {field::hop_limit, get_field(header, field::hop_limit) - 1},
            {field::deadline_us, deadline > used ? deadline - used : 0},
        };
        for (const auto& [name, value] : changes) put_field(header, name, value);
        address(frame, bytes, slot.sender, slot.tos, slot.ttl);
        out_.push();
        ++frames_out_, ++registers_[reg::result_frames];
        slot.sent += bytes;
        if (!last) return;
        ++registers_[reg::results];
        slot.state = Slot::free;
        done_.pop_front();
    }

    // Rules F1 to F3 of hw/nic/packetise.py: headers in front of a payload that lies at kHeaderAt.
    void address(Frame& frame, size_t payload, Endpoint sender, uint8_t tos, uint8_t ttl) const {
        stamp_crc(frame.data + kHeaderAt);
        const Endpoint hop{registers_[reg::next_ip], static_cast<uint16_t>(registers_[reg::next_port])};
        wrap(frame, mw::kHeaderBytes + payload, sender, hop, 0);
        put16(frame.data, registers_[reg::next_mac_high]);
        put32(frame.data + 2, registers_[reg::next_mac_low]);
        put16(frame.data + 6, registers_[reg::own_mac_high]);
        put32(frame.data + 8, registers_[reg::own_mac_low]);
        uint8_t* ip = frame.data + 14;
        ip[1] = tos, ip[8] = ttl;
        put16(ip + 10, 0);
        put16(ip + 10, ~fold(sum16(ip, 20)) & 0xffff);
    }

    void emit(const uint8_t* data, uint32_t size) {
        Frame& frame = out_.back();
        std::memcpy(frame.data, data, size);
        frame.size = size;
        out_.push();
        ++frames_out_;
    }

    const std::vector<size_t> inputs_, outputs_;
    const bool executes_ = inputs_.size() == 1 && outputs_.size() == 1;
    FrameQueue &in_, &out_;
    Registers registers_;
    Slots slots_;
    Helper helper_;
    std::deque<size_t> done_;
    Clock::time_point now_;
    uint64_t frames_in_ = 0, frames_out_ = 0;
};

}  // namespace

std::unique_ptr<Datapath> make_datapath(const Arguments& arguments, FrameQueue& in, FrameQueue& out) {
    return std::make_unique<ReferenceDatapath>(arguments, in, out);
}
