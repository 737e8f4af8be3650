# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""The patterns, an explicit list: one line a pattern, in the order in which they are tried."""

from __future__ import annotations

from .attention import ATTENTION
from .clipped_quantiser import CLIPPED_QUANTISER
from .formulas import FORMULA
from .gelu import GELU, GELU_TANH
from .group_normalization import GROUP_NORMALIZATION
from .hard_swish import HARD_SWISH
from .integer_product import CONV_INTEGER, MATMUL_INTEGER
from .layer_normalization import LAYER_NORMALIZATION
from .lp_normalization import LP_NORMALIZATION
from .match import Pattern
from .not_a_number import GUARD
from .one_hot import ONE_HOT_PRODUCT
from .quantised_operator import QUANTISED_OPERATORS
from .rms_normalization import RMS_NORMALIZATION
from .rounding import BIPOLAR_QUANTISER, QUANTISER
from .softmax import BARE_SOFTMAX, SOFTMAX
from .softplus import THRESHOLDED_SOFTPLUS
from .swish import SWISH
from .truncation import TRUNCATION

PATTERNS: tuple[Pattern, ...] = (
    LAYER_NORMALIZATION,
    GROUP_NORMALIZATION,
    RMS_NORMALIZATION,
    LP_NORMALIZATION,
    GELU,
    GELU_TANH,
    HARD_SWISH,
    SWISH,
    THRESHOLDED_SOFTPLUS,
    CONV_INTEGER,
    MATMUL_INTEGER,
    ONE_HOT_PRODUCT,
    GUARD,
    CLIPPED_QUANTISER,
    *QUANTISED_OPERATORS,
    QUANTISER,
    BIPOLAR_QUANTISER,
    TRUNCATION,
    FORMULA,
    SOFTMAX,
    BARE_SOFTMAX,
    ATTENTION,
)
