"""`<image>...</image>` in an attack's text: what is inside is drawn, so that a text policy can play multimodal attacks."""

import re
from dataclasses import dataclass

_IMAGE = re.compile(r"<image>(.*?)</image>", re.DOTALL)
_STRAY_TAG = re.compile(r"</?image>")


@dataclass(frozen=True, slots=True)
class Drawn:
    """Text that becomes an image."""

    text: str


def pieces(text: str, max_images: int) -> list[str | Drawn]:
    """The attack's text and images in order, never empty.

    Tags without a partner are dropped: a vision-language processor would take them for an image that is not there.
    So are the tags of images beyond `max_images`; their text stays.
    """
    found: list[str | Drawn] = []
    end = 0
    for match in list(_IMAGE.finditer(text))[:max_images]:
        found += _plain(text[end : match.start()])
        inside = _STRAY_TAG.sub("", match.group(1)).strip()
        if inside:
            found.append(Drawn(inside))
        end = match.end()
    found += _plain(text[end:])
    return found or [""]


def _plain(text: str) -> list[str | Drawn]:
    text = _STRAY_TAG.sub("", text).strip()
    return [text] if text else []
