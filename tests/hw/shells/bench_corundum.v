// SPDX-FileCopyrightText: 2026 midwire contributors
// SPDX-License-Identifier: Apache-2.0

// Corundum's application block as Corundum has it on a board with two interfaces of one port. On the
// way in from the network a user slot holds what tuser does, cut to 64 bits: bad frame, then the time
// of arrival; from the host bad frame, then the transmit tag.
module bench #(
    parameter WIDTH = 64,
    parameter PIPELINES = 2
) (
    BENCH_PORTS
);
    localparam KEEP = WIDTH / 8, RX = 97, TX = 17;
    assign beat_bytes = KEEP;
    assign slow_ratio = 1;
    assign constant_user = 0;

    wire [2 * RX - 1:0] host_tuser;
    wire [2 * TX - 1:0] net_tuser;
    wire [191:0] stamps;
    genvar k;
    generate
        for (k = 0; k < 2; k = k + 1) begin : port
            assign host_user[64 * k+:64] = host_tuser[RX * k+:64];
            assign net_user[64 * k+:64] = {47'd0, net_tuser[TX * k+:TX]};
            if (WIDTH < 512) begin : rest
                assign host_data[512 * k + WIDTH+:512 - WIDTH] = 0;
                assign net_data[512 * k + WIDTH+:512 - WIDTH] = 0;
                assign host_keep[64 * k + KEEP+:64 - KEEP] = 0;
                assign net_keep[64 * k + KEEP+:64 - KEEP] = 0;
            end
        end
    endgenerate
    mqnic_app_block #(
        .IF_COUNT(2),
        .PORTS_PER_IF(1),
        .APP_CTRL_ENABLE(0),
        .APP_DMA_ENABLE(0),
        .APP_AXIS_DIRECT_ENABLE(0),
        .APP_AXIS_IF_ENABLE(0),
        .AXIL_APP_CTRL_ADDR_WIDTH(24),
        .AXIS_DATA_WIDTH(WIDTH),
        .SHELLS(PIPELINES)
    ) block (
        .clk(clk),
        .rst(rst),
        .s_axil_app_ctrl_awaddr(axil_awaddr),
        .s_axil_app_ctrl_awprot(3'd0),
        .s_axil_app_ctrl_awvalid(axil_awvalid),
        .s_axil_app_ctrl_awready(axil_awready),
        .s_axil_app_ctrl_wdata(axil_wdata),
        .s_axil_app_ctrl_wstrb(axil_wstrb),
        .s_axil_app_ctrl_wvalid(axil_wvalid),
        .s_axil_app_ctrl_wready(axil_wready),
        .s_axil_app_ctrl_bresp(axil_bresp),
        .s_axil_app_ctrl_bvalid(axil_bvalid),
        .s_axil_app_ctrl_bready(axil_bready),
        .s_axil_app_ctrl_araddr(axil_araddr),
        .s_axil_app_ctrl_arprot(3'd0),
        .s_axil_app_ctrl_arvalid(axil_arvalid),
        .s_axil_app_ctrl_arready(axil_arready),
        .s_axil_app_ctrl_rdata(axil_rdata),
        .s_axil_app_ctrl_rresp(axil_rresp),
        .s_axil_app_ctrl_rvalid(axil_rvalid),
        .s_axil_app_ctrl_rready(axil_rready),
        .s_axis_sync_rx_tdata({rx_data[512+:WIDTH], rx_data[0+:WIDTH]}),
        .s_axis_sync_rx_tkeep({rx_keep[64+:KEEP], rx_keep[0+:KEEP]}),
        .s_axis_sync_rx_tvalid(rx_valid),
        .s_axis_sync_rx_tready(rx_ready),
        .s_axis_sync_rx_tlast(rx_last),
        .s_axis_sync_rx_tuser({33'd0, rx_user[64+:64], 33'd0, rx_user[0+:64]}),
        .m_axis_sync_rx_tdata({host_data[512+:WIDTH], host_data[0+:WIDTH]}),
        .m_axis_sync_rx_tkeep({host_keep[64+:KEEP], host_keep[0+:KEEP]}),
        .m_axis_sync_rx_tvalid(host_valid),
        .m_axis_sync_rx_tready(host_ready),
        .m_axis_sync_rx_tlast(host_last),
        .m_axis_sync_rx_tuser(host_tuser),
        .s_axis_sync_tx_tdata({tx_data[512+:WIDTH], tx_data[0+:WIDTH]}),
        .s_axis_sync_tx_tkeep({tx_keep[64+:KEEP], tx_keep[0+:KEEP]}),
        .s_axis_sync_tx_tvalid(tx_valid),
        .s_axis_sync_tx_tready(tx_ready),
        .s_axis_sync_tx_tlast(tx_last),
        .s_axis_sync_tx_tuser({tx_user[64+:TX], tx_user[0+:TX]}),
        .m_axis_sync_tx_tdata({net_data[512+:WIDTH], net_data[0+:WIDTH]}),
        .m_axis_sync_tx_tkeep({net_keep[64+:KEEP], net_keep[0+:KEEP]}),
        .m_axis_sync_tx_tvalid(net_valid),
        .m_axis_sync_tx_tready(net_ready),
        .m_axis_sync_tx_tlast(net_last),
        .m_axis_sync_tx_tuser(net_tuser),
        .s_axis_sync_tx_cpl_ts({80'd1, mac_cpl_tag[31:16], 80'd1, mac_cpl_tag[15:0]}),
        .s_axis_sync_tx_cpl_tag(mac_cpl_tag),
        .s_axis_sync_tx_cpl_valid(mac_cpl_valid),
        .s_axis_sync_tx_cpl_ready(mac_cpl_ready),
        .m_axis_sync_tx_cpl_ts(stamps),
        .m_axis_sync_tx_cpl_tag(core_cpl_tag),
        .m_axis_sync_tx_cpl_valid(core_cpl_valid),
        .m_axis_sync_tx_cpl_ready(core_cpl_ready)
    );
    // A time goes with its own tag.
    always @(posedge clk)
        if (core_cpl_valid != 0 && (stamps[15:0] != core_cpl_tag[15:0] || stamps[111:96] != core_cpl_tag[31:16])) begin
            $display("broken times of completions");
            $finish;
        end
endmodule
