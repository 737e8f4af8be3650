// SPDX-FileCopyrightText: 2026 midwire contributors
// SPDX-License-Identifier: Apache-2.0
//
// The packet loop of the NIC (started by host/nodes/nic.py).
//
// Frames come from a Transport, go through a Datapath, and what it emits goes back to the Transport.
// The loop waits for everything at once (signals, standard input, registers, the two of them) and never
// sleeps otherwise. Everything is bounded: queues, batches, the turn of each part.
//
// Arguments: --transport udp, interfaces or file, and those of transport, datapath and control channel
// (see their files). Standard input takes lines: "start" (until then registers can be set, and no frame
// moves), "stats" (statistics now), "finish" (the last statistics, then nothing but registers); its end is
// the end of the process. Standard output has one JSON object a line. SIGTERM or SIGINT: last statistics,
// then the end.

#include <csignal>
#include <exception>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "control_channel.h"
#include "file_transport.h"
#include "interface_transport.h"
#include "keeping_datapath.h"
#include "udp_transport.h"

namespace {

constexpr size_t kRxSlots = 1024, kTxSlots = 256;

std::unique_ptr<Transport> make_transport(const Arguments& arguments) {
    const std::string kind = arguments.one("--transport", "udp");
    if (kind == "udp") return std::make_unique<UdpTransport>(arguments);
    if (kind == "interfaces") return std::make_unique<InterfaceTransport>(arguments);
    if (kind == "file") return std::make_unique<FileTransport>(arguments);
    fail("--transport is udp, interfaces or file, not " + kind);
}

sigset_t ending() {
    sigset_t signals;
    sigemptyset(&signals);
    sigaddset(&signals, SIGTERM);
    sigaddset(&signals, SIGINT);
    return signals;
}

std::string quoted(const std::string& text) {
    std::string out;
    for (const char c : text) {
        if (c == '"' || c == '\\') out += '\\';
        out += static_cast<unsigned char>(c) < 0x20 ? '?' : c;
    }
    return out;
}

class Nic {
public:
    explicit Nic(const Arguments& arguments)
        : rx_(kRxSlots),
          tx_(kTxSlots),
          transport_(make_transport(arguments)),
          datapath_(make_datapath(arguments, rx_, tx_), rx_, tx_),
          control_(arguments) {
        arguments.check();
    }

    void run() {
        const sigset_t signals = ending();
        const int signal_fd = signalfd(-1, &signals, SFD_NONBLOCK | SFD_CLOEXEC);
        fcntl(0, F_SETFL, O_NONBLOCK);
        std::printf("{\"event\": \"ready\", \"listen\": \"%s\", \"pid\": %d}\n",
                    quoted(transport_->place()).c_str(), static_cast<int>(getpid()));
        std::fflush(stdout);
        std::vector<pollfd> fds;
        for (bool stop = false; !stop;) {
            fds.assign({{signal_fd, POLLIN, 0}, {0, POLLIN, 0}});
            control_.watch(fds);
            const size_t behind_control = fds.size();
            if (!finished_) datapath_.watch(fds);
            const size_t behind_datapath = fds.size();
            const bool moving = started_ && !finished_;
            if (moving) transport_->watch(fds, rx_.room() > 0, !tx_.empty());
            // Once to wait, if at all, and once more for all that had come at a moment that is known.
            const Micros wait = timeout();
            // Behind that: a datapath may find that nothing is inside when it is asked how long to wait.
            if (moving && done()) {
                finish();
                continue;
            }
            if (wait != 0 && !look(fds, wait)) continue;
            const Micros now = micros();
            if (!look(fds, 0)) continue;
            if (fds[0].revents) stop = true;
            if (fds[1].revents) stop |= !command();
            control_.serve(fds.data() + 2, behind_control - 2, datapath_);
            if (stop || finished_ || !moving) continue;
            transport_->receive(fds.data() + behind_datapath, fds.size() - behind_datapath, rx_);
            datapath_.work(now);
            transport_->send(tx_);
        }
        if (!finished_) statistics("stopped");
    }

private:
    // Waits so long at most. False if it was interrupted.
    static bool look(std::vector<pollfd>& fds, Micros wait) {
        timespec most{};
        most.tv_sec = static_cast<time_t>(wait / 1'000'000);
        most.tv_nsec = static_cast<long>(wait % 1'000'000 * 1000);
        if (ppoll(fds.data(), fds.size(), wait == kNever ? nullptr : &most, nullptr) >= 0) return true;
        if (errno != EINTR) fail_errno("poll failed");
        return false;
    }

    Micros timeout() {
        Micros due = kNever;
        if (started_ && !finished_) due = transport_->ready() && rx_.room() ? 0 : datapath_.due();
        return std::min(due, control_.due());
    }

    // Nothing comes any more, and nothing is on its way.
    bool done() { return transport_->ended() && rx_.empty() && tx_.empty() && datapath_.idle(); }

    // Reads standard input; false when whoever started us has gone.
    bool command() {
        char text[256];
        const ssize_t got = read(0, text, sizeof text);
        if (got == 0 || (got < 0 && errno != EAGAIN)) return false;
        for (ssize_t i = 0; i < got; ++i) {
            if (text[i] != '\n') {
                if (line_.size() < sizeof text) line_ += text[i];
                continue;
            }
            if (line_ == "stats") statistics("stats");
            if (line_ == "start") started_ = true;
            if (line_ == "finish" && !finished_) finish();
            line_.clear();
        }
        return true;
    }

    void finish() {
        statistics("stopped");
        finished_ = true;
    }

    void statistics(const char* event) {
        std::printf("{\"event\": \"%s\"", event);
        Statistics out(stdout);
        datapath_.count(out);
        transport_->count(out);
        std::printf("}\n");
        std::fflush(stdout);
    }

    FrameQueue rx_, tx_;
    std::unique_ptr<Transport> transport_;
    KeepingDatapath datapath_;
    ControlChannel control_;
    std::string line_;
    bool started_ = false, finished_ = false;
};

}  // namespace

int main(int argc, char** argv) {
    // Before the simulator starts threads, which would take the signals instead of run().
    const sigset_t signals = ending();
    sigprocmask(SIG_BLOCK, &signals, nullptr);
    prctl(PR_SET_PDEATHSIG, SIGTERM);
    signal(SIGPIPE, SIG_IGN);
    try {
        const Arguments arguments(argc, argv);
        Nic nic(arguments);
        nic.run();
    } catch (const std::exception& error) {
        std::fprintf(stderr, "nic: %s\n", error.what());
        return 1;
    }
    return 0;
}
