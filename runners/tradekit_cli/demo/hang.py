"""Whether others noticed that one user's calls hung."""

import msgspec

from tradekit.testing.bot_api.load_plan import LoadReport
from tradekit_cli.demo.evidence import Evidence
from tradekit_cli.demo.loopback import ACCOUNT

SETTING_OUT = frozenset({"setup", "start", "subscribe"})
"""What people do before the measured time."""
SLICES = 3
RATIO_MIN = 1.5
TOLERATED_MS = 10.0
SAMPLES_MIN = 20
RULE = (
    f"unmoved: p95_during is at most max({RATIO_MIN:g}, noise_ratio) times p95_before, or at most {TOLERATED_MS:g} ms more; "
    f"noise_ratio is the largest p95 of {SLICES} equal parts of the time before over the smallest; "
    f"null with fewer than {SAMPLES_MIN} samples on either side"
)

Sample = tuple[int, float]
"""When it began, Unix milliseconds, and how many milliseconds it took."""


class Moved(msgspec.Struct, frozen=True, kw_only=True):
    """A 95th percentile before and while somebody else's calls hang; None without samples."""

    p95_before_ms: float | None
    p95_during_ms: float | None
    ratio: float | None
    noise_ratio: float | None
    samples_before: int
    samples_during: int
    unmoved: bool | None


class Hang(Moved, frozen=True, kw_only=True):
    """Of the replies to everybody else."""

    user: int
    """The chat whose venue calls hung."""
    calls: int
    """How many."""
    seconds: float
    orders: Moved
    """The same of everybody else's orders at the venue: from the commit of the order to that of its first fill, lost answers included."""
    rule: str = RULE


def measure(*, user: int, calls: int, from_ms: int, to_ms: int, load: LoadReport, evidence: Evidence) -> Hang:
    """Compare the time from the load's begin to the hang with the time of the hang."""
    rows = [row for row in load.rows if row.chat_id != user and row.intent not in SETTING_OUT]
    began_ms = min((row.sent_ms for row in load.rows), default=from_ms)
    replies = [(row.sent_ms, row.latency_ms) for row in rows if row.latency_ms is not None]
    spans = (began_ms, from_ms, to_ms)
    return Hang(
        **msgspec.structs.asdict(compare(replies, *spans)),
        user=user,
        calls=calls,
        seconds=round((to_ms - from_ms) / 1000, 1),
        orders=compare(_orders(evidence, user), *spans),
    )


def _orders(evidence: Evidence, user: int) -> list[Sample]:
    first_ms: dict[str, int] = {}
    for (order_id, _), time_ms in evidence.journal.fill_ms.items():
        first_ms[order_id] = min(time_ms, first_ms.get(order_id, time_ms))
    rows = evidence.database.rows(
        "SELECT o.client_order_id, o.created_ms, i.external_id FROM orders o JOIN identities i USING (user_id)"  # noqa: S608 - ours
        f" WHERE i.transport = 'telegram' AND o.account = '{ACCOUNT}'"
    )
    return [
        (created_ms, float(first_ms[order_id] - created_ms))
        for order_id, created_ms, chat_id in rows
        if chat_id != str(user) and order_id in first_ms
    ]


def compare(samples: list[Sample], began_ms: int, from_ms: int, to_ms: int) -> Moved:
    """See :data:`RULE`."""
    before = [sample for sample in samples if began_ms <= sample[0] < from_ms]
    during = [took_ms for at_ms, took_ms in samples if from_ms <= at_ms < to_ms]
    step_ms = max(1, from_ms - began_ms) / SLICES
    slices: list[list[float]] = [[] for _ in range(SLICES)]
    for at_ms, took_ms in before:
        slices[min(SLICES - 1, int((at_ms - began_ms) / step_ms))].append(took_ms)
    first, then = p95([took_ms for _, took_ms in before]), p95(during)
    each = [value for part in slices if (value := p95(part)) is not None]
    noise = _ratio(max(each), min(each)) if len(each) == SLICES else None
    return Moved(
        p95_before_ms=first,
        p95_during_ms=then,
        ratio=_ratio(then, first),
        noise_ratio=noise,
        samples_before=len(before),
        samples_during=len(during),
        unmoved=_is_unmoved(first, then, noise) if min(len(before), len(during)) >= SAMPLES_MIN else None,
    )


def p95(samples: list[float]) -> float | None:
    """By the nearest rank; None without samples."""
    return round(sorted(samples)[-(-len(samples) * 95 // 100) - 1], 3) if samples else None


def _ratio(value: float | None, base: float | None) -> float | None:
    return round(value / base, 2) if value is not None and base else None


def _is_unmoved(before: float | None, during: float | None, noise: float | None) -> bool | None:
    if before is None or during is None:
        return None
    return during <= before * max(RATIO_MIN, noise or 0.0) or during <= before + TOLERATED_MS
