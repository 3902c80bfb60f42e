"""Typographic images: a word drawn small, and the markup that stands for one inside text."""

from __future__ import annotations

import io
import random
import re
from dataclasses import dataclass

from PIL import Image, ImageChops, ImageDraw, ImageFont

SIZE = 32
NUM_VARIANTS = 12
MARKUP = re.compile(r"<image>\s*(.*?)\s*</image>")
_LINE_LENGTH = 3
_NUM_LINES = 2
_CELL = (6, 11)  # pixels of one letter in Pillow's bitmap font
_NOISE = 12  # grey levels, up or down
_NOISE_LEVELS = [level * 2 * _NOISE // 256 for level in range(256)]


@dataclass(frozen=True, slots=True)
class Part:
    """A stretch of text, or the word that an image shows."""

    kind: str  # "text" or "image"
    value: str


def parts(text: str) -> list[Part]:
    """The text in order, split where images stand."""
    pieces = MARKUP.split(text)
    found = [Part("image" if n % 2 else "text", piece.strip()) for n, piece in enumerate(pieces)]
    return [part for part in found if part.kind == "image" or part.value]


def render(text: str, variant: int = 0) -> bytes:
    """PNG of the word, 32 x 32. The variant moves, shades and speckles it; the same call gives the same bytes."""
    buffer = io.BytesIO()
    draw(text, variant).save(buffer, format="PNG")
    return buffer.getvalue()


def draw(text: str, variant: int = 0) -> Image.Image:
    rng = random.Random(f"{variant % NUM_VARIANTS}:{text}")
    is_dark = variant % 2 == 0
    paper, ink = (
        (235 - rng.randrange(30), 20 + rng.randrange(40)) if is_dark else (25 + rng.randrange(30), 200 + rng.randrange(50))
    )
    lines = [text[n : n + _LINE_LENGTH] for n in range(0, _LINE_LENGTH * _NUM_LINES, _LINE_LENGTH)]
    image = Image.new("L", (SIZE, SIZE), paper)
    left = rng.randint(2, SIZE - _CELL[0] * _LINE_LENGTH - 2)
    top = rng.randint(1, SIZE - _CELL[1] * _NUM_LINES - 1)
    canvas = ImageDraw.Draw(image)
    font = ImageFont.load_default_imagefont()
    for row, line in enumerate(lines):
        canvas.text((left, top + row * _CELL[1]), line, fill=ink, font=font)
    specks = Image.frombytes("L", (SIZE, SIZE), rng.randbytes(SIZE * SIZE))
    return ImageChops.add(image, specks.point(_NOISE_LEVELS), offset=-_NOISE).convert("RGB")
