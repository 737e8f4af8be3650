// SPDX-FileCopyrightText: 2026 midwire contributors
// SPDX-License-Identifier: Apache-2.0

// A slice for tests: output byte k is input byte (k mod IN_BYTES) + 1 + (k div IN_BYTES). Collects one tensor,
// waits, and sends while the next one may come.
//
// With SIDES it has two memories, of WORDS0 words of 5 bytes and of one byte, and adds byte (k mod 5) of word
// (k mod WORDS0) and the other one's byte, as they are when output byte k leaves.
module midwire_slice #(
    parameter IN_BEAT = 1,
    parameter IN_BYTES = 1,
    parameter OUT_BEAT = 1,
    parameter OUT_BYTES = 1,
    parameter WORDS0 = 7,
    parameter WAIT = 20
) (
    input wire clk,
    input wire aresetn,
    input wire [8 * IN_BEAT - 1:0] s0_axis_tdata,
    input wire s0_axis_tvalid,
    output wire s0_axis_tready,
    input wire s0_axis_tlast,
    output reg [8 * OUT_BEAT - 1:0] m0_axis_tdata,
    output wire m0_axis_tvalid,
    input wire m0_axis_tready,
    output wire m0_axis_tlast
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
);
    reg [7:0] coming [0:IN_BYTES - 1];
    reg [7:0] going [0:IN_BYTES - 1];
    integer got, sent, waited, i;
    reg full, sending;

    assign s0_axis_tready = !full;
    assign m0_axis_tvalid = sending && waited == WAIT;
    assign m0_axis_tlast = sent + OUT_BEAT == OUT_BYTES;

`ifdef SIDES
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
        if (aresetn && weight_bank != bank_before && (got != 0 || full || sending)) $fatal(1, "not empty");
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

    always @* for (i = 0; i < OUT_BEAT; i = i + 1)
        m0_axis_tdata[8 * i +: 8] =
            going[(sent + i) % IN_BYTES] + 8'd1 + 8'((sent + i) / IN_BYTES) + weight(sent + i);

    always @(posedge clk) begin
        if (s0_axis_tvalid && s0_axis_tready) begin
            for (i = 0; i < IN_BEAT; i = i + 1) coming[got + i] <= s0_axis_tdata[8 * i +: 8];
            got <= got + IN_BEAT;
            if (got + IN_BEAT == IN_BYTES) begin
                full <= 1;
                if (!s0_axis_tlast) $fatal(1, "tlast is missing");
            end else if (s0_axis_tlast) $fatal(1, "tlast is early");
        end
        if (full && !sending) begin
            full <= 0;
            got <= 0;
            sending <= 1;
            sent <= 0;
            waited <= 0;
            for (i = 0; i < IN_BYTES; i = i + 1) going[i] <= coming[i];
        end
        if (sending && waited != WAIT) waited <= waited + 1;
        if (m0_axis_tvalid && m0_axis_tready) begin
            sent <= sent + OUT_BEAT;
            if (m0_axis_tlast) sending <= 0;
        end
        if (!aresetn) begin
            got <= 0;
            full <= 0;
            sending <= 0;
        end
    end
endmodule
