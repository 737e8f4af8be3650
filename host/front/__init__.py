# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""The front door: the Open Inference Protocol (REST, gRPC), health and metrics go here.

Nothing is here yet. What belongs here speaks to clients that know nothing of midwire and hands
their requests to :mod:`..client`; what speaks our own wire format belongs to :mod:`..wire`.
"""
