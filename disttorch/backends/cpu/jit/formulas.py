"""The pointwise operators that have kernels: name of the operator, forward and backward formula.

Formulas speak of one element. `x` is the first input, `y` the output, `g` the output's gradient;
other names are inputs, keywords of the operator, or what it noted on its context. Numbers are
float32. Functions are those of `maths`.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Formula:
    """How one operator computes an element and its gradient; an empty formula means no kernel.

    `inputs` and `saved` name the operator's positional inputs and what its context kept for
    backward, in order; `keywords` its parameters, which its context notes under the same names.
    What is not an array in a call becomes a number of the kernel.
    """

    forward: str
    backward: str = ""
    inputs: str = "x"
    saved: str = "x"
    keywords: str = ""


_SQRT_2_OVER_PI = "0.7978845608028654"
_CDF = "(0.5 * erf(x * 0.7071067811865476) + 0.5)"
_INNER = f"{_SQRT_2_OVER_PI} * (x + 0.044715 * x * x * x)"
_INNER_SLOPE = f"{_SQRT_2_OVER_PI} * (1 + 0.134145 * x * x)"
_SOFT = "softplus(x) if x <= 20 else x"

FORMULAS = {
    "Exp": Formula("exp(x)", "g * y", saved="y"),
    "Expm1": Formula("expm1(x)", "g * (y + 1)", saved="y"),
    "Log": Formula("log(x)", "g / x"),
    "Log1p": Formula("log1p(x)", "g / (x + 1)"),
    "Sqrt": Formula("", "g * 0.5 / y", saved="y"),
    "Rsqrt": Formula("1 / sqrt(x)", "g * (-0.5 * y * y * y)", saved="y"),
    "Reciprocal": Formula("", "-g * y * y", saved="y"),
    "Square": Formula("", "g * (x + x)"),
    "Abs": Formula("", "g * ((1 if x > 0 else 0) - (1 if x < 0 else 0))"),
    "Tanh": Formula("tanh(x)", "g * (1 - y * y)", saved="y"),
    "Sigmoid": Formula("sigmoid(x)", "g * (y * (1 - y))", saved="y"),
    "Erf": Formula("erf(x)", "g * (exp(-x * x) * 1.1283791670955126)"),
    "Relu": Formula("", "g if y > 0 else g * 0", saved="y"),
    "Hardtanh": Formula(
        "", "g if (y > low) & (y < high) else g * 0", saved="y", keywords="low high"
    ),
    "LeakyRelu": Formula(
        "x if x > 0 else x * slope", "g if x > 0 else g * slope", keywords="slope"
    ),
    "Hardsigmoid": Formula(
        "0 if x <= -3 else (1 if x >= 3 else (x + 3) / 6)",
        "g / 6 if (x > -3) & (x < 3) else g * 0",
    ),
    "Hardswish": Formula(
        "x * 0 if x <= -3 else (x if x >= 3 else x * (x + 3) / 6)",
        "g * 0 if x <= -3 else (g if x >= 3 else g * (x / 3 + 0.5))",
    ),
    "Gelu": Formula(
        f"x * {_CDF}", f"g * ({_CDF} + x * exp(-0.5 * x * x) * 0.3989422804014327)"
    ),
    "GeluTanh": Formula(
        f"0.5 * x * (1 + tanh({_INNER}))",
        f"g * (0.5 * (1 + tanh({_INNER})) + 0.5 * x * (1 - tanh({_INNER}) * tanh({_INNER}))"
        f" * ({_INNER_SLOPE}))",
    ),
    "Silu": Formula("x * sigmoid(x)", "g * (sigmoid(x) * (1 + x * (1 - sigmoid(x))))"),
    "Elu": Formula(
        "x * scale if x > 0 else expm1_below(x * rate) * (alpha * scale)",
        "g * scale if x > 0 else g * (exp_below(x * rate) * (alpha * scale * rate))",
        keywords="alpha scale rate",
    ),
    "Softplus": Formula(
        "x if x * beta > threshold else softplus(x * beta) / beta",
        "g if x * beta > threshold else g * sigmoid(x * beta)",
        keywords="beta threshold",
    ),
    "LogSigmoid": Formula("-softplus(-x)", "g * sigmoid(-x)"),
    "Mish": Formula(
        f"x * tanh({_SOFT})",
        f"g * (tanh({_SOFT}) + x * (1 - tanh({_SOFT}) * tanh({_SOFT})) * sigmoid(x))",
    ),
    "Softsign": Formula("x / (1 + abs(x))", "g / ((1 + abs(x)) * (1 + abs(x)))"),
    "Tanhshrink": Formula("x - tanh(x)", "g * (tanh(x) * tanh(x))"),
    "Threshold": Formula(
        "value if x <= threshold else x",
        "g if x > threshold else 0",
        keywords="threshold value",
    ),
    "Clamp": Formula(
        "", "g if (x >= low) & (x <= high) else g * 0",
        inputs="x low high", saved="x low high",
    ),
    "Lerp": Formula("x + w * (end - x)", inputs="x end w"),
    "Addcmul": Formula("x + value * (a * b)", inputs="x a b", keywords="value"),
    "Addcdiv": Formula("x + value * (a / b)", inputs="x a b", keywords="value"),
    # Losses of elements; the gradient of their sum or mean is one number.
    "MseLoss": Formula("", "g * ((x - t) + (x - t))", saved="x t"),
    "BinaryCrossEntropy": Formula(
        "(t - 1) * (-100 if log1p(-x) < -100 else log1p(-x))"
        " - t * (-100 if log(x) < -100 else log(x))",
        "g * ((x - t) / (1e-12 if x * (1 - x) < 1e-12 else x * (1 - x)))",
        inputs="x t",
        saved="x t",
    ),
    "BinaryCrossEntropyWithLogits": Formula(
        "(1 - t) * x + softplus(-x)", "g * (sigmoid(x) - t)", inputs="x t", saved="x t"
    ),
}  # fmt: skip
