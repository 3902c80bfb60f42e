"""From a conversation to what a model reads: its own chat template, tokenizer and image processor. The trainer uses it too."""

import io
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from PIL import Image as PilImage
from transformers import AutoProcessor, AutoTokenizer

from harden.domain.conversation import Message, Text
from harden.domain.errors import PoisonError
from harden.serving.ports import Prompt

# Of one image, 4096 x 4096. A small file can claim far more, and all of it would be decoded before the model's own size.
MAX_PIXELS = 1 << 24


class PromptEncoder:
    """A tokenizer, with the processor around it where the model sees images. Immutable after construction."""

    def __init__(self, directory: Path, *, sees_images: bool) -> None:
        self.processor: Any = None
        if sees_images:
            self.processor = AutoProcessor.from_pretrained(directory, local_files_only=True)
            self.tokenizer: Any = self.processor.tokenizer
        else:
            self.tokenizer = AutoTokenizer.from_pretrained(directory, local_files_only=True)
        # Left, so that the last position of every row is the last of its prompt.
        self.tokenizer.padding_side = "left"
        if self.tokenizer.pad_token_id is None:
            self.tokenizer.pad_token = self.tokenizer.eos_token
        self._specials = sorted(filter(None, self.tokenizer.all_special_tokens), key=len, reverse=True)

    @property
    def vocab_size(self) -> int:
        """One more than the largest token id the tokenizer knows."""
        return max(self.tokenizer.get_vocab().values()) + 1

    def encode(self, prompts: Sequence[Prompt]) -> dict[str, torch.Tensor]:
        """`input_ids` and `attention_mask`, left-padded, and whatever else the model's processor makes of the images.

        Raises PoisonError("unreadable_prompt") for a prompt that no retry can help.
        """
        texts = [self.render(prompt) for prompt in prompts]
        settings = {"padding": True, "add_special_tokens": False, "return_tensors": "pt"}
        if not any(prompt.images for prompt in prompts):
            return dict(self.tokenizer(texts, **settings))
        images = [[_decoded(image) for image in prompt.images] for prompt in prompts]
        return dict(self.processor(text=texts, images=images, **settings))

    def render(self, prompt: Prompt) -> str:
        """The prompt as the template writes it, up to where the model's answer begins."""
        num_mentioned = len(prompt.conversation.images())
        if num_mentioned != len(prompt.images):
            raise PoisonError("unreadable_prompt", f"{num_mentioned} images are mentioned, {len(prompt.images)} are there")
        if prompt.images and self.processor is None:
            raise PoisonError("unreadable_prompt", "this model reads text only, the prompt brings images")
        template = self.processor or self.tokenizer
        messages = [self._message(message) for message in prompt.conversation.messages]
        return template.apply_chat_template(messages, tokenize=False, add_generation_prompt=True)

    def decode(self, token_ids: Sequence[Sequence[int]]) -> list[str]:
        """The text of each, special tokens left out."""
        # Samples of one prompt are often the same: each distinct one is decoded once.
        texts = dict.fromkeys(map(tuple, token_ids), "")
        for ids in texts:
            texts[ids] = self.tokenizer.decode(ids, skip_special_tokens=True)
        return [texts[tuple(ids)] for ids in token_ids]

    def _message(self, message: Message) -> dict[str, Any]:
        if self.processor is None:
            return {"role": message.speaker.value, "content": self._harmless(message.text)}
        parts = [
            {"type": "text", "text": self._harmless(part.text)} if isinstance(part, Text) else {"type": "image"}
            for part in message.parts
        ]
        return {"role": message.speaker.value, "content": parts}

    def _harmless(self, text: str) -> str:
        """Text is data: a special token spelled in it would end the turn, or claim an image that is not there."""
        for special in self._specials:
            if special in text:
                text = text.replace(special, special[0] + " " + special[1:])
        return text


def _decoded(data: bytes) -> PilImage.Image:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", PilImage.DecompressionBombWarning)  # ours is the lower limit
            image = PilImage.open(io.BytesIO(data))
        if image.width * image.height > MAX_PIXELS:
            raise PoisonError(
                "unreadable_prompt", f"an image of {image.width} x {image.height}; {MAX_PIXELS} pixels are allowed"
            )
        return image.convert("RGB")
    except (PoisonError, MemoryError):
        raise
    except Exception as error:
        # Decoders raise what they come across (SyntaxError, struct.error, zlib.error, ...), and all of it is the bytes' fault.
        raise PoisonError("unreadable_prompt", f"an image of {len(data)} bytes cannot be decoded") from error
