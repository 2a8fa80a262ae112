"""One direction of one plain recurrent layer, tanh or ReLU, as one node."""

from __future__ import annotations

from typing import Any

from disttorch.ops.activation import relu
from disttorch.ops.composed import Composed
from disttorch.ops.join import cat
from disttorch.ops.matmul import linear
from disttorch.ops.pointwise_trig import tanh
from disttorch.ops.recurrent_steps import Sizes, concatenated, from_gates, projected, steps
from disttorch.tensor import Tensor

Array = Any


class RnnLayer(Composed):
    """x (rows, I), h (N, H), weights and biases -> outputs (rows, H) and the last h.

    The activation is tanh, or ReLU if `rectified`.
    """

    torch_name = "RnnBackward0"

    def forward(
        ctx,
        x: Array,
        h: Array,
        w_ih: Array,
        w_hh: Array,
        b_ih: Array | None,
        b_hh: Array | None,
        rectified: bool,
        sizes: Sizes,
        reverse: bool,
    ) -> tuple[Array, Array]:
        ctx.save(*range(6))
        ctx.rectified, ctx.sizes, ctx.reverse = rectified, sizes, reverse
        xp, h = ctx.xp, h.copy()
        y = projected(x, w_ih, b_ih)
        if b_hh is not None:
            y += b_hh
        before = xp.empty((x.shape[0], h.shape[1]), x.dtype)
        w = w_hh.T
        for rows, n in steps(sizes, reverse):
            z, state = y[rows], h[:n]
            before[rows] = state
            z += state @ w
            if rectified:
                xp.maximum(z, 0, out=z)
            else:
                xp.tanh(z, out=z)
            state[...] = z
        ctx.kept = y, before
        return y.copy(), h

    def gradients(ctx, gy: Array, gh: Array) -> Any:
        x, _, w_ih, w_hh, b_ih, b_hh = ctx.saved
        y, before = ctx.kept
        slopes = (y > 0).astype(y.dtype) if ctx.rectified else 1 - y * y
        gh, g = gh.copy(), ctx.xp.empty_like(y)
        for rows, n in reversed(steps(ctx.sizes, ctx.reverse)):
            z = g[rows]
            ctx.xp.multiply(gh[:n] + gy[rows], slopes[rows], out=z)
            gh[:n] = z @ w_hh
        gx, gw_ih, gb = from_gates(g, x, w_ih)
        biases = (None if b is None else gb for b in (b_ih, b_hh))
        return gx, gh, gw_ih, g.T @ before, *biases

    def composed(ctx, *inputs: Any) -> Any:
        x, h, *parameters = inputs
        outputs = []
        for rows, n in steps(ctx.sizes, ctx.reverse):
            state = rnn_cell_step(x[rows], h[:n], *parameters, rectified=ctx.rectified)
            outputs.append(state)
            h = cat([state, h[n:]])
        return concatenated(outputs, ctx.reverse, cat), h


def rnn_cell_step(
    x: Tensor,
    h: Tensor,
    w_ih: Tensor,
    w_hh: Tensor,
    b_ih: Tensor | None,
    b_hh: Tensor | None,
    rectified: bool,
) -> Tensor:
    """One step from single operators: x (N, I), h (N, H) -> the next h."""
    return (relu if rectified else tanh)(linear(x, w_ih, b_ih) + linear(h, w_hh, b_hh))
