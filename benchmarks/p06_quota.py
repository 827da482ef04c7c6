"""P6: quota decisions per second of CPU, exact in fixed windows."""

import sys
import time
from decimal import Decimal

from benchmarks.measure import Options, Result, Sample, alternate, at_least, at_most, child, medians, peer, tell, unknown
from tradekit.domain.sessions import SessionState, TradingSession
from tradekit.domain.tiers import DEFAULT_TIERS, TierName
from tradekit.domain.usage import day_at
from tradekit.domain.users import User
from tradekit.services.quotas import admit_call

ROW, TITLE = "P6", "Quota decisions per second"
USERS = 1_000
NOW_MS = 1_750_000_000_000


def run(options: Options) -> Result:
    decisions = options.size(500_000, 5_000)
    contestants = {
        "tradekit": lambda: child("benchmarks.p06_quota", "tradekit", decisions),
        "plain dictionary": lambda: child("benchmarks.p06_quota", "plain", decisions),
    }
    if options.peers:
        contestants["limits"] = lambda: child(peer("limits_quota.py"), decisions, USERS, python=options.peers)
    rounds = alternate(contestants, options)
    median = medians(rounds)
    goal = ">= 5x limits"
    verdicts = [
        at_least(goal, median["tradekit"]["per_s"] / median["limits"]["per_s"], 5, "x") if "limits" in median else unknown(goal, "x"),
        at_most("exact: no call too many or too few is admitted", median["tradekit"]["wrong"], 0, "wrong"),
    ]
    return Result(
        row=ROW,
        title=TITLE,
        figures=median,
        rounds=rounds,
        units={"per_s": "decisions per second of CPU", "wrong": "decisions that were not exact"},
        verdicts=verdicts,
        notes=[
            f"{USERS} users in turn; ours counts the call in the session, which is replaced whole as always, and rolls the day.",
            "The plain dictionary counts in a tuple per user and checks nothing else: the limit.",
        ],
        quick=options.quick,
    )


class Now:
    """As much of a context as a quota looks at."""

    tiers = DEFAULT_TIERS

    def __init__(self, now_ms: int) -> None:
        self.now_ms = now_ms

    def limits(self, state: SessionState) -> object:
        return self.tiers[state.user.tier].limits  # type: ignore[union-attr]

    def equity(self, state: SessionState) -> Decimal:
        return state.session.cash


def session(user_id: int) -> SessionState:
    user = User(user_id=user_id, partition=0, tier=TierName.ENTERPRISE, created_ms=NOW_MS, disclosure_ms=NOW_MS, audit_subject="s")
    return SessionState(user_id=user_id, partition=0, user=user, session=TradingSession(cash=Decimal(1)), usage=(day_at(NOW_MS, "UTC"),))


def ours(decisions: int) -> Sample:
    states = [session(user_id) for user_id in range(USERS)]
    per_minute = DEFAULT_TIERS[TierName.ENTERPRISE].limits.api_calls_per_minute
    turns = decisions // USERS
    minutes = [Now(NOW_MS + turn // per_minute * 60_000) for turn in range(turns)]
    started = time.process_time()
    for now in minutes:
        for at in range(USERS):
            states[at], _ = admit_call(states[at], now)  # type: ignore[arg-type]
    took = time.process_time() - started
    return {"per_s": turns * USERS / took, "wrong": float(_wrong(per_minute))}


def _wrong(per_minute: int) -> int:
    """In each of three minutes twice the limit is asked for; exactly the limit must be admitted."""
    state, wrong = session(1), 0
    for minute in range(3):
        admitted = 0
        for _ in range(2 * per_minute):
            state, denial = admit_call(state, Now(NOW_MS + minute * 60_000))  # type: ignore[arg-type]
            admitted += denial is None
        wrong += abs(admitted - per_minute)
    return wrong


def plain(decisions: int) -> Sample:
    counts: dict[int, tuple[int, int]] = dict.fromkeys(range(USERS), (0, 0))
    minute = NOW_MS // 60_000
    started = time.process_time()
    for number in range(decisions):
        user_id = number % USERS
        window, calls = counts[user_id]
        calls = calls + 1 if window == minute else 1
        if calls <= 1_000_000:
            counts[user_id] = (minute, calls)
    return {"per_s": decisions / (time.process_time() - started), "wrong": 0.0}


if __name__ == "__main__":
    tell(**(ours if sys.argv[1] == "tradekit" else plain)(int(sys.argv[2])))
