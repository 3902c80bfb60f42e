"""A short run of each target; `make fuzz` goes on."""

import io

import pytest
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from harden.domain.errors import PoisonError
from tests.fuzz.hunt import findings
from tests.fuzz.targets import Target, all_targets

TARGETS = all_targets()
INPUTS = 1_500


@pytest.mark.parametrize("name", TARGETS)
def test_what_nobody_of_ours_wrote_is_refused_with_a_reason(name: str) -> None:
    found = next(findings(name, TARGETS[name], 0, INPUTS), None)
    assert found is None, f"{type(found.error).__name__}: {found.error} of {found.data[:300]!r}"


@pytest.mark.parametrize("name", TARGETS)
def test_what_is_spoilt_was_good(name: str) -> None:
    """Some samples are read as they are: otherwise nothing but the first check would be tried."""
    target = TARGETS[name]
    assert any(is_read(target, sample) for sample in target.samples)


def test_every_message_is_read_as_what_it_was_written_for() -> None:
    target = TARGETS["codec"]
    assert all(is_read(target, sample) for sample in target.samples)


def is_read(target: Target, sample: bytes) -> bool:
    try:
        target.read(sample)
    except PoisonError:
        return False
    return True


def a_png(size: tuple[int, int], note: str = "") -> bytes:
    info = PngInfo()
    info.add_text("Comment", note, zip=True)
    out = io.BytesIO()
    Image.new("L", size).save(out, "PNG", pnginfo=info)
    return out.getvalue()


def test_a_small_file_of_very_many_pixels_or_a_very_long_note_is_refused() -> None:
    read = TARGETS["images"].read
    read(a_png((4096, 4096)))
    with pytest.raises(PoisonError, match="an image of 4097 x 4096; 16777216 pixels are allowed"):
        read(a_png((4097, 4096)))
    with pytest.raises(PoisonError, match="cannot be decoded"):
        read(a_png((4, 4), "x" * 4_000_000))
