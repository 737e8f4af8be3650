// SPDX-FileCopyrightText: 2026 midwire contributors
// SPDX-License-Identifier: Apache-2.0
//
// What becomes of a frame by its own bytes and the registers alone: rules P1 to P4 of hw/nic/parser.py, and
// D0 and D1 of hw/nic/decide.py.

#pragma once

#include <vector>

#include "header.h"
#include "headers.h"
#include "reference_registers.h"

class Classifier {
public:
    static constexpr uint64_t kOurs = ~uint64_t{0};

    // `sizes`: bytes of the slice's input tensors.
    Classifier(const Registers& registers, const std::vector<size_t>& sizes) : registers_(registers), sizes_(sizes) {}

    // P1 to P4: the outcome, or kOurs; and where the headers are of a frame that is to our address.
    uint64_t classify(const Frame& frame, Headers& headers) const {
        namespace outcome = mw::outcome;
        if (!(registers_[mw::reg::control] & 1) || !HeaderReader(frame, our_address()).read(headers))
            return outcome::PASSED;
        if (!well_formed(frame, headers)) return outcome::PASSED_MALFORMED;
        const uint8_t* header = frame.data + headers.header_at();
        const uint32_t length = udp_length(frame, headers);
        switch (fault_of(header, length - 8)) {
            case Fault::none: break;
            case Fault::no_header: return outcome::PASSED_MALFORMED;
            case Fault::bad_magic: return outcome::PASSED_BAD_MAGIC;
            case Fault::bad_version: return outcome::PASSED_BAD_VERSION;
            case Fault::bad_crc: return outcome::PASSED_BAD_CRC;
            case Fault::other_type: return outcome::PASSED_OTHER_TYPE;
        }
        if (!udp_right(frame, headers)) return outcome::DROPPED_BAD_CHECKSUM;
        if (!sound(header, length - 8 - mw::kHeaderBytes)) return outcome::DROPPED_BAD_LENGTH;
        if (!get_field(header, mw::field::hop_limit)) return outcome::DROPPED_HOP_LIMIT;
        return kOurs;
    }

    // D0: not an earlier hop's result that is for others.
    bool asked(const uint8_t* header) const {
        return !get_field(header, mw::field::result) ||
               (is(header, mw::field::tenant, mw::reg::tenant) && is_model(header) && is_cursor(header));
    }

    // D8: how many of tenant, model hash, cursor and epoch are this core's, up to the first that is not.
    unsigned agreement(const uint8_t* header) const {
        if (!is(header, mw::field::tenant, mw::reg::tenant)) return 0;
        if (!is_model(header)) return 1;
        if (!is_cursor(header)) return 2;
        return is(header, mw::field::epoch, mw::reg::epoch) ? 4 : 3;
    }

    // D1: why it is declined whatever is in the slots, or NONE.
    uint64_t refuse(const uint8_t* header) const {
        namespace field = mw::field;
        namespace reason = mw::reason;
        if (get_field(header, field::encrypted)) return reason::ENCRYPTED;
        if (!is(header, field::tenant, mw::reg::tenant)) return reason::WRONG_TENANT;
        if (!is_model(header)) return reason::WRONG_MODEL;
        if (!is_cursor(header)) return reason::WRONG_CURSOR;
        if (!is(header, field::epoch, mw::reg::epoch)) return reason::WRONG_EPOCH;
        const uint64_t tensor = get_field(header, field::tensor_index);
        if (tensor >= sizes_.size() || get_field(header, field::source_count) != sizes_.size())
            return reason::WRONG_TENSOR;
        if (!get_field(header, field::may_execute)) return reason::POLICY;
        if (!get_field(header, field::deadline_us)) return reason::DEADLINE;
        if (get_field(header, field::total_bytes) != sizes_[tensor]) return reason::BAD_LENGTH;
        return reason::NONE;
    }

private:
    OurAddress our_address() const {
        const IpAddress none, own = registers_.ip6(mw::reg::own_ip6_0);
        return {registers_[mw::reg::own_ip], static_cast<uint16_t>(registers_[mw::reg::own_port]),
                registers_.ip6(mw::reg::next_ip6_0).any() ? own : none};
    }

    // Whether a fragment's lengths agree with each other (W2).
    static bool sound(const uint8_t* header, size_t payload) {
        namespace field = mw::field;
        const size_t tail = get_field(header, field::encrypted) ? mw::kTagBytes : 0;
        if (payload <= tail) return false;
        const uint64_t index = get_field(header, field::fragment_index);
        const uint64_t count = get_field(header, field::fragment_count);
        const uint64_t offset = get_field(header, field::offset);
        const uint64_t total = get_field(header, field::total_bytes);
        const uint64_t end = offset + payload - tail;
        const bool last = get_field(header, field::last);
        return index < count && last == (index + 1 == count) && (index == 0) == (offset == 0) && end <= total &&
               last == (end == total) && (last || !((payload - tail) % mw::kFragmentStep));
    }

    bool is(const uint8_t* header, mw::Field name, size_t number) const {
        return get_field(header, name) == registers_[number];
    }
    bool is_model(const uint8_t* header) const {
        const uint64_t high = registers_[mw::reg::model_hash_high];
        return get_field(header, mw::field::model_hash) == (high << 32 | registers_[mw::reg::model_hash_low]);
    }
    bool is_cursor(const uint8_t* header) const {
        return is(header, mw::field::cursor, mw::reg::cursor) && is(header, mw::field::slice_count, mw::reg::slice_count);
    }

    const Registers& registers_;
    const std::vector<size_t> sizes_;
};
