"""What the operator allows, in force from the next decision on; a halt also takes resting entries back."""

import logging
from collections.abc import Callable, Iterable

import anyio
import msgspec

from tradekit.domain.controls import Control, Controls, GlobalState
from tradekit.domain.errors import Busy, TradekitError
from tradekit.domain.inbox import LaneClass
from tradekit.domain.risk import TradingPolicy
from tradekit.engine.lanes import Envelope
from tradekit.engine.telemetry import Telemetry
from tradekit.ports.clock import Clock
from tradekit.ports.storage import Reader
from tradekit.services.controls import cancel_entries

log = logging.getLogger(__name__)

PAGE = 200
RETRY_S = 0.5


class ControlBoard:
    """Holds the controls and the policy that decisions see."""

    def __init__(
        self, *, policy: TradingPolicy, reader: Reader, clock: Clock, telemetry: Telemetry, post: Callable[[Envelope], None]
    ) -> None:
        self._reader, self._clock, self._telemetry, self._post = reader, clock, telemetry, post
        self.policy = policy
        self._sweep = anyio.Event()

    @property
    def controls(self) -> Controls:
        """By scope, those in force."""
        return self.policy.controls

    async def load(self) -> None:
        """Take up what was set before the start."""
        self.note(await self._reader.controls())

    def note(self, changed: Iterable[Control]) -> None:
        """Committed controls."""
        known = dict(self.policy.controls)
        for control in changed:
            if control.state is GlobalState.NORMAL:
                known.pop(control.scope, None)
            else:
                known[control.scope] = control
            if control.state is GlobalState.HALTED:
                self._sweep.set()
            log.warning("trading %s for %s (%s)", control.state, control.scope, control.reason or "no reason given")
        self.policy = msgspec.structs.replace(self.policy, controls=known)

    async def run(self) -> None:
        """Take back resting entries after each halt, until cancelled. What a crash cut off is done by the next start."""
        while True:
            await self._sweep.wait()
            self._sweep = anyio.Event()
            try:
                await self._sweep_once()
            except TradekitError as error:
                # The storage does not answer, or the service is stopping: then the next start does it.
                log.warning("resting entries are not taken back yet: %s", error)
                await anyio.sleep(RETRY_S)
                self._sweep.set()

    async def _sweep_once(self) -> None:
        users = await self._reader.users_with_open_orders()
        for number, user_id in enumerate(users):
            await self._offer(user_id)
            if number % PAGE == PAGE - 1:
                await anyio.sleep(RETRY_S)

    async def _offer(self, user_id: int) -> None:
        while True:
            try:
                self._post(
                    Envelope(
                        user_id=user_id,
                        lane_class=LaneClass.CONTROL,
                        handler=cancel_entries,
                        cause=f"halt/{user_id}",
                        posted_s=self._clock.monotonic(),
                    )
                )
            except Busy:
                await anyio.sleep(RETRY_S)
            else:
                self._telemetry.count("controls.swept")
                return
