// SPDX-FileCopyrightText: 2026 midwire contributors
// SPDX-License-Identifier: Apache-2.0
//
// Counters by name, in the order in which they were added, as members of a JSON object.

#pragma once

#include <cinttypes>
#include <cstdint>
#include <cstdio>

class Statistics {
public:
    explicit Statistics(std::FILE* out) : out_(out) {}
    void add(const char* name, uint64_t value) {
        std::fprintf(out_, ", \"%s\": %" PRIu64, name, value);
    }

private:
    std::FILE* out_;
};
