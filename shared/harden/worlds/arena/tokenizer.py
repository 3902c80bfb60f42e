"""Words and letters as tokens, and a conversation as a prompt, in files that `AutoTokenizer` and `AutoProcessor` load."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from tokenizers import Regex, Tokenizer, models, normalizers, pre_tokenizers
from transformers import CLIPImageProcessor, LlavaProcessor, PreTrainedTokenizerFast

from harden.worlds.arena import image
from harden.worlds.arena.language import vocabulary
from harden.worlds.arena.world import World

PAD, UNKNOWN, END, USER, ASSISTANT, SYSTEM, IMAGE = (
    "<|pad|>",
    "<|unknown|>",
    "<|end|>",
    "<|user|>",
    "<|assistant|>",
    "<|system|>",
    "<|image|>",
)
SPECIAL_TOKENS = (PAD, UNKNOWN, END, USER, ASSISTANT, SYSTEM, IMAGE)
PATCH_SIZE = 8
NUM_IMAGE_TOKENS = (image.SIZE // PATCH_SIZE) ** 2
MAX_TOKENS = 128

# Content is a string or a list of parts, {"type": "text", "text": ...} or {"type": "image"}.
CHAT_TEMPLATE = (
    "{% for message in messages %}"
    "{{ '<|' + message['role'] + '|>' }}"
    "{% if message['content'] is string %}{{ message['content'] }}{% else %}"
    "{% for part in message['content'] %}"
    "{% if part['type'] == 'image' %}{{ '<|image|>' }}{% else %}{{ ' ' + part['text'] + ' ' }}{% endif %}"
    "{% endfor %}{% endif %}"
    "{% if message['role'] == 'assistant' %}{{ '<|end|>' }}{% endif %}"
    "{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|assistant|>' }}{% endif %}"
)


def build_tokenizer(world: World) -> PreTrainedTokenizerFast:
    words = [*SPECIAL_TOKENS, *(w for w in vocabulary(world) if w not in SPECIAL_TOKENS)]
    core = Tokenizer(models.WordLevel({word: n for n, word in enumerate(words)}, unk_token=UNKNOWN))
    core.normalizer = normalizers.Lowercase()
    # Keep image markup whole; everything else splits into words, numbers and single marks.
    core.pre_tokenizer = pre_tokenizers.Split(Regex(r"</?image>|[a-z]+|[0-9]+|[^\sa-z0-9]"), "removed", invert=True)
    # Said to the core itself: only so does a tokenizer that is loaded again keep `<|user|>` whole.
    core.add_special_tokens(list(SPECIAL_TOKENS))
    return PreTrainedTokenizerFast(
        tokenizer_object=core,
        pad_token=PAD,
        unk_token=UNKNOWN,
        eos_token=END,
        additional_special_tokens=[USER, ASSISTANT, SYSTEM],
        extra_special_tokens={"image_token": IMAGE},
        padding_side="left",
        model_max_length=MAX_TOKENS,
        clean_up_tokenization_spaces=False,
        chat_template=CHAT_TEMPLATE,
    )


def build_processor(tokenizer: PreTrainedTokenizerFast) -> LlavaProcessor:
    side = {"height": image.SIZE, "width": image.SIZE}
    pictures = CLIPImageProcessor(
        size={"shortest_edge": image.SIZE},
        crop_size=side,
        image_mean=[0.5] * 3,
        image_std=[0.5] * 3,
    )
    return LlavaProcessor(
        image_processor=pictures,
        tokenizer=tokenizer,
        patch_size=PATCH_SIZE,
        vision_feature_select_strategy="default",
        num_additional_image_tokens=1,
        chat_template=CHAT_TEMPLATE,
    )


def conversation(text: str) -> list[dict]:
    """One user turn as chat messages; what each image shows is left to the caller."""
    content = [{"type": "image"} if p.kind == "image" else {"type": "text", "text": p.value} for p in image.parts(text)]
    return [{"role": "user", "content": content}]


class Encoder:
    """Rendered text -> token ids, the fast way; equal to the chat template followed by the tokenizer."""

    def __init__(self, tokenizer: PreTrainedTokenizerFast) -> None:
        self.ids = tokenizer.get_vocab()
        self.words = {number: word for word, number in self.ids.items()}
        self.special = tuple(self.ids[token] for token in SPECIAL_TOKENS)
        self.end, self.image = self.ids[END], self.ids[IMAGE]

    def prompt(self, text: str, *, sees_images: bool = True) -> tuple[list[int], list[str]]:
        """Ids of the prompt, and the words that its images show, in order."""
        ids, shown = [self.ids[USER]], []
        for part in image.parts(text) if sees_images else (image.Part("text", text),):
            if part.kind == "image":
                ids += [self.image] * NUM_IMAGE_TOKENS
                shown.append(part.value)
            else:
                ids += self.text(part.value)
        return [*ids, self.ids[ASSISTANT]], shown

    def text(self, text: str) -> list[int]:
        unknown = self.ids[UNKNOWN]
        return [self.ids.get(word, unknown) for word in text.split()]

    def decode(self, ids: Sequence[int]) -> str:
        """Words up to the end of the answer."""
        words = []
        for number in ids:
            if number == self.end:
                break
            words.append(self.words[number])
        return " ".join(words)


def load_encoder(directory: Path) -> Encoder:
    return Encoder(PreTrainedTokenizerFast.from_pretrained(directory, local_files_only=True))
