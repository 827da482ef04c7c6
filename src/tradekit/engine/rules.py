"""Which rules run: each that at least one of its owners follows, once for all of them."""

import logging

from tradekit.domain.errors import TradekitError
from tradekit.domain.health import Finding, HealthStatus
from tradekit.domain.instruments import Symbol
from tradekit.domain.rules import rule_source
from tradekit.domain.sessions import SessionState
from tradekit.engine.strategies import StrategyRunner
from tradekit.ports.storage import Reader
from tradekit.strategies.rule import RuleStrategy, rule_strategy

log = logging.getLogger(__name__)

USERS_PAGE = 1000

_Wish = frozenset[Symbol] | None
"""Instruments an owner follows a rule for; None is all."""


class RuleBoard:
    """Keeps the runner's rules as the users' sessions say."""

    def __init__(self, *, runner: StrategyRunner, reader: Reader) -> None:
        self._runner, self._reader = runner, reader
        self._by_user: dict[int, dict[str, _Wish]] = {}
        self._by_source: dict[str, dict[int, _Wish]] = {}
        self._strategies: dict[str, RuleStrategy] = {}
        self.problems: dict[str, str] = {}
        """Rules that are followed and cannot run, and why."""

    async def load(self) -> None:
        """Take up every rule that is stored."""
        owners = sorted({user_id for user_id, _ in await self._reader.rules()})
        for start in range(0, len(owners), USERS_PAGE):
            for state in (await self._reader.sessions(owners[start : start + USERS_PAGE])).values():
                self.refresh(state)
        if owners:
            log.info("rules: %s of %s users run, %s cannot", len(self._strategies), len(owners), len(self.problems))

    def refresh(self, state: SessionState) -> None:
        """Keep up with one user: their rules, and which of them they follow for what."""
        before = self._by_user.get(state.user_id, {})
        if not state.rules and not before:
            return
        followed = {wish.source: frozenset(wish.symbols) or None for wish in state.subscriptions}
        texts = {rule_source(rule.text): rule.text for rule in state.rules}
        now = {source: followed[source] for source in texts if source in followed}
        if now == before:
            return
        if now:
            self._by_user[state.user_id] = now
        else:
            del self._by_user[state.user_id]
        for source in before.keys() | now.keys():
            owners = self._by_source.setdefault(source, {})
            if source in now:
                owners[state.user_id] = now[source]
            else:
                owners.pop(state.user_id, None)
            self._settle(source, texts.get(source, ""))

    def _settle(self, source: str, text: str) -> None:
        """Start, change or stop a rule as its owners now wish."""
        owners = self._by_source[source]
        if not owners:
            del self._by_source[source]
            self._strategies.pop(source, None)
            self.problems.pop(source, None)
            self._runner.dismiss(source)
            return
        strategy = self._strategies.get(source)
        if strategy is None:
            try:
                strategy = rule_strategy(text, self._runner.indicators)
            except TradekitError as error:
                # Stored by a release that understood it, or with a library that is gone: the owners' other rules go on.
                log.error("rule %s cannot run: %s: %s", source, text, error)
                self.problems[source] = str(error)
                return
            self._strategies[source] = strategy
            self.problems.pop(source, None)
        self._runner.assign(strategy, _together(strategy, list(owners.values())))

    async def check(self) -> Finding:
        """How the strategies and rules are, for the service's health."""
        runner = self._runner
        strategies, rules = runner.running
        detail = f"{strategies} strategies and {rules} rules run"
        wrong = [f"{name} fails: {problem}" for name, problem in runner.failing.items()]
        wrong += [f"{source} cannot run: {problem}" for source, problem in self.problems.items()]
        if runner.given_up:
            wrong.append(f"{runner.given_up} signals found no place")
        if not wrong:
            return Finding(status=HealthStatus.HEALTHY, detail=detail)
        more = f" and {len(wrong) - 3} more" if len(wrong) > 3 else ""
        return Finding(status=HealthStatus.DEGRADED, detail=f"{detail}; {'; '.join(wrong[:3])}{more}")


def _together(strategy: RuleStrategy, wishes: list[_Wish]) -> _Wish:
    """The instruments that any owner follows the rule for, of those it speaks of."""
    named = frozenset(strategy.rule.symbols) or None
    wished: set[Symbol] = set()
    for wish in wishes:
        if wish is None:
            return named
        wished |= wish
    return frozenset(wished if named is None else wished & named)
