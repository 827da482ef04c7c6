"""What the runner knows about its connection, as a health finding."""

from tradekit.domain.health import Finding, HealthStatus


class Status:
    """The newest trouble wins; each part clears only its own."""

    def __init__(self) -> None:
        self._detail = "connecting"
        self._connected = False
        self._troubles: dict[str, tuple[HealthStatus, str]] = {}

    def connected(self, detail: str) -> None:
        """The bot's token was accepted.

        :param detail: such as "polling as @name".
        """
        self._connected = True
        self._detail = detail

    def degraded(self, part: str, detail: str) -> None:
        """``part`` does not work now and tries again by itself."""
        self._troubles[part] = (HealthStatus.DEGRADED, detail)

    def unhealthy(self, part: str, detail: str) -> None:
        """``part`` needs the operator."""
        self._troubles[part] = (HealthStatus.UNHEALTHY, detail)

    def well(self, part: str) -> None:
        """``part`` works."""
        self._troubles.pop(part, None)

    def finding(self) -> Finding:
        """The worst of all parts."""
        if not self._troubles:
            status = HealthStatus.HEALTHY if self._connected else HealthStatus.DEGRADED
            return Finding(status=status, detail=self._detail)
        worst = max(self._troubles.values(), key=lambda trouble: trouble[0] is HealthStatus.UNHEALTHY)[0]
        return Finding(status=worst, detail="; ".join(f"{part}: {detail}" for part, (_, detail) in self._troubles.items()))
