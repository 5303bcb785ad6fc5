"""`SendEmail`: what a job of type `send_email` is given. Whatever doesn't fit is refused at enqueue, with its path."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Annotated, Any, Final
from urllib.parse import urlsplit

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, WithJsonSchema, model_validator
from pydantic_core import PydanticCustomError

from jobyard.jobs.email.address import Address, AddressError, parse_address
from jobyard.jobs.email.text import is_one_line
from jobyard.jobs.storage import StorageNameError, check_name
from jobyard.priority import PriorityField

MAX_RECIPIENTS: Final = 100
MAX_SUBJECT: Final = 500
MAX_TEXT: Final = 1_000_000
MAX_ATTACHMENTS: Final = 20

_MEDIA_TYPE: Final = re.compile(r"[A-Za-z0-9!#$&^_.+-]+/[A-Za-z0-9!#$&^_.+-]+")
_MESSAGE_ID: Final = re.compile(r"<[A-Za-z0-9.!#$%&'*+/=?^_`{|}~-]{1,150}@[A-Za-z0-9.-]{1,90}>")


def _refusal(kind: str, reason: str) -> PydanticCustomError:
    # The reason is handed over as a value, since a message is a template: braces in it would be replaced.
    return PydanticCustomError(kind, "{reason}", {"reason": reason})


def _one_line(text: str) -> str:
    if not is_one_line(text):
        raise _refusal("control_characters", "control characters and line breaks are not allowed here")
    return text


def _address(text: str) -> str:
    try:
        parse_address(text)
    except AddressError as error:
        raise _refusal("email_address", str(error)) from None
    return text


def _one_or_many(value: Any) -> Any:
    # Checked here, the path of a fault is `to` when one address was given, and `to.1` in a list.
    return [_address(value)] if isinstance(value, str) else value


def _text(text: str) -> str:
    if "\0" in text:
        raise _refusal("control_characters", "must not contain the character NUL")
    return text


def _filename(name: str) -> str:
    name = _one_line(name).strip()
    if not name:
        raise _refusal("filename", "give a file name")
    if "/" in name or "\\" in name or name in (".", ".."):
        raise _refusal("filename", "give a file name without directories")
    if len(name.encode()) > 255:
        raise _refusal("filename", "longer than 255 bytes")
    return name


def _content_type(value: str) -> str:
    if not _MEDIA_TYPE.fullmatch(value):
        raise _refusal("content_type", "give a media type without parameters, such as application/pdf")
    value = value.lower()
    if value.startswith(("multipart/", "message/")):
        raise _refusal("content_type", "a file of this type can't be attached as it is; give application/octet-stream")
    return value


def _url(url: str) -> str:
    # What may be connected to is decided in the worker, by the settings of downloads. This finds what can never work.
    if re.search(r"[\x00-\x20\x7f\\]", url):
        raise _refusal("url", "contains a space, a backslash or a control character; percent-encode it")
    try:
        parts = urlsplit(url)
    except ValueError:
        raise _refusal("url", "this is not a URL") from None
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise _refusal("url", "give an http or https URL")
    if "@" in parts.netloc:
        raise _refusal("url", "user names and passwords are not accepted in a URL")
    return url


def _object(name: str) -> str:
    try:
        return check_name(name)
    except StorageNameError as error:
        raise _refusal("object_name", str(error)) from None


def _message_id(value: str) -> str:
    if not _MESSAGE_ID.fullmatch(value):
        raise _refusal("message_id", "give the form <unique@domain>, in ASCII")
    return value


_ADDRESSES_SCHEMA: Final = {
    "anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}, "maxItems": MAX_RECIPIENTS}]
}

MailAddress = Annotated[str, AfterValidator(_address)]
MailAddresses = Annotated[
    list[MailAddress],
    Field(max_length=MAX_RECIPIENTS),
    BeforeValidator(_one_or_many),
    WithJsonSchema(_ADDRESSES_SCHEMA),
]
Text = Annotated[str, Field(max_length=MAX_TEXT), AfterValidator(_text)]


class Attachment(BaseModel):
    """A file that goes with an e-mail: from a URL, or an object of the storage. Exactly one of the two.

    Attributes:
        filename: what the recipient sees.
        content_type: the media type; None: told from the file name, or else from what the URL's server says.
        url: an http or https URL, downloaded in the worker. What may be reached is up to `JOBYARD_DOWNLOAD_…`.
        object: the name of an object in the storage (`JOBYARD_STORAGE_URL`), such as another job's result names.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    filename: Annotated[str, AfterValidator(_filename)]
    content_type: Annotated[str, Field(max_length=127), AfterValidator(_content_type)] | None = None
    url: Annotated[str, Field(max_length=2048), AfterValidator(_url)] | None = None
    object: Annotated[str, AfterValidator(_object)] | None = None

    @model_validator(mode="after")
    def _exactly_one_source(self) -> Attachment:
        if (self.url is None) == (self.object is None):
            raise _refusal("attachment_source", "give exactly one of url and object")
        return self


class SendEmail(BaseModel):
    """An e-mail.

    Attributes:
        to: one address or a list, as `ada@example.org` or `Ada Lovelace <ada@example.org>`.
        subject: one line.
        body: the text.
        html: the same as HTML, for those who see that.
        cc: as `to`.
        bcc: as `to`; these recipients get the e-mail, but no header names them.
        reply_to: where answers shall go; one address or a list.
        from_: the sender; `from` in JSON. None: `JOBYARD_SMTP_FROM_ADDRESS`.
        attachments: files that go with it.
        priority: of the job: critical, high, normal, low or an integer from 0 (first) to 100. None: the actor's.
        message_id: None: derived from the job's id.
        only_to: deliver to these of the recipients only, while the headers name all. This is what the follow-up job of
            an e-mail carries that the server took for some recipients and put off for others.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)

    to: Annotated[MailAddresses, Field(min_length=1)]
    subject: Annotated[str, Field(max_length=MAX_SUBJECT), AfterValidator(_one_line)]
    body: Text
    html: Text | None = None
    cc: MailAddresses = []
    bcc: MailAddresses = []
    reply_to: MailAddresses = []
    from_: Annotated[MailAddress | None, Field(alias="from")] = None
    attachments: Annotated[list[Attachment], Field(max_length=MAX_ATTACHMENTS)] = []
    priority: PriorityField = None
    message_id: Annotated[str, AfterValidator(_message_id)] | None = None
    only_to: MailAddresses = []

    @model_validator(mode="after")
    def _recipients_fit(self) -> SendEmail:
        everybody = self.everybody()
        if len(everybody) > MAX_RECIPIENTS:
            raise _refusal(
                "too_many_recipients",
                f"to, cc and bcc have {len(everybody)} recipients together; one e-mail may have {MAX_RECIPIENTS}",
            )
        strangers = {parse_address(text).spec for text in self.only_to} - everybody.keys()
        if strangers:
            raise _refusal("only_to", f"only_to names none of the recipients: {', '.join(sorted(strangers))}")
        return self

    def everybody(self) -> dict[str, Address]:
        """All whom `to`, `cc` and `bcc` name, each once, by their bare address."""
        return {address.spec: address for address in self._named()}

    def recipients(self) -> dict[str, Address]:
        """Those who shall get it now, each once, by their bare address."""
        everybody = self.everybody()
        if not self.only_to:
            return everybody
        return {spec: everybody[spec] for spec in (parse_address(text).spec for text in self.only_to)}

    def _named(self) -> Iterator[Address]:
        for text in (*self.to, *self.cc, *self.bcc):
            yield parse_address(text)
