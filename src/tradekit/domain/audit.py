"""What is recorded of who did what, and the chain that shows tampering."""

from hashlib import blake2b

import msgspec

GENESIS = b"\0" * 32


class AuditEntry(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """An event before the writer numbers and chains it."""

    partition: int
    subject: str
    """Pseudonym of the user concerned, so that erasure keeps the chain."""
    actor: str
    """``user``, ``system``, ``venue``, ``signal:ID`` or ``admin:PSEUDONYM``."""
    action: str
    """Such as ``order.submitted``; lower case, dotted."""
    detail: str
    time_ms: int


def link(previous: bytes, seq: int, entry: AuditEntry) -> bytes:
    """Hash of a row: H(previous || canonical row), 32 bytes."""
    row = msgspec.json.encode((seq, entry.partition, entry.subject, entry.actor, entry.action, entry.detail, entry.time_ms))
    return blake2b(previous + row, digest_size=32).digest()
