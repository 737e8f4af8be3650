// SPDX-FileCopyrightText: 2026 midwire contributors
// SPDX-License-Identifier: Apache-2.0
//
// The packet loop of the simulated NIC (started by host/nodes/nic.py).
//
// A bump in the wire over plain UDP sockets. A client's datagram comes in at the listening socket, gets
// its Ethernet/IPv4/UDP headers back, goes through the Verilated pipeline, and what the pipeline emits
// goes to the address that stands in it. Each client has a socket of its own towards the next hop (a
// flow), so that the answer finds its way back through the pipeline to the client.
//
//   client -> listen -> frame(client, listen) -> pipeline -> frame(client, hop) -> flow's socket -> hop
//   hop -> flow's socket -> frame(hop, client) -> pipeline -> frame(hop, client) -> listen -> client
//
// A frame that the pipeline passed through unchanged, still addressed to `listen`, goes to the default
// next hop. Everything is bounded: queues, flows, datagrams per call, cycles between two looks at the
// sockets. An idle NIC sleeps in poll().
//
// Arguments: --listen IP:PORT, --next IP:PORT (the first is the default; answers are taken from these
// only), --own IP=PORT (addresses of the registers that take what `listen` came to be; before the
// others), --write ADDRESS=VALUE (registers set at the start, in order), --counter NAME=ADDRESS
// (registers in the statistics), --busy ADDRESS=MASK (the pipeline has work), --quiet CYCLES (what to
// run on for where there is no --busy). Standard input takes "stats" and ends the process when it is closed;
// standard output has one JSON object a line. SIGTERM or SIGINT: last statistics, then the end.

#include <arpa/inet.h>
#include <cerrno>
#include <chrono>
#include <cinttypes>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <string>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <unistd.h>
#include <vector>

#include "frame.h"
#include "pipeline.h"

namespace {

constexpr size_t kRxSlots = 1024, kTxSlots = 256, kBatch = 32, kFlows = 64;
constexpr uint64_t kLookEvery = 64;  // cycles between two looks at the clock
constexpr uint64_t kSettle = 16;      // cycles until --busy knows of a beat
constexpr auto kTurn = std::chrono::microseconds(500);  // between two looks at the sockets
constexpr int kSocketBytes = 4 << 20;

struct Named {
    std::string name;
    uint32_t address = 0;
    uint64_t value = 0;
};

struct Options {
    Endpoint listen;
    std::vector<Endpoint> hops;
    std::vector<Named> own, writes, counters, busy;
    uint64_t quiet = 100000;
};

struct Flow {
    Endpoint client;
    int fd = -1;
    uint64_t used = 0;
};

struct Counters {
    uint64_t rx_datagrams = 0, rx_bytes = 0, rx_too_long = 0, rx_stranger = 0, tx_datagrams = 0;
    uint64_t tx_bytes = 0, tx_failed = 0, tx_malformed = 0, tx_unroutable = 0, flows_replaced = 0;
};

[[noreturn]] void fail(const std::string& text) {
    std::fprintf(stderr, "nic: %s\n", text.c_str());
    std::exit(1);
}

uint64_t number(const std::string& text) {
    char* end = nullptr;
    errno = 0;
    const uint64_t value = std::strtoull(text.c_str(), &end, 0);
    if (text.empty() || *end || errno) fail("not a number: " + text);
    return value;
}

std::pair<std::string, std::string> split(const std::string& text, char mark) {
    const size_t at = text.rfind(mark);
    if (at == std::string::npos) fail("expected LEFT" + std::string(1, mark) + "RIGHT, not " + text);
    return {text.substr(0, at), text.substr(at + 1)};
}

Endpoint endpoint(const std::string& text) {
    const auto [host, port] = split(text, ':');
    in_addr address{};
    if (inet_pton(AF_INET, host.c_str(), &address) != 1 || number(port) > 0xffff)
        fail("not an IPv4 address and port: " + text);
    return {ntohl(address.s_addr), static_cast<uint16_t>(number(port))};
}

sockaddr_in address_of(Endpoint end) {
    sockaddr_in out{};
    out.sin_family = AF_INET;
    out.sin_addr.s_addr = htonl(end.ip);
    out.sin_port = htons(end.port);
    return out;
}
Endpoint endpoint_of(const sockaddr_in& in) { return {ntohl(in.sin_addr.s_addr), ntohs(in.sin_port)}; }

std::string text_of(Endpoint end) {
    char text[32];
    std::snprintf(text, sizeof text, "%u.%u.%u.%u:%u", end.ip >> 24, end.ip >> 16 & 255,
                  end.ip >> 8 & 255, end.ip & 255, end.port);
    return text;
}

Options parse(int argc, char** argv) {
    Options out;
    for (int i = 1; i < argc; ++i) {
        const std::string key = argv[i];
        if (key[0] == '+') continue;  // the simulator's own
        if (++i == argc) fail(key + " needs a value");
        const std::string value = argv[i];
        if (key == "--listen") out.listen = endpoint(value);
        else if (key == "--next") out.hops.push_back(endpoint(value));
        else if (key == "--quiet") out.quiet = number(value);
        else {
            const auto [left, right] = split(value, '=');
            if (key == "--own") out.own.push_back({"", uint32_t(number(left)), number(right)});
            else if (key == "--write") out.writes.push_back({"", uint32_t(number(left)), number(right)});
            else if (key == "--busy") out.busy.push_back({"", uint32_t(number(left)), number(right)});
            else if (key == "--counter") out.counters.push_back({left, uint32_t(number(right)), 0});
            else fail("unknown argument " + key);
        }
    }
    if (out.hops.empty()) fail("--next is missing");
    return out;
}

int open_socket(Endpoint at) {
    const int fd = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0) fail(std::string("no socket: ") + std::strerror(errno));
    setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &kSocketBytes, sizeof kSocketBytes);
    setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &kSocketBytes, sizeof kSocketBytes);
    const sockaddr_in address = address_of(at);
    if (bind(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address) < 0)
        fail("cannot bind " + text_of(at) + ": " + std::strerror(errno));
    return fd;
}

Endpoint bound(int fd) {
    sockaddr_in address{};
    socklen_t size = sizeof address;
    getsockname(fd, reinterpret_cast<sockaddr*>(&address), &size);
    return endpoint_of(address);
}

sigset_t ending() {
    sigset_t signals;
    sigemptyset(&signals);
    sigaddset(&signals, SIGTERM);
    sigaddset(&signals, SIGINT);
    return signals;
}

class Nic {
public:
    Nic(const Options& options, VerilatedContext& context)
        : options_(options), rx_(kRxSlots), tx_(kTxSlots), pipeline_(context, rx_, tx_) {
        listen_ = open_socket(options.listen);
        at_ = bound(listen_);
        for (const Named& item : options.own) {
            pipeline_.write(item.address, at_.ip);
            pipeline_.write(static_cast<uint32_t>(item.value), at_.port);
        }
        for (const Named& item : options.writes)
            pipeline_.write(item.address, static_cast<uint32_t>(item.value));
    }

    void run() {
        const sigset_t signals = ending();
        const int signal_fd = signalfd(-1, &signals, SFD_NONBLOCK | SFD_CLOEXEC);
        fcntl(0, F_SETFL, O_NONBLOCK);
        std::printf("{\"event\": \"ready\", \"listen\": \"%s\", \"pid\": %d}\n", text_of(at_).c_str(),
                    static_cast<int>(getpid()));
        std::fflush(stdout);
        bool stop = false;
        while (!stop) {
            const bool work = working();
            std::vector<pollfd> fds{{signal_fd, POLLIN, 0}, {0, POLLIN, 0}};
            const short want = rx_.room() ? POLLIN : 0;
            const short flush = tx_.empty() ? 0 : POLLOUT;
            fds.push_back({listen_, static_cast<short>(want | flush), 0});
            for (const Flow& flow : flows_) fds.push_back({flow.fd, static_cast<short>(want | flush), 0});
            if (poll(fds.data(), fds.size(), work ? 0 : -1) < 0 && errno != EINTR) fail("poll failed");
            if (fds[0].revents) stop = true;
            if (fds[1].revents) stop |= !command();
            if (fds[2].revents & (POLLIN | POLLERR)) drain(listen_, nullptr);
            for (size_t i = 0; i < flows_.size() && i + 3 < fds.size(); ++i)
                if (fds[i + 3].revents & (POLLIN | POLLERR)) drain(flows_[i].fd, &flows_[i]);
            const auto until = std::chrono::steady_clock::now() + kTurn;
            while (working() && std::chrono::steady_clock::now() < until)
                for (uint64_t i = 0; i < kLookEvery; ++i) pipeline_.tick();
            send();
        }
        statistics("stopped");
    }

private:
    // Whether cycles must pass: frames wait or move, or the pipeline says that it has work inside.
    bool working() {
        if (pipeline_.moving()) return true;
        if (options_.busy.empty()) return pipeline_.counters().beats_in && pipeline_.quiet() < options_.quiet;
        if (pipeline_.quiet() < kSettle && pipeline_.counters().beats_in) return true;
        if (pipeline_.counters().beats_in == asked_at_) return false;
        for (const Named& item : options_.busy)
            if (pipeline_.read(item.address) & item.value) return true;
        if (!pipeline_.moving()) asked_at_ = pipeline_.counters().beats_in;
        return pipeline_.moving();
    }

    bool command() {
        char text[256];
        const ssize_t got = read(0, text, sizeof text);
        if (got == 0 || (got < 0 && errno != EAGAIN)) return false;  // whoever started us has gone
        for (ssize_t i = 0; i < got; ++i)
            if (text[i] == '\n') statistics("stats");
        return true;
    }

    // Takes what a socket has, or as much as there is room for.
    void drain(int fd, Flow* flow) {
        while (rx_.room() && receive(fd, flow) == kBatch) {
        }
    }

    size_t receive(int fd, Flow* flow) {
        mmsghdr messages[kBatch];
        iovec parts[kBatch];
        sockaddr_in from[kBatch];
        const size_t room = rx_.room() < kBatch ? rx_.room() : kBatch;
        for (size_t i = 0; i < room; ++i) {
            parts[i] = {rx_.back(i).data + kHeadroom, kMaxPayload};
            messages[i] = {};
            messages[i].msg_hdr.msg_iov = &parts[i];
            messages[i].msg_hdr.msg_iovlen = 1;
            messages[i].msg_hdr.msg_name = &from[i];
            messages[i].msg_hdr.msg_namelen = sizeof from[i];
        }
        const int got = recvmmsg(fd, messages, static_cast<unsigned>(room), MSG_DONTWAIT, nullptr);
        for (int i = 0; i < got; ++i) accept(messages[i], endpoint_of(from[i]), size_t(i), flow);
        return got < 0 ? 0 : static_cast<size_t>(got);
    }

    // Takes datagram `index` of a batch, which lies `index - taken` slots further than it should.
    void accept(const mmsghdr& message, Endpoint from, size_t index, Flow* flow) {
        if (index == 0) taken_ = 0;
        ++counters_.rx_datagrams;
        counters_.rx_bytes += message.msg_len;
        if (message.msg_hdr.msg_flags & MSG_TRUNC) {
            ++counters_.rx_too_long;
            return;
        }
        if (flow && !is_hop(from)) {
            ++counters_.rx_stranger;
            return;
        }
        Frame& slot = rx_.back();
        if (taken_ != index)
            std::memcpy(slot.data + kHeadroom, rx_.back(index - taken_).data + kHeadroom, message.msg_len);
        wrap(slot, message.msg_len, from, flow ? flow->client : at_, id_++);
        if (!flow) touch(from);
        rx_.push();
        ++taken_;
    }

    bool is_hop(Endpoint end) const {
        for (const Endpoint& hop : options_.hops)
            if (hop == end) return true;
        return false;
    }

    Flow* find(Endpoint client) {
        for (Flow& flow : flows_)
            if (flow.client == client) return &flow;
        return nullptr;
    }

    // Opens or renews the flow of a client; the least recently used one gives way.
    void touch(Endpoint client) {
        Flow* flow = find(client);
        if (!flow) {
            if (flows_.size() < kFlows) {
                flows_.push_back({});
                flow = &flows_.back();
            } else {
                flow = &flows_[0];
                for (Flow& other : flows_)
                    if (other.used < flow->used) flow = &other;
                close(flow->fd);
                ++counters_.flows_replaced;
            }
            flow->client = client;
            flow->fd = open_socket({at_.ip, 0});
        }
        flow->used = counters_.rx_datagrams;
    }

    // Where an emitted frame goes: the socket and the address; false if nowhere.
    bool route(const Unwrapped& frame, int& fd, Endpoint& to) {
        if (find(frame.to)) {
            fd = listen_, to = frame.to;
            return true;
        }
        const Flow* flow = find(frame.from);
        to = frame.to == at_ ? options_.hops[0] : frame.to;
        if (!flow || !is_hop(to)) return false;
        fd = flow->fd;
        return true;
    }

    void send() {
        while (!tx_.empty()) {
            mmsghdr messages[kBatch];
            iovec parts[kBatch];
            sockaddr_in to[kBatch];
            int fd = -1;
            size_t count = 0;
            while (count < kBatch && count < tx_.size()) {
                Frame& frame = tx_.at(count);
                Unwrapped headers;
                Endpoint target;
                int way = -1;
                const bool good = unwrap(frame, headers);
                if (!good || !route(headers, way, target)) {
                    if (count) break;  // what is in front of it goes first
                    ++(good ? counters_.tx_unroutable : counters_.tx_malformed);
                    tx_.pop();
                    continue;
                }
                if (count && way != fd) break;
                fd = way;
                to[count] = address_of(target);
                parts[count] = {frame.data + kHeadroom, headers.payload};
                messages[count] = {};
                messages[count].msg_hdr.msg_iov = &parts[count];
                messages[count].msg_hdr.msg_iovlen = 1;
                messages[count].msg_hdr.msg_name = &to[count];
                messages[count].msg_hdr.msg_namelen = sizeof to[count];
                ++count;
            }
            if (!count) return;
            const int sent = sendmmsg(fd, messages, static_cast<unsigned>(count), MSG_DONTWAIT);
            if (sent < 0 && (errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR)) return;
            if (sent <= 0) {
                ++counters_.tx_failed;  // the first one cannot be sent: the next may
                tx_.pop();
                continue;
            }
            for (int i = 0; i < sent; ++i) {
                ++counters_.tx_datagrams;
                counters_.tx_bytes += parts[i].iov_len;
                tx_.pop();
            }
        }
    }

    void statistics(const char* event) {
        const PipelineCounters& p = pipeline_.counters();
        const Counters& c = counters_;
        std::printf("{\"event\": \"%s\", \"cycles\": %" PRIu64, event, p.cycles);
        const Named items[] = {
            {"frames_in", 0, p.frames_in},          {"frames_out", 0, p.frames_out},
            {"frames_bad", 0, p.out_bad},           {"rx_datagrams", 0, c.rx_datagrams},
            {"rx_bytes", 0, c.rx_bytes},            {"rx_too_long", 0, c.rx_too_long},
            {"rx_stranger", 0, c.rx_stranger},      {"tx_datagrams", 0, c.tx_datagrams},
            {"tx_bytes", 0, c.tx_bytes},            {"tx_failed", 0, c.tx_failed},
            {"tx_malformed", 0, c.tx_malformed},    {"tx_unroutable", 0, c.tx_unroutable},
            {"flows", 0, flows_.size()},            {"flows_replaced", 0, c.flows_replaced},
        };
        for (const Named& item : items)
            std::printf(", \"%s\": %" PRIu64, item.name.c_str(), item.value);
        std::printf(", \"pipeline\": {");
        const char* mark = "";
        for (const Named& item : options_.counters) {
            std::printf("%s\"%s\": %u", mark, item.name.c_str(), pipeline_.read(item.address));
            mark = ", ";
        }
        std::printf("}}\n");
        std::fflush(stdout);
    }

    const Options& options_;
    FrameQueue rx_, tx_;
    Pipeline pipeline_;
    Counters counters_;
    std::vector<Flow> flows_;
    Endpoint at_;
    int listen_ = -1;
    size_t taken_ = 0;
    uint64_t asked_at_ = 0;
    uint16_t id_ = 0;
};

}  // namespace

int main(int argc, char** argv) {
    // Before the simulator starts threads, which would take the signals instead of run().
    const sigset_t signals = ending();
    sigprocmask(SIG_BLOCK, &signals, nullptr);
    prctl(PR_SET_PDEATHSIG, SIGTERM);
    signal(SIGPIPE, SIG_IGN);
    const Options options = parse(argc, argv);
    VerilatedContext context;
    context.commandArgs(argc, argv);
    try {
        Nic nic(options, context);
        nic.run();
    } catch (const std::exception& error) {
        fail(error.what());
    }
    return 0;
}
