// SPDX-FileCopyrightText: 2026 midwire contributors
// SPDX-License-Identifier: Apache-2.0
//
// A pipeline that passes every frame on, for tests of the packet loop: one register slice on the stream,
// one register at address 0 on AXI-Lite (it counts frames; bit 31 is what was last written to bit 31).

`default_nettype none
module midwire_nic (
    input  wire        clk,
    input  wire        aresetn,
    input  wire [63:0] s_axis_tdata,
    input  wire [7:0]  s_axis_tkeep,
    input  wire        s_axis_tlast,
    input  wire        s_axis_tuser,
    input  wire        s_axis_tvalid,
    output wire        s_axis_tready,
    output reg  [63:0] m_axis_tdata,
    output reg  [7:0]  m_axis_tkeep,
    output reg         m_axis_tlast,
    output reg         m_axis_tuser,
    output wire        m_axis_tid,
    output reg         m_axis_tvalid,
    input  wire        m_axis_tready,
    input  wire [15:0] s_axil_awaddr,
    input  wire        s_axil_awvalid,
    output wire        s_axil_awready,
    input  wire [31:0] s_axil_wdata,
    input  wire [3:0]  s_axil_wstrb,
    input  wire        s_axil_wvalid,
    output wire        s_axil_wready,
    output wire [1:0]  s_axil_bresp,
    output reg         s_axil_bvalid,
    input  wire        s_axil_bready,
    input  wire [15:0] s_axil_araddr,
    input  wire        s_axil_arvalid,
    output wire        s_axil_arready,
    output reg  [31:0] s_axil_rdata,
    output wire [1:0]  s_axil_rresp,
    output reg         s_axil_rvalid,
    input  wire        s_axil_rready
);
    reg [30:0] frames;
    reg mark;
    wire do_write = s_axil_awvalid && s_axil_wvalid && !s_axil_bvalid;
    wire do_read = s_axil_arvalid && !s_axil_rvalid;
    assign m_axis_tid = 1'b0;
    assign s_axis_tready = !m_axis_tvalid || m_axis_tready;
    assign s_axil_awready = do_write;
    assign s_axil_wready = do_write;
    assign s_axil_arready = do_read;
    assign s_axil_bresp = 2'b00;
    assign s_axil_rresp = 2'b00;

    always @(posedge clk) begin
        if (s_axis_tready) begin
            m_axis_tvalid <= s_axis_tvalid;
            m_axis_tdata <= s_axis_tdata;
            m_axis_tkeep <= s_axis_tkeep;
            m_axis_tlast <= s_axis_tlast;
            m_axis_tuser <= s_axis_tuser;
        end
        if (s_axis_tvalid && s_axis_tready && s_axis_tlast) frames <= frames + 31'd1;
        if (s_axil_bvalid && s_axil_bready) s_axil_bvalid <= 1'b0;
        if (do_write) begin
            s_axil_bvalid <= 1'b1;
            mark <= s_axil_wdata[31];
        end
        if (s_axil_rvalid && s_axil_rready) s_axil_rvalid <= 1'b0;
        if (do_read) begin
            s_axil_rvalid <= 1'b1;
            s_axil_rdata <= {mark, frames};
        end
        if (!aresetn) begin
            m_axis_tvalid <= 1'b0;
            s_axil_bvalid <= 1'b0;
            s_axil_rvalid <= 1'b0;
            frames <= 31'd0;
            mark <= 1'b0;
        end
    end
    wire unused = &{1'b0, s_axil_awaddr, s_axil_araddr, s_axil_wdata[30:0], s_axil_wstrb};
endmodule
`default_nettype wire
