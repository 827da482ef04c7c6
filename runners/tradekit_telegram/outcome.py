"""From what Telegram answered to what the outbox does next."""

from telegram.error import BadRequest, Forbidden, InvalidToken, NetworkError, TelegramError

from tradekit.ports.messenger import SendOutcome, SendResult
from tradekit_telegram.errors import redacted

SENT = SendResult(outcome=SendOutcome.SENT)
_TOKEN_WAIT_S = 30.0
_GONE = ("chat not found", "user is deactivated", "peer_id_invalid", "user not found")
_NOT_EDITABLE = ("message to edit not found", "message can't be edited", "message_id_invalid", "there is no text in the message")
_TOO_LARGE = "request entity too large"


def is_unchanged(error: TelegramError) -> bool:
    """The message already looks as it should."""
    return isinstance(error, BadRequest) and "message is not modified" in error.message.lower()


def is_not_editable(error: TelegramError) -> bool:
    """The message is gone or too old: a new one must be sent."""
    return isinstance(error, BadRequest) and any(words in error.message.lower() for words in _NOT_EDITABLE)


def result_of(error: TelegramError) -> SendResult:
    """The result of a send that failed; flood waits are the messenger's business."""
    detail = redacted(error)
    lowered = detail.lower()
    if isinstance(error, Forbidden):
        return SendResult(outcome=SendOutcome.UNREACHABLE, detail=detail)
    if isinstance(error, BadRequest):
        gone = any(words in lowered for words in _GONE)
        return SendResult(outcome=SendOutcome.UNREACHABLE if gone else SendOutcome.REFUSED, detail=detail)
    if isinstance(error, InvalidToken):
        return SendResult(outcome=SendOutcome.RETRY, retry_after_s=_TOKEN_WAIT_S, whole_transport=True, detail=detail)
    if isinstance(error, NetworkError) and _TOO_LARGE in lowered:
        return SendResult(outcome=SendOutcome.REFUSED, detail=detail)
    return SendResult(outcome=SendOutcome.RETRY, detail=detail)
