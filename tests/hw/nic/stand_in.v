// SPDX-FileCopyrightText: 2026 midwire contributors
// SPDX-License-Identifier: Apache-2.0

// A slice for tests: output byte k is input byte (k mod IN0_BYTES) + 1 + (k div IN0_BYTES). Collects one tensor,
// waits, and sends while the next one may come.
//
// With SIDES, weight(k) of stand_in_weights.v is added to byte k, as it is when that leaves.
module midwire_slice #(
    parameter IN0_BEAT = 1,
    parameter IN0_BYTES = 1,
    parameter OUT0_BEAT = 1,
    parameter OUT0_BYTES = 1,
    parameter WAIT = 20
) (
    input wire clk,
    input wire aresetn,
    input wire [8 * IN0_BEAT - 1:0] s0_axis_tdata,
    input wire s0_axis_tvalid,
    output wire s0_axis_tready,
    input wire s0_axis_tlast,
    output reg [8 * OUT0_BEAT - 1:0] m0_axis_tdata,
    output wire m0_axis_tvalid,
    input wire m0_axis_tready,
    output wire m0_axis_tlast
`include "stand_in_weight_ports.v"
);
    reg [7:0] coming [0:IN0_BYTES - 1];
    reg [7:0] going [0:IN0_BYTES - 1];
    integer got, sent, waited, i;
    reg full, sending;

    assign s0_axis_tready = !full;
    assign m0_axis_tvalid = sending && waited == WAIT;
    assign m0_axis_tlast = sent + OUT0_BEAT == OUT0_BYTES;

    wire empty = got == 0 && !full && !sending;
`include "stand_in_weights.v"

    always @* for (i = 0; i < OUT0_BEAT; i = i + 1)
        m0_axis_tdata[8 * i +: 8] =
            going[(sent + i) % IN0_BYTES] + 8'd1 + 8'((sent + i) / IN0_BYTES) + weight(sent + i);

    always @(posedge clk) begin
        if (s0_axis_tvalid && s0_axis_tready) begin
            for (i = 0; i < IN0_BEAT; i = i + 1) coming[got + i] <= s0_axis_tdata[8 * i +: 8];
            got <= got + IN0_BEAT;
            if (got + IN0_BEAT == IN0_BYTES) begin
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
            for (i = 0; i < IN0_BYTES; i = i + 1) going[i] <= coming[i];
        end
        if (sending && waited != WAIT) waited <= waited + 1;
        if (m0_axis_tvalid && m0_axis_tready) begin
            sent <= sent + OUT0_BEAT;
            if (m0_axis_tlast) sending <= 0;
        end
        if (!aresetn) begin
            got <= 0;
            full <= 0;
            sending <= 0;
        end
    end
endmodule
