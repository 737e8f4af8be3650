#!/usr/bin/env python3
# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""Train the demo's model on scikit-learn's handwritten digits, and write what is in this folder.

``python examples/digits/train.py`` (needs scikit-learn: ``pip install scikit-learn``) trains a
small CNN in plain numpy, in single precision, from a fixed seed, and writes

- ``digits.onnx``: float, opset 17, input ``image`` (1, 1, 8, 8), output ``logits`` (1, 10);
- ``heldout.npz``: ``in0`` (360, 1, 1, 8, 8), pixels over 16, and ``label``; never trained on;
- ``calibration.npz``: ``in0`` (128, 1, 1, 8, 8), the first training images;
- ``digits.json``: seed, accuracies, and the tensors where the demo cuts the model in three.

The data set is the test part of "Optical Recognition of Handwritten Digits" (E. Alpaydin and
C. Kaynak, UCI Machine Learning Repository, 1998; CC BY 4.0): 1797 images of 8x8 pixels, 0 to 16.

One machine gives the same weights every time; another may round sums in another order, and then
gives other weights and about the same accuracy.
"""

from __future__ import annotations

import argparse
import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import onnx
from onnx import TensorProto, helper, numpy_helper
from sklearn.datasets import load_digits

HERE = Path(__file__).resolve().parent

SEED = 20260
HELD_OUT = 360
CALIBRATION = 128
EPOCHS = 30
BATCH = 32
RATE = 4e-3

CUT = {"from": "conv1_relu", "to": "conv3_relu"}
"""The edge runs what makes ``from``, the NIC what lies between, the cloud what follows ``to``."""

F32 = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Data:
    """Images (samples, 1, 8, 8) from 0 to 1, and labels (samples,)."""

    train: F32
    train_label: npt.NDArray[np.int64]
    held_out: F32
    held_out_label: npt.NDArray[np.int64]


def load(seed: int = SEED) -> Data:
    """Split the data set by a seeded permutation."""
    images, labels = load_digits(return_X_y=True)
    images = (images / 16).astype(np.float32).reshape(-1, 1, 8, 8)
    labels = labels.astype(np.int64)
    order = np.random.default_rng(seed).permutation(len(images))
    held, rest = order[:HELD_OUT], order[HELD_OUT:]
    return Data(images[rest], labels[rest], images[held], labels[held])


def _patches(x: F32) -> F32:
    """3x3 windows with a border of zeros: (n, c, h, w) to (n, h, w, c * 9)."""
    padded = np.pad(x, ((0, 0), (0, 0), (1, 1), (1, 1)))
    windows = np.lib.stride_tricks.sliding_window_view(padded, (3, 3), axis=(2, 3))
    n, c, h, w = x.shape
    return windows.transpose(0, 2, 3, 1, 4, 5).reshape(n, h, w, c * 9)


class Network:
    """conv 8, conv 16, max pool, conv 16 (3x3, same size, ReLU each), dense 10."""

    def __init__(self, seed: int = SEED) -> None:
        rng = np.random.default_rng(seed)
        shapes = {"conv1": (8, 9), "conv2": (16, 72), "conv3": (16, 144), "dense": (10, 256)}
        self.parameters: dict[str, F32] = {}
        for name, shape in shapes.items():
            spread = np.sqrt(2 / shape[1])
            self.parameters[f"{name}_weight"] = rng.normal(0, spread, shape).astype(np.float32)
            self.parameters[f"{name}_bias"] = np.zeros(shape[0], np.float32)

    def _conv(self, name: str, x: F32) -> tuple[F32, F32]:
        """ReLU of a convolution, and the patches that its gradient needs."""
        patches = _patches(x)
        y = patches @ self.parameters[f"{name}_weight"].T + self.parameters[f"{name}_bias"]
        return np.maximum(y, 0).transpose(0, 3, 1, 2), patches

    def _conv_gradient(
        self, name: str, y: F32, patches: F32, dy: F32, gradient: dict[str, F32]
    ) -> F32:
        """Gradient of a convolution's input; those of its parameters go into ``gradient``."""
        dy = np.where(y > 0, dy, 0).transpose(0, 2, 3, 1)
        n, h, w, out = dy.shape
        flat = dy.reshape(-1, out)
        gradient[f"{name}_weight"] = flat.T @ patches.reshape(len(flat), -1)
        gradient[f"{name}_bias"] = flat.sum(0)
        windows = (flat @ self.parameters[f"{name}_weight"]).reshape(n, h, w, -1, 3, 3)
        dx = np.zeros((n, windows.shape[3], h + 2, w + 2), np.float32)
        for row in range(3):
            for column in range(3):
                part = windows[..., row, column].transpose(0, 3, 1, 2)
                dx[:, :, row : row + h, column : column + w] += part
        return dx[:, :, 1:-1, 1:-1]

    def logits(self, x: F32) -> F32:
        """Class scores (samples, 10)."""
        y1, _ = self._conv("conv1", x)
        y2, _ = self._conv("conv2", y1)
        pooled = y2.reshape(len(x), 16, 4, 2, 4, 2).max(axis=(3, 5))
        y3, _ = self._conv("conv3", pooled)
        return (
            y3.reshape(len(x), -1) @ self.parameters["dense_weight"].T
            + self.parameters["dense_bias"]
        )

    def gradient(self, x: F32, label: npt.NDArray[np.int64]) -> dict[str, F32]:
        """Gradient of the mean cross-entropy, for each parameter."""
        n = len(x)
        y1, p1 = self._conv("conv1", x)
        y2, p2 = self._conv("conv2", y1)
        blocks = y2.reshape(n, 16, 4, 2, 4, 2)
        pooled = blocks.max(axis=(3, 5))
        y3, p3 = self._conv("conv3", pooled)
        flat = y3.reshape(n, -1)
        scores = flat @ self.parameters["dense_weight"].T + self.parameters["dense_bias"]
        shares = np.exp(scores - scores.max(1, keepdims=True))
        shares /= shares.sum(1, keepdims=True)
        shares[np.arange(n), label] -= 1
        shares /= np.float32(n)
        gradient = {"dense_weight": shares.T @ flat, "dense_bias": shares.sum(0)}
        dy3 = (shares @ self.parameters["dense_weight"]).reshape(y3.shape)
        dpooled = self._conv_gradient("conv3", y3, p3, dy3, gradient)
        largest = blocks == pooled[:, :, :, None, :, None]
        shared = dpooled / largest.sum(axis=(3, 5))
        dy2 = np.where(largest, shared[:, :, :, None, :, None], 0).reshape(y2.shape)
        dy1 = self._conv_gradient("conv2", y2, p2, dy2.astype(np.float32), gradient)
        self._conv_gradient("conv1", y1, p1, dy1, gradient)
        return gradient


def train(data: Data, seed: int = SEED, epochs: int = EPOCHS) -> Network:
    """Adam with a cosine rate; each batch is rolled by up to a pixel each way."""
    network = Network(seed)
    rng = np.random.default_rng(seed + 1)
    mean = {k: np.zeros_like(v) for k, v in network.parameters.items()}
    square = {k: np.zeros_like(v) for k, v in network.parameters.items()}
    steps = epochs * (len(data.train) // BATCH)
    step = 0
    for _ in range(epochs):
        order = rng.permutation(len(data.train))
        for start in range(0, len(order) - BATCH + 1, BATCH):
            chosen = order[start : start + BATCH]
            shift = rng.integers(-1, 2, 2)
            images = np.roll(data.train[chosen], shift, axis=(2, 3))
            gradient = network.gradient(images, data.train_label[chosen])
            step += 1
            rate = RATE * 0.5 * (1 + np.cos(np.pi * step / steps))
            for name, value in network.parameters.items():
                g = gradient[name]
                mean[name] = 0.9 * mean[name] + 0.1 * g
                square[name] = 0.999 * square[name] + 0.001 * g * g
                up = mean[name] / (1 - 0.9**step)
                down = np.sqrt(square[name] / (1 - 0.999**step)) + 1e-8
                network.parameters[name] = (value - rate * up / down).astype(np.float32)
    return network


def accuracy(network: Network, images: F32, label: npt.NDArray[np.int64]) -> float:
    """Share of images whose largest score is the label's."""
    return float(np.mean(network.logits(images).argmax(1) == label))


def export(network: Network) -> onnx.ModelProto:
    """The network as a float ONNX model, batch 1, opset 17, readable tensor names."""
    nodes = []
    weights = []

    def constant(name: str, value: F32) -> str:
        weights.append(numpy_helper.from_array(np.ascontiguousarray(value), name))
        return name

    def conv(name: str, source: str, channels: int) -> str:
        weight = network.parameters[f"{name}_weight"].reshape(-1, channels, 3, 3)
        bias = network.parameters[f"{name}_bias"]
        inputs = [source, constant(f"{name}_weight", weight), constant(f"{name}_bias", bias)]
        nodes.append(
            helper.make_node(
                "Conv", inputs, [name], name, kernel_shape=[3, 3], strides=[1, 1], pads=[1] * 4
            )
        )
        nodes.append(helper.make_node("Relu", [name], [f"{name}_relu"], f"{name}_relu"))
        return f"{name}_relu"

    conv2 = conv("conv2", conv("conv1", "image", 1), 8)
    nodes.append(
        helper.make_node("MaxPool", [conv2], ["pool"], "pool", kernel_shape=[2, 2], strides=[2, 2])
    )
    conv3 = conv("conv3", "pool", 16)
    nodes.append(helper.make_node("Flatten", [conv3], ["flat"], "flat", axis=1))
    dense = [
        "flat",
        constant("dense_weight", network.parameters["dense_weight"]),
        constant("dense_bias", network.parameters["dense_bias"]),
    ]
    nodes.append(helper.make_node("Gemm", dense, ["logits"], "dense", transB=1))
    graph = helper.make_graph(
        nodes,
        "digits",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, [1, 1, 8, 8])],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, [1, 10])],
        weights,
    )
    model = helper.make_model(
        graph,
        producer_name="midwire examples/digits/train.py",
        opset_imports=[helper.make_opsetid("", 17)],
        ir_version=8,
    )
    onnx.checker.check_model(model, full_check=True)
    return model


def main() -> None:
    """Train, print both accuracies, and write the four files."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("--out", type=Path, default=HERE, help="folder to write to")
    arguments = parser.parse_args()
    out: Path = arguments.out
    out.mkdir(parents=True, exist_ok=True)
    data = load()
    network = train(data)
    facts = {
        "seed": SEED,
        "train_accuracy": round(accuracy(network, data.train, data.train_label), 4),
        "heldout_accuracy": round(accuracy(network, data.held_out, data.held_out_label), 4),
        **CUT,
    }
    print(f"float accuracy, training: {facts['train_accuracy']:.2%} of {len(data.train)}")
    print(f"float accuracy, held out: {facts['heldout_accuracy']:.2%} of {len(data.held_out)}")
    (out / "digits.onnx").write_bytes(export(network).SerializeToString(deterministic=True))
    held_out, calibration = data.held_out[:, None], data.train[:CALIBRATION, None]
    np.savez_compressed(out / "heldout.npz", in0=held_out, label=data.held_out_label)
    np.savez_compressed(out / "calibration.npz", in0=calibration)
    (out / "digits.json").write_text(json.dumps(facts, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
