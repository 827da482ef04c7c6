"""Where prices come from when nobody has said so."""

import attrs

from tradekit.config import Settings


def with_default_feed(settings: Settings) -> Settings:
    """The settings with ``auto`` as the feed unless one is set: a library's test wants prices of its own, a service the market's."""
    if "feed" in settings.origins or "speed" in settings.origins:
        return settings
    return attrs.evolve(settings, feed="auto", origins={**settings.origins, "feed": "default of tradekit"})


def without_prices(settings: Settings) -> Settings:
    """For a service that lives for an errand: it asks no venue for prices, so that trading can be halted while none answers."""
    return attrs.evolve(settings, feed="none", speed=None, origins={**settings.origins, "feed": "an errand needs no prices"})
