"""One direction of one LSTM layer as one node.

Gates are in PyTorch's order: input, forget, cell, output. The sigmoids are computed as
``tanh(z / 2) / 2 + 1 / 2``, so that a step needs a single call of tanh for all gates.
"""

from __future__ import annotations

from functools import partial
from typing import Any

from disttorch.ops.composed import Composed
from disttorch.ops.join import cat
from disttorch.ops.matmul import linear
from disttorch.ops.pointwise_special import sigmoid
from disttorch.ops.pointwise_trig import tanh
from disttorch.ops.recurrent_steps import Sizes, concatenated, from_gates, projected, steps
from disttorch.tensor import Tensor

Array = Any


class LstmLayer(Composed):
    """x (rows, I), h (N, P), c (N, H), weights and biases -> outputs (rows, P), last h, last c.

    `w_hr` (P, H) projects the outputs, P is H without it. Biases may be None.
    """

    torch_name = "MkldnnRnnLayerBackward0"

    def forward(
        ctx,
        x: Array,
        h: Array,
        c: Array,
        w_ih: Array,
        w_hh: Array,
        b_ih: Array | None,
        b_hh: Array | None,
        w_hr: Array | None,
        sizes: Sizes,
        reverse: bool,
    ) -> tuple[Array, Array, Array]:
        ctx.save(*range(8))
        xp, n_hidden = ctx.xp, w_ih.shape[0] // 4
        ctx.sizes, ctx.reverse = sizes, reverse
        gates = projected(x, w_ih, b_ih)
        if b_hh is not None:
            gates += b_hh
        slope, shift = _sigmoid_as_tanh(xp, gates, n_hidden)
        gates *= slope
        w = w_hh.T * slope
        h, c = h.copy(), c.copy()
        n_rows, dtype = x.shape[0], x.dtype
        y = xp.empty((n_rows, h.shape[1]), dtype)
        before, cells, squashed = (
            xp.empty((n_rows, k), dtype) for k in (h.shape[1], n_hidden, n_hidden)
        )
        last = xp.empty((n_rows, n_hidden), dtype) if w_hr is not None else y
        step = ctx.backend.recurrent_kernel("lstm", gates, len(sizes))
        step = step or partial(_step, xp, slope, shift)
        for rows, n in steps(sizes, reverse):
            z, state, cell = gates[rows], h[:n], c[:n]
            before[rows] = state
            cells[rows] = cell
            z += state @ w
            step(z, cell, squashed[rows], last[rows])
            if w_hr is not None:
                xp.matmul(last[rows], w_hr.T, out=y[rows])
            state[...] = y[rows]
        ctx.kept = gates, before, cells, squashed, last
        return y, h, c

    def gradients(ctx, gy: Array, gh: Array, gc: Array) -> Any:
        x, _, _, w_ih, w_hh, b_ih, b_hh, w_hr = ctx.saved
        gates, before, cells, squashed, last = ctx.kept
        xp, n_hidden = ctx.xp, w_ih.shape[0] // 4
        kernel = ctx.backend.recurrent_kernel("lstm_backward", gates, len(ctx.sizes))
        if kernel is None:
            slopes, through_o = _gate_slopes(xp, gates, cells, squashed)
        forget = gates[:, n_hidden : 2 * n_hidden]
        gh, gc = gh.copy(), gc.copy()
        g_gates = xp.empty_like(gates)
        g_out = xp.empty((x.shape[0], gh.shape[1]), gy.dtype) if w_hr is not None else None
        for rows, n in reversed(steps(ctx.sizes, ctx.reverse)):
            state = gh[:n] + gy[rows]
            if g_out is not None:
                g_out[rows] = state
                state = state @ w_hr
            cell, z = gc[:n], g_gates[rows]
            if kernel is not None:
                kernel(gates[rows], cells[rows], squashed[rows], state, cell, z)
            else:
                cell += state * through_o[rows]
                a, by_gate = slopes[rows], z.reshape(n, 4, n_hidden)
                xp.multiply(a[:, :3], cell[:, None], out=by_gate[:, :3])
                xp.multiply(a[:, 3], state, out=by_gate[:, 3])
                cell *= forget[rows]
            gh[:n] = z @ w_hh
        gx, gw_ih, gb = from_gates(g_gates, x, w_ih)
        gw_hr = None if g_out is None else g_out.T @ last
        return (
            *(gx, gh, gc, gw_ih, g_gates.T @ before),
            *(None if b is None else gb for b in (b_ih, b_hh)),
            gw_hr,
        )

    def composed(ctx, *inputs: Any) -> Any:
        x, h, c, w_ih, w_hh, b_ih, b_hh, w_hr = inputs
        outputs = []
        for rows, n in steps(ctx.sizes, ctx.reverse):
            state, cell = lstm_cell_step(x[rows], h[:n], c[:n], w_ih, w_hh, b_ih, b_hh)
            if w_hr is not None:
                state = linear(state, w_hr)
            outputs.append(state)
            h, c = cat([state, h[n:]]), cat([cell, c[n:]])
        return concatenated(outputs, ctx.reverse, cat), h, c


def _step(
    xp: Any, slope: Array, shift: Array, z: Array, cell: Array, squashed: Array, last: Array
) -> None:
    """Turn one step's sums `z` (n, 4H) into gates; write cell, its tanh and output, (n, H)."""
    n_hidden = cell.shape[1]
    i, f, g, o = (z[:, k * n_hidden : (k + 1) * n_hidden] for k in range(4))
    xp.tanh(z, out=z)
    z *= slope
    z += shift
    cell *= f
    cell += i * g
    xp.tanh(cell, out=squashed)
    xp.multiply(o, squashed, out=last)


def _sigmoid_as_tanh(xp: Any, gates: Array, n_hidden: int) -> tuple[Array, Array]:
    """Factor and shift that make tanh the activation of each gate."""
    slope, shift = (xp.full(4 * n_hidden, 0.5, gates.dtype) for _ in range(2))
    slope[2 * n_hidden : 3 * n_hidden] = 1
    shift[2 * n_hidden : 3 * n_hidden] = 0
    return slope, shift


def _gate_slopes(xp: Any, gates: Array, cells: Array, squashed: Array) -> tuple[Array, Array]:
    """Derivatives of cell and output by the gates, (rows, 4, H), and of the output by the cell."""
    by_gate = gates.reshape(gates.shape[0], 4, cells.shape[1])
    i, g, o = (by_gate[:, k] for k in (0, 2, 3))
    slopes = by_gate * (1 - by_gate)
    slopes[:, 0] *= g
    slopes[:, 1] *= cells
    slopes[:, 2] = i * (1 - g * g)
    slopes[:, 3] *= squashed
    return slopes, o * (1 - squashed * squashed)


def lstm_cell_step(
    x: Tensor,
    h: Tensor,
    c: Tensor,
    w_ih: Tensor,
    w_hh: Tensor,
    b_ih: Tensor | None,
    b_hh: Tensor | None,
) -> tuple[Tensor, Tensor]:
    """One step from single operators: x (N, I), h and c (N, H) -> the next h and c."""
    gates = linear(x, w_ih, b_ih) + linear(h, w_hh, b_hh)
    i, f, g, o = gates.chunk(4, 1)
    c = sigmoid(f) * c + sigmoid(i) * tanh(g)
    return sigmoid(o) * tanh(c), c
