"""Line charts as coordinates for an SVG of 600 by 100, drawn without a library."""

from collections.abc import Sequence

import msgspec

Point = tuple[int, float]
"""(time in ms, value)."""

WIDTH = 600.0
HEIGHT = 100.0
_MARGIN = 4.0
POINTS_MAX = 240


class Chart(msgspec.Struct, frozen=True, kw_only=True):
    """Ready to be drawn."""

    line: str
    """For ``points`` of a polyline."""
    area: str
    """For ``points`` of the polygon under the line."""
    data: str
    """``time,value`` pairs separated by blanks, for the pointer's tooltip."""
    low: float
    high: float
    first_ms: int
    last_ms: int
    target_y: float | None = None
    """Where the target's line goes; None without one or when it is outside."""


def thinned(points: Sequence[Point], points_max: int = POINTS_MAX) -> list[Point]:
    """At most ``points_max`` points with the same extremes: the lowest and the highest of each stretch stay."""
    if len(points) <= points_max:
        return list(points)
    kept: list[Point] = []
    stretches = points_max // 2 - 1
    body = points[1:-1]
    for index in range(stretches):
        stretch = body[index * len(body) // stretches : (index + 1) * len(body) // stretches]
        kept += sorted({min(stretch, key=lambda point: point[1]), max(stretch, key=lambda point: point[1])})
    return [points[0], *kept, points[-1]]


def chart(points: Sequence[Point], *, from_zero: bool = False, at_least: float = 0.0, target: float | None = None) -> Chart | None:
    """A chart of two or more points; None of fewer. With ``from_zero`` the scale reaches from 0 to ``at_least`` or more."""
    if len(points) < 2:
        return None
    kept = thinned(points)
    low = min(value for _, value in kept)
    high = max(value for _, value in kept)
    if from_zero:
        low, high = 0.0, max(high, at_least, 1e-9)
    first_ms, last_ms = kept[0][0], kept[-1][0]
    span_ms, span = max(1, last_ms - first_ms), high - low

    def y_of(value: float) -> float:
        share = (value - low) / span if span else 0.5
        return round(HEIGHT - _MARGIN - share * (HEIGHT - 2 * _MARGIN), 1)

    line = " ".join(f"{(time_ms - first_ms) / span_ms * WIDTH:.1f},{y_of(value)}" for time_ms, value in kept)
    return Chart(
        line=line,
        area=f"0,{HEIGHT:.0f} {line} {WIDTH:.0f},{HEIGHT:.0f}",
        data=" ".join(f"{time_ms},{value:.10g}" for time_ms, value in kept),
        low=low,
        high=high,
        first_ms=first_ms,
        last_ms=last_ms,
        target_y=y_of(target) if target is not None and low <= target <= high else None,
    )
