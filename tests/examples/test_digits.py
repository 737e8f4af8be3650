# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""The demo's model is what its script says that it is."""

from __future__ import annotations

import json
from pathlib import Path
from typing import cast

import numpy as np
import onnx
import onnxruntime as ort
import pytest

from midwire.examples.digits import train

FOLDER = Path(train.__file__).resolve().parent


@pytest.fixture(scope="module")
def facts() -> dict[str, float | str]:
    loaded: dict[str, float | str] = json.loads((FOLDER / "digits.json").read_text("utf-8"))
    return loaded


def test_shipped_model_has_the_accuracy_on_record(facts: dict[str, float | str]) -> None:
    session = ort.InferenceSession(FOLDER / "digits.onnx", providers=["CPUExecutionProvider"])
    with np.load(FOLDER / "heldout.npz") as held_out:
        images, label = held_out["in0"], held_out["label"]
    assert images.shape == (360, 1, 1, 8, 8)
    assert images.dtype == np.float32
    found = [int(session.run(["logits"], {"image": image})[0].argmax()) for image in images]
    accuracy = float(np.mean(np.array(found) == label))
    assert round(accuracy, 4) == facts["heldout_accuracy"]
    assert accuracy >= 0.97


def test_cut_tensors_are_in_the_model(facts: dict[str, float | str]) -> None:
    model = onnx.load(FOLDER / "digits.onnx")
    made = [name for node in model.graph.node for name in node.output]
    assert made.index(str(facts["from"])) < made.index(str(facts["to"])) < len(made) - 1


def test_data_files_are_the_seeded_split() -> None:
    data = train.load()
    with np.load(FOLDER / "heldout.npz") as held_out:
        np.testing.assert_array_equal(held_out["in0"][:, 0], data.held_out)
        np.testing.assert_array_equal(held_out["label"], data.held_out_label)
    with np.load(FOLDER / "calibration.npz") as calibration:
        np.testing.assert_array_equal(calibration["in0"][:, 0], data.train[: train.CALIBRATION])


def test_the_script_still_makes_such_a_model(facts: dict[str, float | str]) -> None:
    # Sums round in another order on another machine, so weights are compared by what they do.
    assert facts["seed"] == train.SEED
    data = train.load()
    network = train.train(data)
    assert train.accuracy(network, data.held_out, data.held_out_label) >= 0.97
    again, shipped = train.export(network), onnx.load(FOLDER / "digits.onnx")
    assert again.graph.node == shipped.graph.node
    assert [(w.name, list(w.dims)) for w in again.graph.initializer] == [
        (w.name, list(w.dims)) for w in shipped.graph.initializer
    ]


def test_export_computes_what_was_trained() -> None:
    network = train.Network(seed=3)
    images = np.random.default_rng(4).random((5, 1, 8, 8), dtype=np.float32)
    session = ort.InferenceSession(
        train.export(network).SerializeToString(), providers=["CPUExecutionProvider"]
    )
    found = np.concatenate([session.run(None, {"image": image[None]})[0] for image in images])
    np.testing.assert_allclose(found, network.logits(images), rtol=1e-4, atol=1e-5)


def test_gradient_is_the_slope_of_the_loss() -> None:
    rng = np.random.default_rng(5)
    network = train.Network(seed=6)
    images = rng.random((4, 1, 8, 8), dtype=np.float32)
    label = rng.integers(0, 10, 4)

    def loss() -> float:
        scores = network.logits(images).astype(np.float64)
        scores -= scores.max(1, keepdims=True)
        chosen = scores[np.arange(4), label]
        return float(np.mean(np.log(np.exp(scores).sum(1)) - chosen))

    gradient = network.gradient(images, label)
    # The slope itself in double, where a small step still shows.
    doubled = {name: value.astype(np.float64) for name, value in network.parameters.items()}
    network.parameters = cast("dict[str, train.F32]", doubled)
    for name, value in doubled.items():
        direction = rng.normal(0, 1, value.shape)
        expected = float(np.sum(gradient[name] * direction))
        ends = []
        for step in (1e-6, -1e-6):
            network.parameters[name] = cast("train.F32", value + step * direction)
            ends.append(loss())
        network.parameters[name] = cast("train.F32", value)
        assert (ends[0] - ends[1]) / 2e-6 == pytest.approx(expected, rel=1e-3, abs=1e-4)
