# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""``midwire weights``: which weights a running NIC has, and others in their place."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from ...hw.console import Console, JsonFlag, seconds
from ...hw.formats import csr
from ...hw.formats.bundle import Bundle
from .register_buses import RegisterBuses
from .slice_weights import SliceWeights, WeightsInForce, only_one, swap_weights

_MAX_EPOCH = (1 << csr.WIDTH["epoch"]) - 1


def weights(
    control: Annotated[
        Path, typer.Argument(help="What `midwire nic --control` was given.", metavar="SOCKET")
    ],
    bundle: Annotated[
        Path | None,
        typer.Argument(
            help="Folder of the bundle whose weights are loaded; without it, nothing is.",
            metavar="BUNDLE",
        ),
    ] = None,
    epoch: Annotated[
        int | None,
        typer.Option(
            min=0,
            max=_MAX_EPOCH,
            help="Epoch that frames for the new weights have; by default as before.",
        ),
    ] = None,
    wait: Annotated[
        float,
        typer.Option(
            parser=seconds(0.0), help="Seconds that the swap may wait for requests under way."
        ),
    ] = 30.0,
    as_json: JsonFlag = False,
) -> None:
    """Swap the weights of a running NIC for those of another bundle of the same hardware.

    They are loaded beside the ones in force, while requests are executed, and then change places
    with them between two requests, with the model hash and the epoch: no frame is lost, and each
    result is of the model that its header names. Requests for the model before, and those that came
    and had not begun, are sent on as declined. Ctrl-C before the swap changes nothing.

    Of a NIC with several instances, SOCKET is all of them: each is loaded, then each swaps by
    itself.
    """
    console = Console(as_json)
    if bundle is None and epoch is not None:
        raise typer.BadParameter("belongs to a BUNDLE", param_hint="--epoch")
    loaded = None if bundle is None else Bundle.load(bundle)
    with RegisterBuses.connect(control) as buses:
        nics = [SliceWeights(bus) for bus in buses.each]
        if loaded is None:
            found = [nic.read() for nic in nics]
        else:
            with only_one(control):
                found = swap_weights(nics, loaded, epoch, seconds=wait)
    lines = "\n".join(map(_line, found))
    console.result({"instances": [_object(each) for each in found]}, lines)


def _object(found: WeightsInForce) -> dict[str, Any]:
    return {
        "model_hash": found.model_hash.hex(),
        "epoch": found.epoch,
        "hardware": f"{found.hardware:08x}",
        "ports": found.ports,
        "bank": found.bank,
        "loaded": found.loaded,
        "waits": found.waits,
    }


def _line(found: WeightsInForce) -> str:
    told = f"model {found.model_hash.hex()}, epoch {found.epoch}"
    if not found.ports:
        return f"{told}; fixed"
    rest = ", a commit waits for requests under way" if found.waits else ""
    return f"{told}; bank {found.bank} of 2, {found.ports} side ports{rest}"
