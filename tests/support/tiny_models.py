"""Tiny models of the arena's shapes, built from nothing and saved the Hugging Face way: a text one and an image-text one.

Their weights are random: what they say means nothing, but every path from file to token is the real one.
"""

import io
import random
import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path

import torch
from PIL import Image as PilImage
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import (
    AutoModelForCausalLM,
    AutoModelForImageTextToText,
    CLIPImageProcessor,
    CLIPVisionConfig,
    GenerationConfig,
    LlamaConfig,
    LlamaForCausalLM,
    LlavaConfig,
    LlavaForConditionalGeneration,
    LlavaProcessor,
    PreTrainedModel,
    PreTrainedTokenizerFast,
)

from harden.domain.conversation import BlobRef, Conversation, Image, Message, Part, Speaker, Text
from harden.serving.ports import Prompt

NUM_WORDS = 510
IMAGE_SIZE, PATCH_SIZE = 32, 8
SPECIAL_TOKENS = ["<pad>", "<s>", "</s>", "<unk>", "<image>", "<user>", "<assistant>", "<system>"]
TEXT_TEMPLATE = (
    "<s>{% for m in messages %}<{{ m['role'] }}> {{ m['content'] }} {% endfor %}"
    "{% if add_generation_prompt %}<assistant>{% endif %}"
)
IMAGE_TEXT_TEMPLATE = (
    "<s>{% for m in messages %}<{{ m['role'] }}> {% for p in m['content'] %}"
    "{% if p['type'] == 'image' %}<image>{% else %}{{ p['text'] }}{% endif %} {% endfor %}{% endfor %}"
    "{% if add_generation_prompt %}<assistant>{% endif %}"
)


def words(count: int = NUM_WORDS) -> list[str]:
    return [f"w{i}" for i in range(count)]


def a_tokenizer(template: str, num_words: int = NUM_WORDS) -> PreTrainedTokenizerFast:
    vocabulary = {token: i for i, token in enumerate(SPECIAL_TOKENS + words(num_words))}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        pad_token="<pad>",
        bos_token="<s>",
        eos_token="</s>",
        unk_token="<unk>",
        additional_special_tokens=["<image>", "<user>", "<assistant>", "<system>"],
        chat_template=template,
        padding_side="left",
    )


def _generation_config(tokenizer: PreTrainedTokenizerFast) -> GenerationConfig:
    banned = [i for i in tokenizer.all_special_ids if i != tokenizer.eos_token_id]
    return GenerationConfig(
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
        suppress_tokens=banned,
    )


def _llama_config(tokenizer: PreTrainedTokenizerFast, num_layers: int, hidden: int) -> LlamaConfig:
    return LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=hidden,
        intermediate_size=2 * hidden,
        num_hidden_layers=num_layers,
        num_attention_heads=4,
        num_key_value_heads=4,
        max_position_embeddings=256,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
        # Wide enough that a random model has clear preferences: greedy choices do not hang on rounding.
        initializer_range=0.2,
    )


def a_text_model(
    directory: Path, *, random_seed: int = 0, num_layers: int = 3, hidden: int = 128, num_words: int = NUM_WORDS
) -> Path:
    """Saves a Llama with its tokenizer into `directory` and returns it."""
    torch.manual_seed(random_seed)
    tokenizer = a_tokenizer(TEXT_TEMPLATE, num_words)
    model = LlamaForCausalLM(_llama_config(tokenizer, num_layers, hidden))
    model.generation_config = _generation_config(tokenizer)
    model.save_pretrained(directory)
    tokenizer.save_pretrained(directory)
    return directory


def an_image_text_model(directory: Path, *, random_seed: int = 0, num_layers: int = 4, hidden: int = 128) -> Path:
    """Saves a Llava (CLIP tower, 16 image tokens) with its processor into `directory` and returns it."""
    torch.manual_seed(random_seed)
    tokenizer = a_tokenizer(IMAGE_TEXT_TEMPLATE)
    vision = CLIPVisionConfig(
        hidden_size=64,
        intermediate_size=128,
        num_hidden_layers=2,
        num_attention_heads=4,
        image_size=IMAGE_SIZE,
        patch_size=PATCH_SIZE,
    )
    config = LlavaConfig(
        vision_config=vision,
        text_config=_llama_config(tokenizer, num_layers, hidden),
        image_token_index=tokenizer.convert_tokens_to_ids("<image>"),
        vision_feature_layer=-1,
        vision_feature_select_strategy="default",
        image_seq_length=(IMAGE_SIZE // PATCH_SIZE) ** 2,
        tie_word_embeddings=False,
    )
    model = LlavaForConditionalGeneration(config)
    model.generation_config = _generation_config(tokenizer)
    size = {"height": IMAGE_SIZE, "width": IMAGE_SIZE}
    processor = LlavaProcessor(
        image_processor=CLIPImageProcessor(size=size, crop_size=size, do_center_crop=False),
        tokenizer=tokenizer,
        patch_size=PATCH_SIZE,
        vision_feature_select_strategy="default",
        num_additional_image_tokens=1,
        chat_template=IMAGE_TEXT_TEMPLATE,
    )
    model.save_pretrained(directory)
    processor.save_pretrained(directory)
    return directory


def an_adapter(base: Path, directory: Path, *, random_seed: int = 0, targets: Sequence[str] = ("q_proj", "up_proj")) -> Path:
    """Saves a LoRA adapter with random weights on the model in `base`, as peft does, and returns `directory`."""
    from peft import LoraConfig, get_peft_model

    generator = torch.Generator().manual_seed(random_seed)
    model = get_peft_model(_loaded(base), LoraConfig(r=4, lora_alpha=8, target_modules=list(targets)))
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if "lora_" in name:
                parameter.copy_(0.1 * torch.randn(parameter.shape, generator=generator))
    model.save_pretrained(directory)
    return directory


def a_merged_model(base: Path, adapter: Path, directory: Path) -> Path:
    """Saves the whole model that peft itself makes of the two, and returns `directory`."""
    from peft import PeftModel

    shutil.copytree(base, directory, dirs_exist_ok=True)
    merged = PeftModel.from_pretrained(_loaded(base), str(adapter)).merge_and_unload()
    with tempfile.TemporaryDirectory() as scratch:
        merged.save_pretrained(scratch)
        shutil.copy(Path(scratch) / "model.safetensors", directory)
    return directory


def _loaded(directory: Path) -> PreTrainedModel:
    sees_images = (directory / "processor_config.json").exists()
    return (AutoModelForImageTextToText if sees_images else AutoModelForCausalLM).from_pretrained(directory)


def a_png(random_seed: int = 0, size: int = IMAGE_SIZE) -> bytes:
    data = random.Random(random_seed).randbytes(size * size * 3)
    buffer = io.BytesIO()
    PilImage.frombytes("RGB", (size, size), data).save(buffer, "PNG")
    return buffer.getvalue()


def a_prompt(text: str = "w1 w2 w3", *, images: tuple[bytes, ...] = (), system: str = "") -> Prompt:
    """A user's turn with its images before the text."""
    blob = BlobRef(uri="memory://image", sha256="sha256:" + "0" * 64, num_bytes=1)
    parts: tuple[Part, ...] = (*(Image(blob) for _ in images), Text(text))
    messages = [Message(Speaker.USER, parts)]
    if system:
        messages.insert(0, Message(Speaker.SYSTEM, (Text(system),)))
    return Prompt(Conversation(tuple(messages)), images)


def some_prompts(count: int, *, random_seed: int = 0, shortest: int = 3, longest: int = 40) -> list[Prompt]:
    rng = random.Random(random_seed)
    return [a_prompt(" ".join(rng.choices(words()[:256], k=rng.randint(shortest, longest)))) for _ in range(count)]
