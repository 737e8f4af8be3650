// SPDX-FileCopyrightText: 2026 midwire contributors
// SPDX-License-Identifier: Apache-2.0

// Read-only memory with one registered read port, loaded from a $readmemh file.
//
// Simulation takes the file from the folder that +mw_images=DIR names, for this design, or
// +midwire_images=DIR, for all, so that one build serves any weights; without either, and in
// synthesis, FILE is a path of its own.
module mw_rom #(
    parameter WIDTH = 8,
    parameter DEPTH = 1,
    parameter FILE = ""
) (
    input wire clk,
    input wire en,
    input wire [(DEPTH > 1 ? $clog2(DEPTH) : 1) - 1:0] addr,
    output reg [WIDTH - 1:0] data
);
    reg [WIDTH - 1:0] words [0:DEPTH - 1];

`ifdef SYNTHESIS
    // Some synthesisers also look at the module with its default parameters.
    generate
        if (FILE != "") initial $readmemh(FILE, words);
    endgenerate
`else
    localparam PATH_BYTES = 4096;  // PATH_MAX of Linux
    reg [8 * PATH_BYTES - 1:0] folder;
    initial
        if ($value$plusargs("mw_images=%s", folder))
            $readmemh({folder, "/", FILE}, words);
        else if ($value$plusargs("midwire_images=%s", folder))
            $readmemh({folder, "/", FILE}, words);
        else
            $readmemh(FILE, words);
`endif

    always @(posedge clk)
        if (en) data <= words[addr];
endmodule
