# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""The operator registry: an explicit list, one line a file."""

from __future__ import annotations

from .add import Add
from .base import Op
from .clip import Clip
from .concat import Concat
from .conv import Conv
from .depth_to_space import DepthToSpace
from .expand import Expand
from .matmul import MatMul
from .matrix_product import MatrixProduct
from .mean import Mean
from .pad import Pad
from .pool import Pool
from .product import Product
from .quantize import Dequantize, Quantize
from .relu import Relu
from .reshape import Reshape
from .resize import Resize
from .scale import Scale
from .slice import Slice
from .split import Split
from .transpose import Transpose

OPERATORS: tuple[type[Op], ...] = (
    Add,
    Expand,
    DepthToSpace,
    MatrixProduct,
    Product,
    Resize,
    Slice,
    Split,
    Concat,
    Clip,
    Conv,
    Dequantize,
    MatMul,
    Mean,
    Pad,
    Pool,
    Quantize,
    Relu,
    Reshape,
    Scale,
    Transpose,
)

REGISTRY: dict[str, type[Op]] = {kind: op for op in OPERATORS for kind in op.onnx_types}
"""ONNX operator type (default domain) to the class that imports it."""
