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
from ..errors import RegisterError
from .register_bus import RegisterBus
from .register_buses import RegisterBuses
from .slice_weights import SliceWeights, WeightsInForce, only_one, swap_weights, that_fits

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
    core: Annotated[
        int | None,
        typer.Option(
            min=0,
            max=csr.MAX_CORES - 1,
            help="Of a NIC with several slices, which one; by default the only one that fits.",
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
    itself. Of one with several slices, one is loaded.
    """
    console = Console(as_json)
    if bundle is None and epoch is not None:
        raise typer.BadParameter("belongs to a BUNDLE", param_hint="--epoch")
    loaded = None if bundle is None else Bundle.load(bundle)
    with RegisterBuses.connect(control) as buses:
        nics = [_cores(bus, core) for bus in buses.each]
        if loaded is None:
            slices = [each for cores in nics for each in cores]
            found = [each.read() for each in slices]
        else:
            with only_one(control):
                slices = [that_fits(cores, loaded) for cores in nics]
                found = swap_weights(slices, loaded, epoch, seconds=wait)
    told = list(zip(slices, found, strict=True))
    lines = "\n".join(_line(each, now) for each, now in told)
    console.result({"slices": [_object(each, now) for each, now in told]}, lines)


def _cores(bus: RegisterBus, core: int | None) -> list[SliceWeights]:
    """A NIC's slices, or the one that was asked for."""
    cores = SliceWeights.all_of(bus)
    if core is None:
        return cores
    if core >= len(cores):
        raise RegisterError(
            "there is no such core",
            where="--core",
            expected=f"0 to {len(cores) - 1}",
            found=str(core),
            remedy="`midwire weights SOCKET` lists them",
        )
    return [cores[core]]


def _object(of: SliceWeights, found: WeightsInForce) -> dict[str, Any]:
    return {
        "core": of.core,
        "model_hash": found.model_hash.hex(),
        "epoch": found.epoch,
        "hardware": f"{found.hardware:08x}",
        "ports": found.ports,
        "bank": found.bank,
        "loaded": found.loaded,
        "waits": found.waits,
    }


def _line(of: SliceWeights, found: WeightsInForce) -> str:
    told = f"core {of.core}: model {found.model_hash.hex()}, epoch {found.epoch}"
    if not found.ports:
        return f"{told}; fixed"
    rest = ", a commit waits for requests under way" if found.waits else ""
    return f"{told}; bank {found.bank} of 2, {found.ports} side ports{rest}"
