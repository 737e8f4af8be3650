// SPDX-FileCopyrightText: 2026 midwire contributors
// SPDX-License-Identifier: Apache-2.0
//
// The numpy reference as a datapath: hw/nic's shell in C++, and the slice in a helper process.
//
// Frames, registers and counters are as docs/nic.md says of the pipeline, by the same descriptions
// (formats.h is generated from hw/formats) and the same rules (D0 to D7 of hw/nic/decide.py, T1 to T8 of
// hw/nic/entries.py). What differs, because there is no clock: results carry no cycles, and `clock_mhz` and
// `time_us` mean nothing.
//
// Arguments, once for each slice, in order: --helper-fd NUMBER (socket to the helper), --slots NUMBER, --inputs
// BYTES,BYTES,... and --outputs BYTES,BYTES,..., of its tensors.

#include <functional>

#include "datapath.h"
#include "reference_classify.h"
#include "reference_cores.h"
#include "reference_decisions.h"
#include "reference_helper.h"
#include "reference_patience.h"
#include "reference_steering.h"

namespace {

namespace reg = mw::reg;
namespace reason = mw::reason;
namespace outcome = mw::outcome;

constexpr size_t kPutOff = 8;    // turns in which frames came, until time is looked at all the same
constexpr size_t kOwnRoom = 64;  // of the queue out, for frames that are not one for one that came in

// One slice, and all that is known of its requests.
class ReferenceDatapath {
public:
    ReferenceDatapath(const ReferenceSlice& slice, FrameQueue& in, FrameQueue& out)
        : inputs_(slice.inputs),
          outputs_(slice.outputs),
          in_(in),
          out_(out),
          maker_(registers_),
          classifier_(registers_, inputs_),
          steering_(registers_),
          slots_(slice.slots, inputs_),
          results_(registers_, outputs_),
          helper_(slice.helper_fd, results_) {
        const size_t tensors = inputs_.size() << 16 | outputs_.size() << 24;
        registers_[reg::capability] = static_cast<uint32_t>(8 | slots_.size() << 8 | tensors);
        registers_[reg::input_bytes] = static_cast<uint32_t>(inputs_.size() == 1 ? inputs_[0] : 0);
        registers_[reg::output_bytes] = static_cast<uint32_t>(outputs_.size() == 1 ? outputs_[0] : 0);
    }

    // P1 to P4, which are the same in every core.
    uint64_t classify(const Frame& frame, Headers& headers) const { return classifier_.classify(frame, headers); }
    unsigned agreement(const uint8_t* header) const { return classifier_.agreement(header); }

    // Of all cores: whether one may judge the first frame that came in.
    bool can_judge() const { return !in_.empty() && out_.room() > kOwnRoom; }
    void begin(Micros now) { now_ = now; }
    // Behind all frames of this turn, if any were judged.
    void end(bool judged) {
        helper_.turn(executed_);
        while (results_.ready() && out_.room()) send_result();
        ask_for_overtaken();
        // What lacks may be among frames that wait: after a pause of the process they are many.
        if (judged && ++put_off_ < kPutOff) return;
        put_off_ = 0;
        keep_time();
    }
    Micros due() {
        if (!out_.room()) return kNever;  // the transport's descriptors are what to wait for
        if (can_judge() || results_.ready() || leaving_) return 0;
        const Patience patience(registers_, pressed_, measured_);
        Micros next = kNever;
        for (const Slot& slot : slots_)
            if (slot.state == Slot::collecting) next = std::min(next, patience.due(slot));
        return until(next);
    }
    bool idle() {
        const bool lacking = slots_.any(Slot::collecting) && registers_[reg::timeout_us];
        return in_.empty() && results_.empty() && !lacking && !slots_.any(Slot::whole) && !leaving_;
    }
    void watch(std::vector<pollfd>& fds) const { helper_.watch(fds); }

    bool read(uint32_t address, uint32_t& value) {
        const bool busy = !in_.empty() || results_.ready() || slots_.any(Slot::whole) || leaving_;
        registers_[reg::status] = (slots_.any(Slot::collecting) ? mw::kStatusCollecting : 0) |
                                  (results_.empty() ? 0 : mw::kStatusComputing) | (busy ? mw::kStatusBusy : 0);
        if (!registers_.read(address, value)) return false;
        const size_t number = register_at(address);
        if (mw::kRegisters[number].entry) value = steering_.show(number, micros());
        return true;
    }
    bool write(uint32_t address, uint32_t value) {
        if (register_at(address) == reg::table_commit) return steering_.commit(micros());
        return registers_.write(address, value);
    }

    uint64_t frames_in() const { return frames_in_; }
    uint64_t frames_out() const { return frames_out_; }

    // Takes the first frame that came in, which was classified as `fate`.
    void judge(Frame& frame, const Headers& headers, uint64_t fate) {
        ++frames_in_, ++registers_[reg::frames_in];
        registers_[reg::unread] += headers.unread;
        bool leaves = fate < outcome::DROPPED_BAD_FRAME;
        if (fate == Classifier::kOurs) {
            const uint8_t* header = frame.data + headers.header_at();
            const Steered steered = steering_.look(header, headers.ipv6, now_);
            const bool asked = classifier_.asked(header);
            fate = asked ? decide(frame, headers, steered) : uint64_t{outcome::FORWARDED};
            leaves = fate >= outcome::FORWARDED;
            if (leaves) address_anew(frame, headers, fate - outcome::FORWARDED, steered.hop);
        }
        ++registers_[reg::passed + fate];
        if (!leaves) return in_.pop();
        out_.move_from(in_);
        ++frames_out_;
    }

private:
    // The outcome of a fragment that we were asked to execute: D1 and T3, then D2 to D7 and T4.
    uint64_t decide(const Frame& frame, const Headers& headers, const Steered& steered) {
        const uint64_t why = classifier_.refuse(frame.data + headers.header_at());
        if (why != reason::NONE) {
            if (steered.policy) return outcome::DECLINED_POLICY;
            return steered.forward ? uint64_t{outcome::FORWARDED} : outcome::FORWARDED + why;
        }
        const Fragment fragment(frame, headers);
        const uint32_t fingerprint = request_fingerprint(fragment.request, slots_.named_by(fragment.sender));
        Slot* slot = slots_.find(fingerprint);
        if (slot && !slots_.is_of(*slot, fragment)) return decline_busy(fingerprint);
        uint64_t fate = outcome::COLLECTED;
        if (!slot) slot = open(fragment, fingerprint, steered, fate);
        if (!slot) return fate;
        if (slot->state == Slot::leaving) return outcome::DECLINED_INCOMPLETE;
        const Part& part = slot->parts[fragment.tensor];
        if (part.begun() && !(part.first.sender == fragment.sender))
            return outcome::FORWARDED + reason::WRONG_TENSOR;
        fate = take(*slot, fragment, steered.hop, now_);
        measured_.take(*slot);
        if (fate == outcome::COLLECTED && slot->state == Slot::whole) {
            ++registers_[reg::requests];
            helper_.ask(*slot, executed_);
        }
        return fate;
    }

    // A slot for a request that has none (D2), or nullptr and what becomes of its fragment.
    Slot* open(const Fragment& fragment, uint32_t fingerprint, const Steered& steered, uint64_t& fate) {
        switch (decisions_.find(fingerprint, now_, registers_[reg::timeout_us])) {
            case Decisions::none: break;
            case Decisions::busy: return fate = outcome::DECLINED_BUSY, nullptr;
            case Decisions::incomplete: return fate = outcome::DECLINED_INCOMPLETE, nullptr;
            case Decisions::forwarded: return fate = outcome::FORWARDED, nullptr;
            case Decisions::policy: return fate = outcome::DECLINED_POLICY, nullptr;
            case Decisions::executed:
                if (!fragment.resend) return fate = outcome::DROPPED_DUPLICATE, nullptr;
        }
        if (steered.policy || steered.forward) {
            decisions_.put(fingerprint, steered.policy ? Decisions::policy : Decisions::forwarded, now_);
            return fate = steered.policy ? outcome::DECLINED_POLICY : outcome::FORWARDED, nullptr;
        }
        if (!slots_.fits(fragment)) return fate = outcome::DROPPED_BAD_LENGTH, nullptr;
        Slot* slot = slots_.open(fragment, fingerprint);
        if (!slot) fate = decline_busy(fingerprint);
        return slot;
    }

    // For want of a slot, or as another request has its name in the slots.
    uint64_t decline_busy(uint32_t fingerprint) {
        pressed_ = true;
        decisions_.put(fingerprint, Decisions::busy, now_);
        return outcome::DECLINED_BUSY;
    }

    void release(Slot& slot, Decisions::Decision decision) {
        decisions_.put(slot.fingerprint, decision, now_);
        slot.clear();
        pressed_ = false;
    }

    // D4: asks for what lacks, or gives up. One request after the other, as each makes room for others.
    void keep_time() {
        if (leaving_ && !send_on_what_is_here()) return;
        for (Slot& slot : slots_) {
            if (slot.state != Slot::collecting) continue;
            const Patience patience(registers_, pressed_, measured_);
            if (patience.ends(slot) <= now_) {
                slot.state = Slot::leaving;
                leaving_ = &slot;
                ++registers_[reg::evicted];
                if (!send_on_what_is_here()) return;
            } else if (patience.asks(slot) <= now_ && out_.room()) {
                const Missing missing = take_missing(slot, patience.early(slot, now_), now_);
                if (missing.part) ask(missing);
            }
        }
    }

    // D4: what was overtaken is lost, whatever waits.
    void ask_for_overtaken() {
        if (!registers_[reg::ask_us] || !(registers_[reg::control] & 1)) return;
        for (Slot& slot : slots_) {
            if (slot.state != Slot::collecting) continue;
            for (Missing missing; out_.room() && (missing = take_overtaken(slot)).part;) {
                slot.ask(now_, false);
                ask(missing);
            }
        }
    }

    void ask(const Missing& missing) {
        Frame& frame = out_.back();
        uint8_t* header = frame.data + kHeaderAt;
        std::memcpy(header, missing.part->first.header, mw::kHeaderBytes);
        change(header, {{mw::field::message_type, mw::kMissing},
                        {mw::field::fragment_index, missing.first},
                        {mw::field::offset, 0},
                        {mw::field::last, 1}});
        std::memcpy(frame.data + kPayloadAt, missing.bitmap, sizeof missing.bitmap);
        maker_.back(frame, sizeof missing.bitmap, missing.part->first);
        sent();
        ++registers_[reg::asked];
    }

    // Fragments of the request that was given up, as far as there is room; true where that was all of them,
    // and the slot is free.
    bool send_on_what_is_here() {
        Slot& slot = *leaving_;
        for (; slot.leaves_part < slot.parts.size(); ++slot.leaves_part, slot.leaves_fragment = 0) {
            const Part& part = slot.parts[slot.leaves_part];
            for (; slot.leaves_fragment < part.count; ++slot.leaves_fragment) {
                if (!part.here[slot.leaves_fragment]) continue;
                if (!out_.room()) return false;
                send_on_from(slot, part, slot.leaves_fragment);
            }
        }
        leaving_ = nullptr;
        release(slot, Decisions::incomplete);
        return true;
    }

    void send_on_from(const Slot& slot, const Part& part, size_t index) {
        Frame& frame = out_.back();
        uint8_t* header = frame.data + kHeaderAt;
        const size_t offset = part.offset_of(index), bytes = part.bytes_of(index);
        std::memcpy(header, part.first.header, mw::kHeaderBytes);
        std::memcpy(frame.data + kPayloadAt, slot.memory.data() + part.begin + offset, bytes);
        change(header, {{mw::field::fragment_index, index},
                        {mw::field::offset, offset},
                        {mw::field::last, index + 1 == part.count}});
        decline(header, reason::INCOMPLETE);
        pass_on(header, micros() - part.first.stamp);
        maker_.onward(frame, bytes, part.first);
        sent();
        ++registers_[reg::evicted_fragments];
    }

    // Of a fragment that is declined, or just forwarded, without a reason.
    void address_anew(Frame& frame, const Headers& headers, uint64_t why, const Hop& hop) const {
        uint8_t* header = frame.data + headers.header_at();
        if (why != reason::NONE) decline(header, why);
        pass_on(header, micros() - now_);
        const size_t payload = udp_length(frame, headers) - 8 - mw::kHeaderBytes;
        maker_.onward(frame, payload, origin_of(frame, headers, now_, hop), headers.header_at());
    }

    void send_result() {
        Frame& frame = out_.back();
        Origin origin;
        bool ended = false;
        const size_t bytes = results_.take(frame, origin, ended);
        maker_.onward(frame, bytes, origin);
        sent();
        ++registers_[reg::result_frames];
        registers_[reg::results] += ended;
        if (ended) results_.pop();
    }

    void sent() { out_.push(true), ++frames_out_; }

    const std::vector<size_t> inputs_, outputs_;
    FrameQueue &in_, &out_;
    Registers registers_;
    const FrameMaker maker_;
    const Classifier classifier_;
    Steering steering_;
    Slots slots_;
    Decisions decisions_;
    Measured measured_;
    Results results_;
    Helper helper_;
    const std::function<void(Slot&)> executed_ = [this](Slot& slot) { release(slot, Decisions::executed); };
    Slot* leaving_ = nullptr;  // was given up, and its fragments are being sent on
    Micros now_ = 0;
    size_t put_off_ = 0;
    bool pressed_ = false;  // somebody was declined for want of a slot since the last one became free
    uint64_t frames_in_ = 0, frames_out_ = 0;
};

}  // namespace

std::unique_ptr<Datapath> make_datapath(const Arguments& arguments, FrameQueue& in, FrameQueue& out) {
    return std::make_unique<ReferenceCores<ReferenceDatapath>>(arguments, in, out);
}
