"""Every setting of the service: what it is called, what it means, where its value comes from.

Precedence, highest first: command-line flag, environment variable, ``.env`` in the working directory, ``tradekit.toml`` in the data
directory, the default of the chosen ``ENVIRONMENT``, the default. An empty environment variable counts as not set.
"""

from tradekit.config.settings import Environment, SettingRow, Settings, SeveralConfigurationErrors

__all__ = ["Environment", "SettingRow", "Settings", "SeveralConfigurationErrors"]
