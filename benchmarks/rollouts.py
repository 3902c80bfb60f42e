"""What the step of `grpo_step_vs_trl` is taken on: policies, prompts as both sides read them, and exact rewards."""

import io
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from PIL import Image
from transformers import AutoConfig, AutoModelForCausalLM, AutoModelForImageTextToText, GenerationConfig

from benchmarks import workloads
from harden.domain.conversation import BlobRef, Conversation, Message, Part, Speaker, Text
from harden.domain.conversation import Image as ImagePart
from harden.serving.ports import Prompt
from harden.serving.prompt_encoder import PromptEncoder
from harden.worlds.arena import image

DEFENDER_TOKENS = 12
LONG_ANSWER_TOKENS = 12
LONGEST = 2048


@dataclass(frozen=True, slots=True)
class Question:
    """A prompt as the engine and as TRL's data set have it; `text` finds the reward of an answer."""

    text: str
    prompt: Prompt
    row: dict[str, Any]
    reward: Callable[[str], float]


@dataclass(frozen=True, slots=True)
class Workload:
    """`sees_images`: whether the policy is an image-text model."""

    name: str
    directory: Path
    questions: Sequence[Question]
    k: int
    max_tokens: int
    goal: float
    sees_images: bool = False
    prompt_tokens: int = 0  # of each prompt; 0 where they differ


def defender(name: str, directory: Path, num_prompts: int, k: int, goal: float) -> Workload:
    """The demo's defender: short answers, many of them alike."""

    def question(asked: workloads.Question) -> Question:
        return Question(asked.text, asked.prompt, _row(asked.text), lambda answer: workloads.reward(asked, answer))

    questions = [question(asked) for asked in workloads.questions(num_prompts)]
    return Workload(name, workloads.text_defender(directory), questions, k, DEFENDER_TOKENS, goal)


def attacker(num_prompts: int, k: int, goal: float) -> Workload:
    """The demo's attacker: texts of up to 56 tokens, hardly two alike."""

    def question(prompt: Prompt) -> Question:
        seed = prompt.conversation.last_text
        return Question(
            seed, prompt, _row(seed), lambda text: float(workloads.ARENA.lore.oracle.judge_attack(seed, text).is_on_goal)
        )

    questions = [question(prompt) for prompt in workloads.plain_requests(num_prompts)]
    return Workload("attacker", workloads.ATTACKER, questions, k, workloads.ATTACK_TOKENS, goal)


def long_prompts(directory: Path, num_tokens: int, num_prompts: int, k: int, goal: float, *, images: bool = False) -> Workload:
    """Prompts of `num_tokens` tokens, image tokens included, to the seed defender's architecture with new weights and room
    for them. What it says means nothing, so an answer earns the share of its words in the first half of the alphabet."""
    path = _with_room(directory, images)
    encoder = PromptEncoder(path, sees_images=images)
    questions = []
    for i in range(num_prompts):
        rng = random.Random(i)
        text, prompt = _fill(encoder, num_tokens, rng, images)
        picture = prompt.images[0] if images else None
        questions.append(Question(text, prompt, _row(text, picture), _early_words))
    name = f"prompt{num_tokens}" + ("_image" if images else "")
    return Workload(name, path, questions, k, LONG_ANSWER_TOKENS, goal, images, num_tokens)


def _with_room(directory: Path, images: bool) -> Path:
    config = AutoConfig.from_pretrained(workloads.DEFENDER, local_files_only=True)
    config.text_config.max_position_embeddings = LONGEST
    torch.manual_seed(0)
    model = AutoModelForImageTextToText.from_config(config) if images else AutoModelForCausalLM.from_config(config.text_config)
    model.generation_config = GenerationConfig.from_pretrained(workloads.DEFENDER, local_files_only=True)
    model.float().save_pretrained(directory)
    for name in (
        "tokenizer.json",
        "tokenizer_config.json",
        "chat_template.jinja",
        *(["processor_config.json"] if images else []),
    ):
        (directory / name).write_bytes((workloads.DEFENDER / name).read_bytes())
    return directory


def _fill(encoder: PromptEncoder, num_tokens: int, rng: random.Random, images: bool) -> tuple[str, Prompt]:
    """Words of the arena's own requests, as many as make the prompt so long."""
    vocabulary = sorted({word for asked in workloads.questions(64) for word in asked.text.split()})
    pictures = (image.render(rng.choice(vocabulary), 0),) if images else ()

    def prompt_of(words: Sequence[str]) -> Prompt:
        text = Text(" ".join(words))
        blob = BlobRef("memory://image", "sha256:" + "0" * 64, 1)
        parts: list[Part] = [*(ImagePart(blob) for _ in pictures), text]
        return Prompt(Conversation((Message(Speaker.USER, tuple(parts)),)), pictures)

    words: list[str] = [rng.choice(vocabulary)]
    while (length := _length(encoder, prompt_of(words))) < num_tokens:
        # A word is a token at least; the last ones are added one by one.
        words += [rng.choice(vocabulary) for _ in range(max(1, (num_tokens - length) // 2))]
    return " ".join(words), prompt_of(words)


def _length(encoder: PromptEncoder, prompt: Prompt) -> int:
    return int(encoder.encode([prompt])["attention_mask"].sum())


def _early_words(answer: str) -> float:
    words = answer.split()
    return sum(word[0] < "n" for word in words) / len(words) if words else 0.0


def _row(text: str, picture: bytes | None = None) -> dict[str, Any]:
    row: dict[str, Any] = {"prompt": [{"role": "user", "content": text}]}
    if picture is not None:
        row["images"] = [Image.open(io.BytesIO(picture)).convert("RGB")]
    return row


def texts_of(messages: Sequence[dict[str, Any]]) -> str:
    """The words of the last message, which TRL may have given parts."""
    content = messages[-1]["content"]
    return content if isinstance(content, str) else " ".join(part["text"] for part in content if part["type"] == "text")
