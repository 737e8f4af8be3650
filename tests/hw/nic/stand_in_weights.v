// SPDX-FileCopyrightText: 2026 midwire contributors
// SPDX-License-Identifier: Apache-2.0

// Included by slices for tests, which say when they are `empty`. With SIDES there are two memories of two banks,
// of WORDS0 words of 5 bytes and of one byte; the bank that is read changes only while the slice is empty.
`ifdef SIDES
    localparam WORDS0 = 7;
    reg [39:0] words0 [0:2 * WORDS0 - 1];
    reg [7:0] words1 [0:1];
    reg bank_before;
    integer at, j;
    initial for (j = 0; j < 2 * WORDS0; j = j + 1) words0[j] = j < WORDS0 ? 0 : 40'h99999;
    initial words1[0] = 0;
    assign w0_axis_tready = 1;
    assign w1_axis_tready = 1;
    always @(posedge clk) begin
        if (w0_axis_tvalid) begin
            words0[(weight_bank ? 0 : WORDS0) + at] <= w0_axis_tdata;
            at <= w0_axis_tlast ? 0 : at + 1;
            if (at == WORDS0) $fatal(1, "too many words");
        end
        if (w1_axis_tvalid) words1[~weight_bank] <= w1_axis_tdata;
        if (w1_axis_tvalid && !w1_axis_tlast) $fatal(1, "one word, and not the last");
        bank_before <= weight_bank;
        if (aresetn && weight_bank != bank_before && !empty) $fatal(1, "not empty");
        if (!aresetn) at <= 0;
    end
    function [7:0] weight(input integer k);
        weight = words0[(weight_bank ? WORDS0 : 0) + k % WORDS0][8 * (k % 5) +: 8] + words1[weight_bank];
    endfunction
`else
    function [7:0] weight(input integer k);
        weight = 0;
    endfunction
`endif
