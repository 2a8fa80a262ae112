"""Connectionist temporal classification: the probability of all alignments of a label sequence.

Forward and backward variables are computed for the whole batch at once, a step in time at a time.
A label sequence is extended by blanks: before, between and after its labels.
"""

from __future__ import annotations

import math
from typing import Any

from disttorch.autograd.op import Op

Array = Any


class CtcLoss(Op):
    """-log probability of each label sequence: log_probs (T, N, C), labels (N, S) -> (N,).

    `log_probs` are logarithms of probabilities that add up to 1, as log_softmax makes them, and
    the gradient takes that for granted. Infinite losses count as 0 if `zero_infinity`.
    """

    def forward(
        ctx,
        log_probs: Array,
        labels: Array,
        n_steps: tuple[int, ...],
        n_labels: tuple[int, ...],
        blank: int,
        zero_infinity: bool,
    ) -> Array:
        ctx.save(0)
        xp = ctx.xp
        ctx.lattice = _Lattice(ctx.backend, log_probs, labels, n_steps, n_labels, blank)
        ctx.alpha = ctx.lattice.forward()
        loss = ctx.lattice.loss(ctx.alpha)
        ctx.loss, ctx.zero_infinity = loss, zero_infinity
        return xp.where(loss == math.inf, xp.zeros_like(loss), loss) if zero_infinity else loss

    def backward(ctx, g: Any) -> Any:
        (log_probs,) = ctx.saved
        return ctx.call(CtcLossGrad, g, log_probs, of=ctx), None


class CtcLossGrad(Op):
    """The gradient of `of`, a `CtcLoss`, by the log probabilities; PyTorch has no second one."""

    def forward(ctx, g: Array, log_probs: Array, of: CtcLoss) -> Array:
        xp, lattice = ctx.xp, of.lattice
        log_counts = of.alpha + lattice.backward()
        share = lattice.by_class(log_counts)
        gx = xp.exp(log_probs) - xp.exp(share + of.loss[:, None] - log_probs)
        gx *= g[:, None]
        wanted = lattice.running[:, :, None]
        if of.zero_infinity:
            wanted = wanted & (of.loss != math.inf)[:, None]
        return xp.where(wanted, gx, gx.dtype.type(0))

    def backward(ctx, g: Any) -> Any:
        raise RuntimeError("derivative for aten::_ctc_loss_backward is not implemented")


class _Lattice:
    """The states (N, 2 S + 1) of a batch and which of them follow one another."""

    def __init__(
        self,
        backend: Any,
        log_probs: Array,
        labels: Array,
        n_steps: tuple[int, ...],
        n_labels: tuple[int, ...],
        blank: int,
    ) -> None:
        xp = self.xp = backend.xp
        self.backend = backend
        self.log_probs = log_probs
        n, longest = labels.shape
        states = xp.full((n, 2 * longest + 1), blank, "int64")
        states[:, 1::2] = labels
        self.states = states
        # A step over the blank between two labels, unless these are alike.
        self.skips = xp.zeros(states.shape, "bool")
        self.skips[:, 2:] = (states[:, 2:] != blank) & (states[:, 2:] != states[:, :-2])
        steps, counts = backend.asarray(n_steps, "int64"), backend.asarray(n_labels, "int64")
        self.last_step = steps - 1
        self.last_state = 2 * counts
        n_all = log_probs.shape[0]
        self.running = xp.arange(n_all)[:, None] < steps
        self.exists = xp.arange(states.shape[1]) <= self.last_state[:, None]
        spread = xp.broadcast_to(states, (n_all, *states.shape))
        self.emitted = xp.take_along_axis(log_probs, spread, 2)

    def _impossible(self) -> Array:
        return self.xp.full(self.states.shape, -math.inf, self.log_probs.dtype)

    def forward(self) -> Array:
        """Log probability of all beginnings that are in a state at a step: (T, N, 2 S + 1)."""
        xp, alpha = self.xp, self.xp.empty_like(self.emitted)
        if not len(alpha):
            return alpha
        alpha[0] = -math.inf
        alpha[0, :, :2] = self.emitted[0, :, :2]
        alpha[0] = xp.where(self.exists, alpha[0], alpha[0].dtype.type(-math.inf))
        for t in range(1, len(alpha)):
            before = alpha[t - 1]
            alpha[t] = before
            alpha[t, :, 1:] = xp.logaddexp(before[:, 1:], before[:, :-1])
            skipped = self._impossible()
            skipped[:, 2:] = xp.where(
                self.skips[:, 2:], before[:, :-2], before.dtype.type(-math.inf)
            )
            alpha[t] = xp.logaddexp(alpha[t], skipped) + self.emitted[t]
            alpha[t] = xp.where(self.exists, alpha[t], before.dtype.type(-math.inf))
        return alpha

    def loss(self, alpha: Array) -> Array:
        """-log probability of the ends: the last label or the blank after it."""
        xp, n = self.xp, self.states.shape[0]
        if not len(alpha):
            none_left = xp.where(self.last_state == 0, 0.0, math.inf)
            return none_left.astype(alpha.dtype)
        rows = xp.arange(n)
        ends = alpha[xp.maximum(self.last_step, 0), rows]
        at_blank = ends[rows, self.last_state]
        at_label = ends[rows, xp.maximum(self.last_state - 1, 0)]
        lone = at_label.dtype.type(-math.inf)
        loss = -xp.logaddexp(at_blank, xp.where(self.last_state > 0, at_label, lone))
        without = xp.where(self.last_state == 0, loss.dtype.type(0), loss.dtype.type(math.inf))
        return xp.where(self.last_step < 0, without, loss)

    def backward(self) -> Array:
        """Log probability of all ends that start in a state at a step, it included."""
        xp, beta = self.xp, self.xp.full(self.emitted.shape, -math.inf, self.emitted.dtype)
        numbers = xp.arange(self.states.shape[1])
        final = (numbers == self.last_state[:, None]) | (numbers == self.last_state[:, None] - 1)
        none = beta.dtype.type(-math.inf)
        for t in range(len(beta) - 1, -1, -1):
            going = self._impossible()
            if t + 1 < len(beta):
                after = beta[t + 1]
                going = after.copy()
                going[:, :-1] = xp.logaddexp(after[:, :-1], after[:, 1:])
                skipped = self._impossible()
                skipped[:, :-2] = xp.where(self.skips[:, 2:], after[:, 2:], none)
                going = xp.logaddexp(going, skipped)
            ends = (self.last_step == t)[:, None]
            start = xp.where(final, beta.dtype.type(0), none)
            beta[t] = xp.where(ends, start, going) + self.emitted[t]
            beta[t] = xp.where(self.exists, beta[t], none)
        return beta

    def by_class(self, log_counts: Array) -> Array:
        """Add up exp of the states' values of each class, in logarithms: (T, N, C)."""
        xp = self.xp
        top = log_counts.max(2, keepdims=True)
        top = xp.where(top == -math.inf, top.dtype.type(0), top)
        n_all, n, _ = log_counts.shape
        total = xp.zeros(self.log_probs.shape, log_counts.dtype)
        index = (
            xp.broadcast_to(xp.arange(n_all)[:, None, None], log_counts.shape),
            xp.broadcast_to(xp.arange(n)[:, None], log_counts.shape),
            xp.broadcast_to(self.states, log_counts.shape),
        )
        self.backend.scatter_add(total, index, xp.exp(log_counts - top))
        return xp.log(total) + top
