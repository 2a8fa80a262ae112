"""A line search for a point with sufficient decrease and small slope (strong Wolfe conditions)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from disttorch.tensor import Tensor

Evaluate = Callable[[Any], tuple[float, Tensor]]

_DECREASE = 1e-4  # part of the decrease that the slope promises
_FLATTER = 0.9  # part of the slope that may be left
_CLOSE = 0.1  # distance from the bracket's ends, in lengths of it


class Point(NamedTuple):
    """A step length with the loss, the gradient and the slope there."""

    t: Any
    loss: float
    grad: Tensor
    slope: Any


def cubic_minimum(a: Point, b: Point, low: Any, high: Any) -> Any:
    """Minimum of the cubic with the losses and slopes of two points, within [low, high]."""
    d1 = a.slope + b.slope - 3 * (a.loss - b.loss) / (a.t - b.t)
    square = d1**2 - a.slope * b.slope
    if not square >= 0:
        return (low + high) / 2.0
    d2 = square.sqrt()
    first, last = (a, b) if a.t <= b.t else (b, a)
    part = (last.slope + d2 - d1) / (last.slope - first.slope + 2 * d2)
    return min(max(last.t - (last.t - first.t) * part, low), high)


def strong_wolfe(
    evaluate: Evaluate, start: Point, t: Any, d: Tensor, tolerance: float, max_evaluations: int
) -> tuple[float, Tensor, Any, int]:
    """Search along `d`, first at step `t`.

    `start` is the point with step 0. Returns loss, gradient and step found, and the number of
    evaluations.
    """
    search = _Search(evaluate, start, d, max_evaluations)
    bracket, found = search.bracket(t)
    if not found:
        bracket = search.zoom(bracket, tolerance)
    best = min(bracket, key=lambda point: point.loss)
    return best.loss, best.grad, best.t, search.n_evaluations


class _Search:
    """One search: how often the loss may be, and was, evaluated."""

    def __init__(self, evaluate: Evaluate, start: Point, d: Tensor, limit: int) -> None:
        self.evaluate, self.start, self.d, self.limit = evaluate, start, d, limit
        self.n_evaluations = 0
        self.n_rounds = 0

    def at(self, t: Any) -> Point:
        loss, grad = self.evaluate(t)
        self.n_evaluations += 1
        return Point(t, loss, grad.clone(), grad.dot(self.d))

    def too_high(self, point: Point) -> bool:
        return bool(point.loss > self.start.loss + _DECREASE * point.t * self.start.slope)

    def flat(self, point: Point) -> bool:
        return bool(abs(point.slope) <= -_FLATTER * self.start.slope)

    def bracket(self, t: Any) -> tuple[list[Point], bool]:
        """Points around an acceptable one, or that point alone and True."""
        before = self.start._replace(t=0)
        point = self.at(t)
        while self.n_rounds < self.limit:
            if self.too_high(point) or (self.n_rounds > 1 and point.loss >= before.loss):
                return [before, point], False
            if self.flat(point):
                return [point], True
            if point.slope >= 0:
                return [before, point], False
            low = point.t + 0.01 * (point.t - before.t)
            next_t = cubic_minimum(before, point, low, point.t * 10)
            before, point = point, self.at(next_t)
            self.n_rounds += 1
        return [self.start._replace(t=0), point], False

    def zoom(self, bracket: list[Point], tolerance: float) -> list[Point]:
        """Narrow the bracket until a point in it is acceptable or there is no room left."""
        low, high = sorted((0, 1), key=lambda k: bracket[k].loss)
        stuck = False
        d_norm = self.d.abs().max()
        while self.n_rounds < self.limit:
            a, b = bracket
            if abs(b.t - a.t) * d_norm < tolerance:
                break
            t = cubic_minimum(a, b, min(a.t, b.t), max(a.t, b.t))
            t, stuck = _away_from_ends(t, a.t, b.t, stuck)
            point = self.at(t)
            self.n_rounds += 1
            if self.too_high(point) or point.loss >= bracket[low].loss:
                bracket[high] = point
                low, high = (0, 1) if bracket[0].loss <= bracket[1].loss else (1, 0)
                continue
            done = self.flat(point)
            if not done and point.slope * (bracket[high].t - bracket[low].t) >= 0:
                bracket[high] = bracket[low]
            bracket[low] = point
            if done:
                break
        return [bracket[low]]


def _away_from_ends(t: Any, a: Any, b: Any, stuck: bool) -> tuple[Any, bool]:
    """Move a trial step that lies at an end, or near one for the second time, into the bracket."""
    low, high = min(a, b), max(a, b)
    margin = _CLOSE * (high - low)
    if not min(high - t, t - low) < margin:
        return t, False
    if not (stuck or t >= high or t <= low):
        return t, True
    return (high - margin if abs(t - high) < abs(t - low) else low + margin), False
