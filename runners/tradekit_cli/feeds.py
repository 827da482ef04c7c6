"""Where prices come from when nobody has said so."""

import attrs

from tradekit.config import Settings


def with_default_feed(settings: Settings) -> Settings:
    """The settings with ``auto`` as the feed unless one is set: a library's test wants prices of its own, a service the market's."""
    if "feed" in settings.origins or "speed" in settings.origins:
        return settings
    return attrs.evolve(settings, feed="auto", origins={**settings.origins, "feed": "default of tradekit"})
