// SPDX-FileCopyrightText: 2026 midwire contributors
// SPDX-License-Identifier: Apache-2.0

// A mw_rom that can also be written, a word a cycle. A word that is read while it is written is the
// old one; where COLLIDES is 0, that never happens, and Yosys need not care. Without a FILE it begins
// with anything.
module mw_ram #(
    parameter WIDTH = 8,
    parameter DEPTH = 1,
    /* verilator lint_off UNUSEDPARAM */ // only an attribute depends on it
    parameter COLLIDES = 1,
    /* verilator lint_on UNUSEDPARAM */
    parameter FILE = ""
) (
    input wire clk,
    input wire en,
    input wire [(DEPTH > 1 ? $clog2(DEPTH) : 1) - 1:0] addr,
    output reg [WIDTH - 1:0] data,
    input wire write,
    input wire [(DEPTH > 1 ? $clog2(DEPTH) : 1) - 1:0] write_addr,
    input wire [WIDTH - 1:0] write_data
);
    (* no_rw_check = (COLLIDES == 0) *)
    reg [WIDTH - 1:0] words [0:DEPTH - 1];

`ifdef SYNTHESIS
    // Some synthesisers also look at the module with its default parameters.
    generate
        if (FILE != "") initial $readmemh(FILE, words);
    endgenerate
`else
    generate
        if (FILE != "") begin : image
            localparam PATH_BYTES = 4096;  // PATH_MAX of Linux
            reg [8 * PATH_BYTES - 1:0] folder;
            initial
                if ($value$plusargs("mw_images=%s", folder))
                    $readmemh({folder, "/", FILE}, words);
                else if ($value$plusargs("midwire_images=%s", folder))
                    $readmemh({folder, "/", FILE}, words);
                else
                    $readmemh(FILE, words);
        end
    endgenerate
`endif

    always @(posedge clk) begin
        if (en) data <= words[addr];
        if (write) words[write_addr] <= write_data;
    end
endmodule
