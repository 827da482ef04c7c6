"""AES-256-GCM keeps the promises of a vault; key files are read strictly and never shown."""

import base64
import builtins
import importlib
from typing import Any

import pytest

from tradekit.adapters.crypto import AesGcmVault, KeyEncryptionKey, generate_key, read_keys
from tradekit.domain.errors import ConfigurationError
from tradekit.ports.vault import Vault
from tradekit.testing.contracts.vault import VaultContract

OLD, NEW = generate_key(), generate_key()


class TestAesGcm(VaultContract):
    @pytest.fixture
    def vault(self) -> Vault:
        return AesGcmVault(read_keys(OLD))

    @pytest.fixture
    def rotated(self) -> Vault:
        return AesGcmVault(read_keys(f"{NEW}\n{OLD}\n"))


def test_a_generated_key_is_256_random_bits() -> None:
    assert len(base64.b64decode(OLD, validate=True)) == 32
    assert OLD != NEW


def test_a_key_keeps_its_id_wherever_it_stands() -> None:
    first, second = read_keys(f"{OLD},{NEW}")
    assert read_keys(f"\n  {NEW}\n\n{OLD}\n") == (second, first)
    (named,) = read_keys(f"prod-2026:{OLD}")
    assert named == KeyEncryptionKey("prod-2026", first.secret)


def test_the_url_safe_alphabet_is_read_as_well() -> None:
    secret = b"\xfb\xff" * 16
    assert read_keys(base64.urlsafe_b64encode(secret).decode())[0].secret == secret


SHORT = base64.b64encode(b"short-canary").decode()


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "holds no key"),
        (" \n,\n", "holds no key"),
        (SHORT, "has 12 bytes; AES-256 takes 32"),
        (f"{OLD} {SHORT}", "key 2 has 12 bytes"),
        ("not*base64", "is not base64"),
        (f"{OLD}\n{OLD}", "twice"),
        (f"a:{OLD} a:{NEW}", "holds the key a twice"),
        (f"%%:{OLD}", "key 1: its name"),
    ],
    ids=["empty", "blank", "short", "second-short", "not-base64", "twice", "name-twice", "bad-name"],
)
def test_a_key_file_is_read_strictly_and_never_shown(text: str, problem: str) -> None:
    with pytest.raises(ConfigurationError, match=problem) as refused:
        read_keys(text, "file /etc/tradekit.key")
    shown = str(refused.value) + repr(refused.value)
    assert "tradekit keys generate" in shown or "remove one" in shown
    assert not [word for word in (OLD, NEW, SHORT) if word in shown]


def test_keys_are_shown_by_their_id_only() -> None:
    keys = read_keys(f"prod:{OLD}")
    assert repr(keys) == "(KeyEncryptionKey(key_id='prod'),)"
    assert repr(AesGcmVault(keys)) == "AesGcmVault(prod)"


def test_without_the_library_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    real = importlib.import_module

    def missing(name: str, package: str | None = None) -> Any:
        if name.startswith("cryptography"):
            raise builtins.ModuleNotFoundError(f"No module named {name!r}")
        return real(name, package)

    monkeypatch.setattr(importlib, "import_module", missing)
    with pytest.raises(ConfigurationError, match=r"pip install 'tradekit\[exchange\]'"):
        AesGcmVault(read_keys(OLD))
