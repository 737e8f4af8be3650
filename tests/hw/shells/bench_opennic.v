// SPDX-FileCopyrightText: 2026 midwire contributors
// SPDX-License-Identifier: Apache-2.0

// OpenNIC's user box of 250 MHz as the shell has it for two ports: its wires, by their names, with our
// instance included where it includes a user plugin's. In a user slot: size, source, destination.
module bench #(
    parameter WIDTH = 64,
    parameter PIPELINES = 2
) (
    BENCH_PORTS
);
    localparam USE_PHYS_FUNC = 1, NUM_QDMA = 1, NUM_PHYS_FUNC = 2, NUM_CMAC_PORT = 2;
    assign beat_bytes = WIDTH / 8;
    assign slow_ratio = 2;
    assign constant_user = 1;
    assign {mac_cpl_ready, core_cpl_valid} = 4'b1100;
    assign core_cpl_tag = 0;

    wire axil_aclk = slow_clk, axis_aclk = clk;
    wire [15:0] mod_rstn = {16{!rst}}, mod_rst_done;
    wire s_axil_awvalid = axil_awvalid, s_axil_wvalid = axil_wvalid, s_axil_arvalid = axil_arvalid;
    wire s_axil_bready = axil_bready, s_axil_rready = axil_rready;
    // What is above the window is the shell's.
    wire [31:0] s_axil_awaddr = {12'h001, axil_awaddr[19:0]}, s_axil_araddr = {12'h001, axil_araddr[19:0]};
    wire [31:0] s_axil_wdata = axil_wdata, s_axil_rdata;
    wire [1:0] s_axil_bresp, s_axil_rresp;
    wire s_axil_awready, s_axil_wready, s_axil_arready, s_axil_bvalid, s_axil_rvalid;
    assign {axil_awready, axil_wready, axil_arready} = {s_axil_awready, s_axil_wready, s_axil_arready};
    assign {axil_bvalid, axil_rvalid} = {s_axil_bvalid, s_axil_rvalid};
    assign {axil_rdata, axil_bresp, axil_rresp} = {s_axil_rdata, s_axil_bresp, s_axil_rresp};

    wire [1023:0] s_axis_adap_rx_250mhz_tdata = rx_data, s_axis_qdma_h2c_tdata = tx_data;
    wire [127:0] s_axis_adap_rx_250mhz_tkeep = rx_keep, s_axis_qdma_h2c_tkeep = tx_keep;
    wire [1:0] s_axis_adap_rx_250mhz_tvalid = rx_valid, s_axis_qdma_h2c_tvalid = tx_valid;
    wire [1:0] s_axis_adap_rx_250mhz_tlast = rx_last, s_axis_qdma_h2c_tlast = tx_last;
    wire [31:0] s_axis_adap_rx_250mhz_tuser_size, s_axis_qdma_h2c_tuser_size;
    wire [31:0] s_axis_adap_rx_250mhz_tuser_src, s_axis_qdma_h2c_tuser_src;
    wire [31:0] s_axis_adap_rx_250mhz_tuser_dst, s_axis_qdma_h2c_tuser_dst;
    wire [1:0] s_axis_adap_rx_250mhz_tready, s_axis_qdma_h2c_tready;
    assign {rx_ready, tx_ready} = {s_axis_adap_rx_250mhz_tready, s_axis_qdma_h2c_tready};

    wire [1023:0] m_axis_qdma_c2h_tdata, m_axis_adap_tx_250mhz_tdata;
    wire [127:0] m_axis_qdma_c2h_tkeep, m_axis_adap_tx_250mhz_tkeep;
    wire [1:0] m_axis_qdma_c2h_tvalid, m_axis_adap_tx_250mhz_tvalid;
    wire [1:0] m_axis_qdma_c2h_tlast, m_axis_adap_tx_250mhz_tlast;
    wire [31:0] m_axis_qdma_c2h_tuser_size, m_axis_adap_tx_250mhz_tuser_size;
    wire [31:0] m_axis_qdma_c2h_tuser_src, m_axis_adap_tx_250mhz_tuser_src;
    wire [31:0] m_axis_qdma_c2h_tuser_dst, m_axis_adap_tx_250mhz_tuser_dst;
    wire [1:0] m_axis_qdma_c2h_tready = host_ready, m_axis_adap_tx_250mhz_tready = net_ready;
    assign {host_data, net_data} = {m_axis_qdma_c2h_tdata, m_axis_adap_tx_250mhz_tdata};
    assign {host_keep, net_keep} = {m_axis_qdma_c2h_tkeep, m_axis_adap_tx_250mhz_tkeep};
    assign {host_valid, net_valid} = {m_axis_qdma_c2h_tvalid, m_axis_adap_tx_250mhz_tvalid};
    assign {host_last, net_last} = {m_axis_qdma_c2h_tlast, m_axis_adap_tx_250mhz_tlast};
    genvar k;
    generate
        for (k = 0; k < 2; k = k + 1) begin : port
            assign s_axis_adap_rx_250mhz_tuser_size[16 * k+:16] = rx_user[64 * k+:16];
            assign s_axis_adap_rx_250mhz_tuser_src[16 * k+:16] = rx_user[64 * k + 16+:16];
            assign s_axis_adap_rx_250mhz_tuser_dst[16 * k+:16] = rx_user[64 * k + 32+:16];
            assign s_axis_qdma_h2c_tuser_size[16 * k+:16] = tx_user[64 * k+:16];
            assign s_axis_qdma_h2c_tuser_src[16 * k+:16] = tx_user[64 * k + 16+:16];
            assign s_axis_qdma_h2c_tuser_dst[16 * k+:16] = tx_user[64 * k + 32+:16];
            assign host_user[64 * k+:64] = {16'd0, m_axis_qdma_c2h_tuser_dst[16 * k+:16],
                m_axis_qdma_c2h_tuser_src[16 * k+:16], m_axis_qdma_c2h_tuser_size[16 * k+:16]};
            assign net_user[64 * k+:64] = {16'd0, m_axis_adap_tx_250mhz_tuser_dst[16 * k+:16],
                m_axis_adap_tx_250mhz_tuser_src[16 * k+:16], m_axis_adap_tx_250mhz_tuser_size[16 * k+:16]};
        end
    endgenerate
    USER_PLUGIN
endmodule
