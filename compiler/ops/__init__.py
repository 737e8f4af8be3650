# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""The operator registry: an explicit list, one line a file."""

from __future__ import annotations

from .abs import Abs
from .add import Add
from .base import Op
from .bipolar import BipolarQuant
from .clip import Clip
from .concat import Concat
from .conv import Conv
from .conv_transpose import ConvTranspose
from .depth_to_space import DepthToSpace
from .elu import Elu
from .embedding import Embedding
from .erf import Erf
from .exp import Exp
from .expand import Expand
from .extreme import Extreme
from .formula import ElementFormula
from .gather import Gather
from .gelu import Gelu
from .group_normalization import GroupNormalization
from .gru import Gru
from .hard_sigmoid import HardSigmoid
from .hard_swish import HardSwish
from .layer_normalization import LayerNormalization
from .leaky_relu import LeakyRelu
from .log import Log
from .lp_normalization import LpNormalization
from .lstm import Lstm
from .matmul import MatMul
from .matrix_product import MatrixProduct
from .mish import Mish
from .neg import Neg
from .pad import Pad
from .pool import Pool
from .pow import Pow
from .prelu import PRelu
from .product import Product
from .quantize import Dequantize, Quantize
from .reduce import Reduce
from .relu import Relu
from .reshape import Reshape
from .resize import Resize
from .rnn import Rnn
from .round import Round
from .scale import Scale
from .shrink import Shrink
from .sigmoid import Sigmoid
from .sign import Sign
from .slice import Slice
from .softmax import Softmax
from .softplus import Softplus
from .softsign import Softsign
from .split import Split
from .sqrt import Sqrt
from .swish import Swish
from .tanh import Tanh
from .thresholded_relu import ThresholdedRelu
from .top_k import Top
from .transpose import Transpose
from .tree_ensemble import TreeEnsemble
from .trigonometric import Trigonometric
from .where import Where

OPERATORS: tuple[type[Op], ...] = (
    Abs,
    Add,
    BipolarQuant,
    Clip,
    Concat,
    Conv,
    ConvTranspose,
    DepthToSpace,
    Dequantize,
    ElementFormula,
    Elu,
    Embedding,
    Erf,
    Exp,
    Expand,
    Extreme,
    Gather,
    Gelu,
    GroupNormalization,
    Gru,
    HardSigmoid,
    HardSwish,
    LayerNormalization,
    LeakyRelu,
    Log,
    LpNormalization,
    Lstm,
    MatMul,
    MatrixProduct,
    Mish,
    Neg,
    PRelu,
    Pad,
    Pool,
    Pow,
    Product,
    Quantize,
    Reduce,
    Relu,
    Reshape,
    Resize,
    Rnn,
    Round,
    Scale,
    Shrink,
    Sigmoid,
    Sign,
    Slice,
    Softmax,
    Softplus,
    Softsign,
    Split,
    Sqrt,
    Swish,
    Tanh,
    ThresholdedRelu,
    Top,
    Transpose,
    TreeEnsemble,
    Trigonometric,
    Where,
)

REGISTRY: dict[str, type[Op]] = {kind: op for op in OPERATORS for kind in op.onnx_types}
"""ONNX operator type, as :func:`~..load.source.kind_of` has it, to the class that imports it."""
