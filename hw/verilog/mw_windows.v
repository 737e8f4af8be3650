// SPDX-FileCopyrightText: 2026 midwire contributors
// SPDX-License-Identifier: Apache-2.0

// One AXI4-Lite for COUNT register files of 4 KiB each, one behind the other, with a clock of its
// own: the register of each file that says where the next block is (0x008) reads as the address of
// the next file here, and as 0 of the last. Addresses behind them answer SLVERR.
//
// One access at a time. It crosses to `clk` and back by a toggle each way; what goes with it stands
// still meanwhile, so it needs no more than a limit of its delay. s_clk and clk may be one clock. A
// reset of either side ends what is under way; reset both, and the side of `clk` no later.
module mw_windows #(
    parameter COUNT = 1,
    parameter ADDRESS_BITS = 24
) (
    input wire s_clk,
    input wire s_rst,
    input wire [ADDRESS_BITS - 1:0] s_axil_awaddr,
    input wire s_axil_awvalid,
    output wire s_axil_awready,
    input wire [31:0] s_axil_wdata,
    input wire [3:0] s_axil_wstrb,
    input wire s_axil_wvalid,
    output wire s_axil_wready,
    output wire [1:0] s_axil_bresp,
    output reg s_axil_bvalid,
    input wire s_axil_bready,
    input wire [ADDRESS_BITS - 1:0] s_axil_araddr,
    input wire s_axil_arvalid,
    output wire s_axil_arready,
    output wire [31:0] s_axil_rdata,
    output wire [1:0] s_axil_rresp,
    output reg s_axil_rvalid,
    input wire s_axil_rready,

    input wire clk,
    input wire rst,
    output wire [11:0] m_axil_awaddr,
    output wire [COUNT - 1:0] m_axil_awvalid,
    input wire [COUNT - 1:0] m_axil_awready,
    output wire [31:0] m_axil_wdata,
    output wire [3:0] m_axil_wstrb,
    output wire [COUNT - 1:0] m_axil_wvalid,
    input wire [COUNT - 1:0] m_axil_wready,
    input wire [2 * COUNT - 1:0] m_axil_bresp,
    input wire [COUNT - 1:0] m_axil_bvalid,
    output wire [COUNT - 1:0] m_axil_bready,
    output wire [11:0] m_axil_araddr,
    output wire [COUNT - 1:0] m_axil_arvalid,
    input wire [COUNT - 1:0] m_axil_arready,
    input wire [32 * COUNT - 1:0] m_axil_rdata,
    input wire [2 * COUNT - 1:0] m_axil_rresp,
    input wire [COUNT - 1:0] m_axil_rvalid,
    output wire [COUNT - 1:0] m_axil_rready
);
    localparam [1:0] SLVERR = 2'd2;
    localparam [11:0] NEXT_BLOCK = 12'h008;

    // On the side of s_clk: a request, until its answer is taken.
    reg write, waits;
    reg [ADDRESS_BITS - 1:0] address;
    reg [31:0] data;
    reg [3:0] strobes;
    (* ASYNC_REG = "TRUE" *) reg answered_once, answered;
    reg requested;
    // On the side of clk: its answer.
    (* ASYNC_REG = "TRUE" *) reg called_once, called;
    reg done;
    reg [1:0] response;
    reg [31:0] value;
    initial begin
        requested = 1'b0;
        done = 1'b0;
        {answered_once, answered, called_once, called} = 4'd0;
    end

    wire idle = !s_rst && !waits && !s_axil_bvalid && !s_axil_rvalid && answered == requested;
    wire take_write = idle && s_axil_awvalid && s_axil_wvalid;
    wire take_read = idle && s_axil_arvalid && !take_write;
    assign s_axil_awready = take_write;
    assign s_axil_wready = take_write;
    assign s_axil_arready = take_read;
    assign s_axil_bresp = response;
    assign s_axil_rresp = response;
    assign s_axil_rdata = value;

    always @(posedge s_clk) begin
        answered_once <= done;
        answered <= answered_once;
        if (s_axil_bready) s_axil_bvalid <= 1'b0;
        if (s_axil_rready) s_axil_rvalid <= 1'b0;
        if (take_write || take_read) begin
            write <= take_write;
            address <= take_write ? s_axil_awaddr : s_axil_araddr;
            data <= s_axil_wdata;
            strobes <= s_axil_wstrb;
            requested <= !requested;
            waits <= 1'b1;
        end
        if (waits && answered == requested) begin
            waits <= 1'b0;
            s_axil_bvalid <= write;
            s_axil_rvalid <= !write;
        end
        if (s_rst) begin
            waits <= 1'b0;
            s_axil_bvalid <= 1'b0;
            s_axil_rvalid <= 1'b0;
        end
    end

    reg busy, aw, w, ar;
    wire [ADDRESS_BITS - 13:0] window = address[ADDRESS_BITS - 1:12];
    wire [COUNT - 1:0] chosen;
    reg answers;
    reg [1:0] its_response;
    reg [31:0] its_value, next_block;
    genvar at;
    generate
        for (at = 0; at < COUNT; at = at + 1) begin : file
            assign chosen[at] = window == at;
        end
    endgenerate
    integer k;
    always @* begin
        answers = 1'b0;
        its_response = SLVERR;
        its_value = 32'd0;
        next_block = 32'd0;
        for (k = 0; k < COUNT; k = k + 1)
            if (chosen[k]) begin
                answers = m_axil_bvalid[k] || m_axil_rvalid[k];
                its_response = write ? m_axil_bresp[2 * k+:2] : m_axil_rresp[2 * k+:2];
                its_value = m_axil_rdata[32 * k+:32];
                if (k != COUNT - 1) next_block = (k + 1) << 12;
            end
    end
    assign m_axil_awaddr = address[11:0];
    assign m_axil_araddr = address[11:0];
    assign m_axil_wdata = data;
    assign m_axil_wstrb = strobes;
    assign m_axil_awvalid = {COUNT{aw}} & chosen;
    assign m_axil_wvalid = {COUNT{w}} & chosen;
    assign m_axil_arvalid = {COUNT{ar}} & chosen;
    assign m_axil_bready = {COUNT{busy}} & chosen;
    assign m_axil_rready = {COUNT{busy}} & chosen;

    always @(posedge clk) begin
        called_once <= requested;
        called <= called_once;
        if (|(m_axil_awvalid & m_axil_awready)) aw <= 1'b0;
        if (|(m_axil_wvalid & m_axil_wready)) w <= 1'b0;
        if (|(m_axil_arvalid & m_axil_arready)) ar <= 1'b0;
        if (busy && answers) begin
            busy <= 1'b0;
            done <= called;
            response <= its_response;
            value <= address[11:0] == NEXT_BLOCK ? next_block : its_value;
        end
        if (!busy && called != done) begin
            if (chosen != 0) begin
                busy <= 1'b1;
                aw <= write;
                w <= write;
                ar <= !write;
            end else begin
                done <= called;
                response <= SLVERR;
                value <= 32'd0;
            end
        end
        if (rst) begin
            {busy, aw, w, ar} <= 4'd0;
            done <= called;
            response <= SLVERR;
        end
    end
endmodule
