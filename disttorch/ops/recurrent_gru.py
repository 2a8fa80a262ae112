"""One direction of one GRU layer as one node; gates in PyTorch's order: reset, update, new."""

from __future__ import annotations

from typing import Any

from disttorch.ops.composed import Composed
from disttorch.ops.join import cat
from disttorch.ops.matmul import linear
from disttorch.ops.pointwise_special import sigmoid
from disttorch.ops.pointwise_trig import tanh
from disttorch.ops.recurrent_steps import Sizes, concatenated, from_gates, projected, steps
from disttorch.tensor import Tensor

Array = Any


class GruLayer(Composed):
    """x (rows, I), h (N, H), weights and biases -> outputs (rows, H) and the last h."""

    torch_name = "GruBackward0"

    def forward(
        ctx,
        x: Array,
        h: Array,
        w_ih: Array,
        w_hh: Array,
        b_ih: Array | None,
        b_hh: Array | None,
        sizes: Sizes,
        reverse: bool,
    ) -> tuple[Array, Array]:
        ctx.save(*range(6))
        ctx.sizes, ctx.reverse = sizes, reverse
        xp, n_hidden, h = ctx.xp, h.shape[1], h.copy()
        gates = projected(x, w_ih, b_ih)
        y, before, recurrent = (xp.empty((x.shape[0], n_hidden), x.dtype) for _ in range(3))
        both, new = slice(0, 2 * n_hidden), slice(2 * n_hidden, 3 * n_hidden)
        for rows, n in steps(sizes, reverse):
            z, state = gates[rows], h[:n]
            before[rows] = state
            own = projected(state, w_hh, b_hh)
            recurrent[rows] = own[:, new]
            sigmoids = z[:, both]
            sigmoids += own[:, both]
            sigmoids *= 0.5
            xp.tanh(sigmoids, out=sigmoids)
            sigmoids *= 0.5
            sigmoids += 0.5
            candidate = z[:, new]
            candidate += z[:, :n_hidden] * own[:, new]
            xp.tanh(candidate, out=candidate)
            state -= candidate
            state *= z[:, n_hidden : 2 * n_hidden]
            state += candidate
            y[rows] = state
        ctx.kept = gates, before, recurrent
        return y, h

    def gradients(ctx, gy: Array, gh: Array) -> Any:
        x, _, w_ih, w_hh, b_ih, b_hh = ctx.saved
        gates, before, recurrent = ctx.kept
        xp, n_hidden = ctx.xp, before.shape[1]
        r, z, new = (gates[:, k * n_hidden : (k + 1) * n_hidden] for k in range(3))
        slope_new, slope_z = (1 - z) * (1 - new * new), (before - new) * z * (1 - z)
        slope_r = recurrent * r * (1 - r)
        gh = gh.copy()
        g_x, g_h = xp.empty_like(gates), xp.empty_like(gates)
        for rows, n in reversed(steps(ctx.sizes, ctx.reverse)):
            state = gh[:n]
            state += gy[rows]
            inputs, own = g_x[rows], g_h[rows]
            g_new = inputs[:, 2 * n_hidden :]
            xp.multiply(state, slope_new[rows], out=g_new)
            xp.multiply(g_new, slope_r[rows], out=inputs[:, :n_hidden])
            xp.multiply(state, slope_z[rows], out=inputs[:, n_hidden : 2 * n_hidden])
            own[:, : 2 * n_hidden] = inputs[:, : 2 * n_hidden]
            xp.multiply(g_new, r[rows], out=own[:, 2 * n_hidden :])
            state *= z[rows]
            state += own @ w_hh
        gx, gw_ih, gb_ih = from_gates(g_x, x, w_ih)
        gb_hh = g_h.sum(0)
        return (
            *(gx, gh, gw_ih, g_h.T @ before),
            *(None if b_ih is None else gb_ih, None if b_hh is None else gb_hh),
        )

    def composed(ctx, *inputs: Any) -> Any:
        x, h, *parameters = inputs
        outputs = []
        for rows, n in steps(ctx.sizes, ctx.reverse):
            state = gru_cell_step(x[rows], h[:n], *parameters)
            outputs.append(state)
            h = cat([state, h[n:]])
        return concatenated(outputs, ctx.reverse, cat), h


def gru_cell_step(
    x: Tensor, h: Tensor, w_ih: Tensor, w_hh: Tensor, b_ih: Tensor | None, b_hh: Tensor | None
) -> Tensor:
    """One step from single operators: x (N, I), h (N, H) -> the next h."""
    r, z, new = linear(x, w_ih, b_ih).chunk(3, 1)
    own_r, own_z, own_new = linear(h, w_hh, b_hh).chunk(3, 1)
    new = tanh(new + sigmoid(r + own_r) * own_new)
    return (h - new) * sigmoid(z + own_z) + new
