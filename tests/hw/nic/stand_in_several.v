// SPDX-FileCopyrightText: 2026 midwire contributors
// SPDX-License-Identifier: Apache-2.0

// A slice of two tensors a and b for tests: byte k of output j is a[k] + (2 + j) * b[k] + the turns of b, where a and b
// begin again at their ends. Collects both, waits, and sends while the next ones may come. In which order it takes
// its inputs, and gives its outputs, differs from request to request: beats by turns of any length, all of
// one before the other, or as they come.
//
// With SIDES, weight(k) of stand_in_weights.v is added to byte k, as it is when that leaves.
module midwire_slice #(
    parameter IN0_BEAT = 1,
    parameter IN0_BYTES = 1,
    parameter IN1_BEAT = 1,
    parameter IN1_BYTES = 1,
    parameter OUT0_BEAT = 1,
    parameter OUT0_BYTES = 1,
    parameter OUT1_BEAT = 1,
    parameter OUT1_BYTES = 1,
    parameter WAIT = 20
) (
    input wire clk,
    input wire aresetn,
    input wire [8 * IN0_BEAT - 1:0] s0_axis_tdata,
    input wire s0_axis_tvalid,
    output wire s0_axis_tready,
    input wire s0_axis_tlast,
    input wire [8 * IN1_BEAT - 1:0] s1_axis_tdata,
    input wire s1_axis_tvalid,
    output wire s1_axis_tready,
    input wire s1_axis_tlast,
    output reg [8 * OUT0_BEAT - 1:0] m0_axis_tdata,
    output wire m0_axis_tvalid,
    input wire m0_axis_tready,
    output wire m0_axis_tlast,
    output reg [8 * OUT1_BEAT - 1:0] m1_axis_tdata,
    output wire m1_axis_tvalid,
    input wire m1_axis_tready,
    output wire m1_axis_tlast
`include "stand_in_weight_ports.v"
);
    localparam BY_TURNS = 0, FIRST_0 = 1, FIRST_1 = 2;  // 3 is both at once

    reg [7:0] coming_a [0:IN0_BYTES - 1];
    reg [7:0] coming_b [0:IN1_BYTES - 1];
    reg [7:0] a [0:IN0_BYTES - 1];
    reg [7:0] b [0:IN1_BYTES - 1];
    integer got0, got1, sent0, sent1, waited, i;
    reg sending;
    reg [15:0] random;
    reg [1:0] takes, gives;
    reg take_turn, give_turn;

    wire want0 = got0 != IN0_BYTES, want1 = got1 != IN1_BYTES;
    wire have0 = sent0 != OUT0_BYTES, have1 = sent1 != OUT1_BYTES;
    wire gone = sending && waited == WAIT;

    // Whether the first of two may move.
    function may(input [1:0] order, input turn, input other);
        may = !other || order == 3 || order == FIRST_0 || (order == BY_TURNS && !turn);
    endfunction
    function [1:0] swapped(input [1:0] order);
        swapped = order == FIRST_0 ? FIRST_1 : order == FIRST_1 ? FIRST_0 : order;
    endfunction

    assign s0_axis_tready = want0 && may(takes, take_turn, want1);
    assign s1_axis_tready = want1 && may(swapped(takes), !take_turn, want0);
    assign m0_axis_tvalid = gone && have0 && may(gives, give_turn, have1);
    assign m1_axis_tvalid = gone && have1 && may(swapped(gives), !give_turn, have0);
    assign m0_axis_tlast = sent0 + OUT0_BEAT == OUT0_BYTES;
    assign m1_axis_tlast = sent1 + OUT1_BEAT == OUT1_BYTES;

    wire empty = got0 == 0 && got1 == 0 && !sending;
`include "stand_in_weights.v"

    always @* begin
        for (i = 0; i < OUT0_BEAT; i = i + 1)
            m0_axis_tdata[8 * i +: 8] =
                a[(sent0 + i) % IN0_BYTES] + 8'd2 * b[(sent0 + i) % IN1_BYTES] + 8'((sent0 + i) / IN1_BYTES) +
                weight(sent0 + i);
        for (i = 0; i < OUT1_BEAT; i = i + 1)
            m1_axis_tdata[8 * i +: 8] =
                a[(sent1 + i) % IN0_BYTES] + 8'd3 * b[(sent1 + i) % IN1_BYTES] + 8'((sent1 + i) / IN1_BYTES) +
                weight(sent1 + i);
    end

    always @(posedge clk) begin
        random <= {random[14:0], random[15] ^ random[13] ^ random[12] ^ random[10]};
        if (s0_axis_tvalid && s0_axis_tready) begin
            for (i = 0; i < IN0_BEAT; i = i + 1) coming_a[got0 + i] <= s0_axis_tdata[8 * i +: 8];
            got0 <= got0 + IN0_BEAT;
            if (s0_axis_tlast != (got0 + IN0_BEAT == IN0_BYTES)) $fatal(1, "tlast of s0 is wrong");
            take_turn <= random[0];
        end
        if (s1_axis_tvalid && s1_axis_tready) begin
            for (i = 0; i < IN1_BEAT; i = i + 1) coming_b[got1 + i] <= s1_axis_tdata[8 * i +: 8];
            got1 <= got1 + IN1_BEAT;
            if (s1_axis_tlast != (got1 + IN1_BEAT == IN1_BYTES)) $fatal(1, "tlast of s1 is wrong");
            take_turn <= random[1];
        end
        if (!want0 && !want1 && !sending) begin
            got0 <= 0;
            got1 <= 0;
            takes <= random[3:2];
            gives <= random[5:4];
            sending <= 1;
            sent0 <= 0;
            sent1 <= 0;
            waited <= 0;
            for (i = 0; i < IN0_BYTES; i = i + 1) a[i] <= coming_a[i];
            for (i = 0; i < IN1_BYTES; i = i + 1) b[i] <= coming_b[i];
        end
        if (sending && waited != WAIT) waited <= waited + 1;
        if (m0_axis_tvalid && m0_axis_tready) sent0 <= sent0 + OUT0_BEAT;
        if (m1_axis_tvalid && m1_axis_tready) sent1 <= sent1 + OUT1_BEAT;
        if ((m0_axis_tvalid && m0_axis_tready) || (m1_axis_tvalid && m1_axis_tready)) give_turn <= random[6];
        if (gone && !have0 && !have1) sending <= 0;
        if (!aresetn) begin
            got0 <= 0;
            got1 <= 0;
            sending <= 0;
            takes <= BY_TURNS;
            take_turn <= 1;
            give_turn <= 0;
            random <= 16'hACE1;
        end
    end
endmodule
