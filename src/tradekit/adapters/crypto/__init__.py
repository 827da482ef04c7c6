"""Keys of venues under AES-256-GCM. Needs the `exchange` extra, which is imported only when a vault is opened."""

from tradekit.adapters.crypto.key_file import KeyEncryptionKey, generate_key, read_keys
from tradekit.adapters.crypto.vault import AesGcmVault

__all__ = ["AesGcmVault", "KeyEncryptionKey", "generate_key", "read_keys"]
