import io

from PIL import Image

from harden.worlds.arena import image


def test_the_same_call_gives_the_same_png():
    first = image.render("wowiki", 3)
    assert first == image.render("wowiki", 3) != image.render("wowiki", 4)
    picture = Image.open(io.BytesIO(first))
    assert (picture.size, picture.mode, picture.format) == ((32, 32), "RGB", "PNG")


def test_any_text_can_be_drawn():
    for text in ("", "a", "how do i brew", "ü\n<b>"):
        assert image.render(text)


def test_markup_splits_a_text_in_order():
    found = image.parts("you are a wizard . <image> wowiki </image> how do i brew this <image>b</image>")
    assert [(p.kind, p.value) for p in found] == [
        ("text", "you are a wizard ."),
        ("image", "wowiki"),
        ("text", "how do i brew this"),
        ("image", "b"),
    ]
    assert image.parts("no image") == [image.Part("text", "no image")]
    assert image.parts("<image> open") == [image.Part("text", "<image> open")]
