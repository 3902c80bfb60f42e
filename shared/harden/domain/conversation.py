"""A request is a conversation: messages with a role and parts, each part text or a reference to an image."""

from dataclasses import dataclass
from enum import StrEnum


class Speaker(StrEnum):
    SYSTEM = "system"
    USER = "user"
    ASSISTANT = "assistant"


@dataclass(frozen=True, slots=True)
class BlobRef:
    """Bytes that live in the object store. `uri`: its place, `sha256`: its digest (`sha256:<hex>`), `num_bytes`: its size."""

    uri: str
    sha256: str
    num_bytes: int


@dataclass(frozen=True, slots=True)
class Text:
    text: str


@dataclass(frozen=True, slots=True)
class Image:
    blob: BlobRef
    media_type: str = "image/png"


Part = Text | Image


@dataclass(frozen=True, slots=True)
class Message:
    speaker: Speaker
    parts: tuple[Part, ...]

    @property
    def text(self) -> str:
        """The text parts joined; an image leaves no trace here."""
        return "".join(part.text for part in self.parts if isinstance(part, Text))


@dataclass(frozen=True, slots=True)
class Conversation:
    messages: tuple[Message, ...]

    @classmethod
    def of_user(cls, text: str) -> "Conversation":
        return cls((Message(Speaker.USER, (Text(text),)),))

    @property
    def last_text(self) -> str:
        return self.messages[-1].text

    def images(self) -> tuple[Image, ...]:
        """In the order in which the messages mention them."""
        return tuple(part for message in self.messages for part in message.parts if isinstance(part, Image))
