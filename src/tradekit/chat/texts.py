"""The words of the service: one catalog per language, looked up by text key, English where a language has none."""

from tradekit.chat.catalog import english

CATALOGS: dict[str, dict[str, str]] = {"en": english.TEXTS}

DEFAULT_LANGUAGE = "en"


def has_text(key: str) -> bool:
    """Whether the key is known."""
    return key in CATALOGS[DEFAULT_LANGUAGE]


def text_for(key: str, language: str = DEFAULT_LANGUAGE) -> str:
    """The template of a key; a key that nobody wrote a text for is shown itself rather than nothing."""
    catalog = CATALOGS.get(language) or CATALOGS.get(language.partition("-")[0]) or {}
    return catalog[key] if key in catalog else CATALOGS[DEFAULT_LANGUAGE].get(key, key)
