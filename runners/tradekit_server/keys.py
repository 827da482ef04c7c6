"""The form behind a one-time link: a key is entered here, and never in a chat."""

import logging
from typing import Protocol
from urllib.parse import parse_qs

import anyio
from jinja2 import Environment
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response

from tradekit.domain.credentials import ConnectLink, Credential, VenueKey
from tradekit.domain.errors import BadInput, KeyRefused, TradekitError
from tradekit_server.errors import status_of
from tradekit_server.headers import CONTENT_SECURITY_POLICY, NO_STORE

_log = logging.getLogger(__name__)

ANSWER_WITHIN_S = 60.0
"""The venue is asked while the browser waits."""
FORM_HEADERS = {
    "content-security-policy": CONTENT_SECURITY_POLICY.replace("form-action 'none'", "form-action 'self'"),
    "cache-control": NO_STORE,
    "x-robots-tag": "noindex",
}
_FIELDS = {"api_key": "API key", "secret": "secret", "password": "passphrase"}
_WORDS = {
    "KEY_REJECTED": "{venue} does not accept this key. Copy both parts again, and look there whether it is bound to other addresses.",
    "KEY_CAN_WITHDRAW": "This key may withdraw money. Make one at {venue} that may read and trade only, and delete this one.",
    "KEY_SCOPE_UNKNOWN": "{venue} does not say what this key may do, so it is not taken.",
    "KEY_CANNOT_TRADE": "This key may not trade. Allow spot trading for it at {venue}, and nothing more.",
    "ACCOUNT_IN_USE": "Something is open at the account of another site of {venue}. Cancel orders and close positions first.",
    "LINK_GONE": "This link was used, is too old, or was replaced by a newer one. Ask for another in the chat: /connect",
}


class KeyEntry(Protocol):
    """What the form asks of the service. ``tk.keys`` is one."""

    async def link(self, token: str) -> ConnectLink:
        """:raises KeyRefused: ``LINK_GONE``."""

    async def redeem(self, token: str, key: VenueKey) -> Credential:
        """:raises KeyRefused: the key or the link does not do."""


class KeyForm:
    """``/connect/TOKEN``: shows the form, and takes what was entered. What was entered is never shown again."""

    def __init__(self, keys: KeyEntry, environment: Environment) -> None:
        self._keys = keys
        self._template = environment.get_template("connect.html")

    async def show(self, request: Request) -> Response:
        """The form, or why there is none."""
        try:
            link = await self._keys.link(request.path_params["token"])
        except TradekitError as error:
            return self._page(request, words=_words(error, "the venue"), status=_status(error))
        return self._page(request, link=link)

    async def take(self, request: Request) -> Response:
        """Keep the key; a refused one may be corrected while the link lasts."""
        token = request.path_params["token"]
        link: ConnectLink | None = None
        try:
            with anyio.fail_after(ANSWER_WITHIN_S):
                link = await self._keys.link(token)
                kept = await self._keys.redeem(token, await _entered(request))
        except TradekitError as error:
            venue = link.venue if link else "the venue"
            gone = isinstance(error, KeyRefused) and error.check == "LINK_GONE"
            return self._page(request, link=None if gone else link, words=_words(error, venue), status=_status(error))
        return self._page(request, kept=kept)

    def _page(
        self, request: Request, *, link: ConnectLink | None = None, kept: Credential | None = None, words: str = "", status: int = 200
    ) -> Response:
        root = request.scope.get("root_path", "")
        return HTMLResponse(self._template.render(link=link, kept=kept, words=words, root=root), status, FORM_HEADERS)


async def _entered(request: Request) -> VenueKey:
    if request.headers.get("content-type", "").partition(";")[0].strip() != "application/x-www-form-urlencoded":
        raise BadInput(field="form", value="", problem="is not one of this page")
    try:
        fields = parse_qs((await request.body()).decode("ascii"), keep_blank_values=True, max_num_fields=10, errors="strict")
    except ValueError:
        # Without its cause, which holds a piece of what was entered.
        raise BadInput(field="form", value="", problem="cannot be read") from None
    api_key, secret, password = ((fields.get(name) or [""])[0] for name in _FIELDS)
    return VenueKey(api_key=api_key, secret=secret, password=password)


def _words(error: TradekitError, venue: str) -> str:
    if isinstance(error, KeyRefused) and error.check in _WORDS:
        return _WORDS[error.check].format(venue=venue)
    if isinstance(error, BadInput):
        return f"The {_FIELDS.get(error.field, error.field)} {error.problem}."
    _log.warning("a key could not be taken: %s", error.code)
    return "The key could not be kept just now. Please try again; if it stays like this, tell the operator."


def _status(error: TradekitError) -> int:
    return 410 if isinstance(error, KeyRefused) and error.check == "LINK_GONE" else status_of(error)
