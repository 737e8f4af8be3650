// SPDX-FileCopyrightText: 2026 midwire contributors
// SPDX-License-Identifier: Apache-2.0

// Included by slices for tests, behind their other ports.
`ifdef SIDES
    , input wire [39:0] w0_axis_tdata,
    input wire w0_axis_tvalid,
    output wire w0_axis_tready,
    input wire w0_axis_tlast,
    input wire [7:0] w1_axis_tdata,
    input wire w1_axis_tvalid,
    output wire w1_axis_tready,
    input wire w1_axis_tlast,
    input wire weight_bank
`endif
