"""Photos and documents: uploads, reuse by `file_id`, download."""

from __future__ import annotations

from typing import Any

from tradekit.testing.bot_api.core import BotCore, StoredFile
from tradekit.testing.bot_api.errors import ApiError, bad_request
from tradekit.testing.bot_api.methods import method
from tradekit.testing.bot_api.methods_messages import read_caption, send
from tradekit.testing.bot_api.parameters import Parameters, UploadedFile
from tradekit.testing.bot_api.types import Document, Message, PhotoSize

_PHOTO_BYTES_MAX = 10 * 1024 * 1024
_DOCUMENT_BYTES_MAX = 50 * 1024 * 1024
_DOWNLOAD_BYTES_MAX = 20 * 1024 * 1024


@method("sendPhoto")
def send_photo(core: BotCore, parameters: Parameters) -> Message:
    caption, entities = read_caption(parameters)
    chat = core.chat_of(parameters)
    upload = _uploaded(parameters, "photo")
    if upload is None:
        stored = _known_file(core, parameters, "photo")
    else:
        if len(upload.data) > _PHOTO_BYTES_MAX:
            raise bad_request("file is too big")
        stored = core.store_file(upload, "photos", *_image_size(upload.data))
    size = PhotoSize(
        file_id=stored.file_id,
        file_unique_id=stored.unique_id,
        width=stored.width,
        height=stored.height,
        file_size=len(stored.upload.data),
    )
    return send(core, parameters, "sendPhoto", chat, photo=(size,), caption=caption, caption_entities=entities)


@method("sendDocument")
def send_document(core: BotCore, parameters: Parameters) -> Message:
    caption, entities = read_caption(parameters)
    chat = core.chat_of(parameters)
    upload = _uploaded(parameters, "document")
    if upload is not None and len(upload.data) > _DOCUMENT_BYTES_MAX:
        raise ApiError(413, "Request Entity Too Large")
    stored = _known_file(core, parameters, "document") if upload is None else core.store_file(upload, "documents")
    document = Document(
        file_id=stored.file_id,
        file_unique_id=stored.unique_id,
        file_name=stored.upload.name,
        mime_type=stored.upload.content_type,
        file_size=len(stored.upload.data),
    )
    return send(core, parameters, "sendDocument", chat, document=document, caption=caption, caption_entities=entities)


@method("getFile")
def get_file(core: BotCore, parameters: Parameters) -> dict[str, Any]:
    file_id = parameters.text("file_id")
    if not file_id:
        raise bad_request("file_id not specified")
    stored = core.files.get(file_id)
    if stored is None:
        raise bad_request("invalid file_id")
    size = len(stored.upload.data)
    if size > _DOWNLOAD_BYTES_MAX:
        raise bad_request("file is too big")
    return {"file_id": file_id, "file_unique_id": stored.unique_id, "file_size": size, "file_path": stored.path}


def _uploaded(parameters: Parameters, field: str) -> UploadedFile | None:
    value = parameters.text(field)
    upload = parameters.files.get(value.removeprefix("attach://")) if value.startswith("attach://") else parameters.files.get(field)
    if upload is not None and not upload.data:
        raise bad_request("file must be non-empty")
    return upload


def _known_file(core: BotCore, parameters: Parameters, field: str) -> StoredFile:
    file_id = parameters.text(field)
    if not file_id:
        raise bad_request(f"there is no {field} in the request")
    stored = core.files.get(file_id)
    if stored is None:
        raise bad_request("wrong file identifier/HTTP URL specified")
    return stored


def _image_size(data: bytes) -> tuple[int, int]:
    """Width and height of a PNG or JPEG.

    :raises ApiError: it is neither.
    """
    if data.startswith(b"\x89PNG\r\n\x1a\n") and len(data) >= 24:
        return int.from_bytes(data[16:20], "big"), int.from_bytes(data[20:24], "big")
    if data.startswith(b"\xff\xd8"):
        place = 2
        while place + 9 < len(data) and data[place] == 0xFF:
            marker = data[place + 1]
            if 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC):
                return int.from_bytes(data[place + 7 : place + 9], "big"), int.from_bytes(data[place + 5 : place + 7], "big")
            place += 2 + int.from_bytes(data[place + 2 : place + 4], "big")
    raise ApiError(400, "Bad Request: IMAGE_PROCESS_FAILED")
