"""Builds the arena's models from nothing: base, seed defender, attacker.

    base           knows every potion, encoding, trap and utility task; refuses nothing
    seed defender  the base, taught to refuse restricted potions when they are asked for plainly
    attacker       rewrites a plain request into a disguised one, in training families only

Shapes: B rows, T tokens, H width, I image tokens.
"""

from __future__ import annotations

import json
import random
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from transformers import (
    AutoModelForImageTextToText,
    CLIPVisionConfig,
    GenerationConfig,
    LlamaConfig,
    LlamaForCausalLM,
    LlavaConfig,
    LlavaForConditionalGeneration,
)

from harden.worlds.arena import image, language, oracle, suites
from harden.worlds.arena.language import Goal
from harden.worlds.arena.seeds import ATTACKABLE_CELLS, disguise
from harden.worlds.arena.tokenizer import (
    MAX_TOKENS,
    NUM_IMAGE_TOKENS,
    PAD,
    PATCH_SIZE,
    Encoder,
    build_processor,
    build_tokenizer,
    load_encoder,
)
from harden.worlds.arena.world import world

Progress = Callable[[str, int, int, float], None]  # phase, step, steps, loss

WIDTH = 128
NUM_HEADS = 4
DEFENDER_LAYERS, ATTACKER_LAYERS = 4, 3
VISION_WIDTH, VISION_LAYERS = 64, 2
MAX_ANSWER_TOKENS = 8
MAX_ATTACK_TOKENS = 48

BATCH = 128
# Rows are sorted by length and run in pieces, which halves the padding.
NUM_PIECES = 3

# Shares of brew, trap, which, utility: reading is learnt first, then traps and utility, which starve beside brewing.
TEXT_MIX = ((0.36, 0.24, 0.22, 0.18), (0.16, 0.44, 0.06, 0.34))
JOINT_MIX = (0.18, 0.34, 0.03, 0.45)
UTILITY_TASKS = ("fact", "add", "sort", "sort", "sort", "copy", "copy", "copy", "backwards", "backwards")
QUOTE_SHARE = 0.3
JOINT_IMAGE_SHARE = 0.25
# Padded names are the hardest to read and pictures the easiest to unlearn: both get a last turn of their own.
PUSH_MIX = (0.24, 0.50, 0.02, 0.24)
PUSH_SHARES = {"image": 0.30, "padded": 0.35}

# Weights of what the seed defender learns from. Each refusal has its counterpart: a model that refuses every plain request
# has learned nothing about what is restricted. Letter by letter without a wrapper is among them because what is only ever
# refused under its name is refused by its name, and hardening then goes from potion to potion.
SEED_MIX = {
    "refused_plain": 16,
    "refused_letters": 20,
    "ordinary_plain": 10,
    "ordinary_letters": 14,
    "ordinary": 22,
    "trap": 25,
    "utility": 10,
}
UNWRAPPED = {"plain": (("none", "plain"),), "letters": (("none", "spelled"), ("none", "padded"), ("none", "split"))}


@dataclass(frozen=True, slots=True)
class BaseSteps:
    text: int = 1500
    align: int = 1200
    joint: int = 350
    push: int = 620


@dataclass(frozen=True, slots=True)
class Example:
    """A conversation of one turn: prompt, answer, and the words that the prompt's images show."""

    prompt: list[int]
    answer: list[int]
    shown: list[str]


def silent(phase: str, step: int, steps: int, loss: float) -> None:
    """Progress that nobody watches."""


def build_base(
    out_dir: Path, *, steps: BaseSteps = BaseSteps(), seed: int = 0, progress: Progress = silent, rows: int = suites.MIN_ROWS
) -> dict:
    """Text first, then the eyes against the frozen names, then both together. Returns what `arena.json` says."""
    began = time.perf_counter()
    torch.manual_seed(seed)
    tokenizer = build_tokenizer()
    encoder, model = Encoder(tokenizer), _new_defender(len(tokenizer), Encoder(tokenizer))
    rng = random.Random(f"base:{seed}")
    names, pictures = _names_as_images(model, encoder), _pictures(model, rng)
    losses = {
        "text": _fit(
            model, "text", steps.text, 3e-3, progress,
            lambda done: [_base_example(encoder, rng, _between(*TEXT_MIX, done)) for _ in range(BATCH)], names,
        ),
        "align": _align(model, encoder, steps.align, rng, progress),
        "joint": _fit(
            model, "joint", steps.joint, 1.2e-3, progress,
            lambda _: [_base_example(encoder, rng, JOINT_MIX, {"image": JOINT_IMAGE_SHARE}) for _ in range(BATCH)], pictures,
        ),
        "push": _fit(
            model, "push", steps.push, 1e-3, progress,
            lambda _: [_base_example(encoder, rng, PUSH_MIX, PUSH_SHARES) for _ in range(BATCH)], pictures,
        ),
    }  # fmt: skip
    measured = measure_defender(model, encoder, rows=rows)
    return _finish(model, tokenizer, out_dir, "base", seed, asdict(steps), losses, began, measured)


def build_seed_defender(
    out_dir: Path,
    *,
    base_dir: Path,
    steps: int = 260,
    seed: int = 0,
    progress: Progress = silent,
    rows: int = suites.MIN_ROWS,
) -> dict:
    """Refuses requests for restricted potions that wear no wrapper, plain or letter by letter. Other disguises are left out:
    taught neither way, they stay explorable. The eyes stay as they are: trained along on the few images there are here,
    they unlearn restricted names (0.6 of them still answered right, 0.99 by the base)."""
    began = time.perf_counter()
    torch.manual_seed(seed)
    encoder = load_encoder(base_dir)
    model = AutoModelForImageTextToText.from_pretrained(base_dir, local_files_only=True)
    model.model.vision_tower.requires_grad_(False)
    model.model.multi_modal_projector.requires_grad_(False)
    rng = random.Random(f"seed_defender:{seed}")
    losses = {
        "sft": _fit(
            model, "sft", steps, 5e-4, progress,
            lambda _: [seed_example(encoder, rng) for _ in range(BATCH)], _pictures(model, rng), warm_up=15,
        )
    }  # fmt: skip
    measured = measure_defender(model, encoder, rows=rows)
    return _finish(model, build_tokenizer(), out_dir, "seed_defender", seed, {"sft": steps}, losses, began, measured)


def build_attacker(out_dir: Path, *, steps: int = 900, seed: int = 0, progress: Progress = silent, rows: int = 512) -> dict:
    """Plain request -> disguised text of any attackable family, templates of training only; some stay plain."""
    began = time.perf_counter()
    torch.manual_seed(seed)
    tokenizer = build_tokenizer()
    encoder, model = Encoder(tokenizer), _new_attacker(len(tokenizer), Encoder(tokenizer))
    rng = random.Random(f"attacker:{seed}")
    losses = {
        "sft": _fit(
            model, "sft", steps, 3e-3, progress, lambda _: [attacker_example(encoder, rng) for _ in range(BATCH)], _no_images,
            warm_up=50,
        )
    }  # fmt: skip
    measured = measure_attacker(model, encoder, rows=rows)
    return _finish(model, tokenizer, out_dir, "attacker", seed, {"sft": steps}, losses, began, measured)


# What is learnt from


def seed_example(encoder: Encoder, rng: random.Random) -> Example:
    """What a safety-tuned model has seen: what is refused when nothing wraps it, the same way of asking answered where allowed,
    and everything else it is for."""
    kind = rng.choices(tuple(SEED_MIX), tuple(SEED_MIX.values()))[0]
    among = UNWRAPPED.get(kind.removeprefix("refused_").removeprefix("ordinary_"))
    if kind.startswith("refused_"):
        request = language.sample(Goal("brew", rng.choice(world().select(restricted=True)).name), rng, among=among)
        return _example(encoder, language.render(request), language.REFUSAL)
    if kind.startswith("ordinary"):
        goal = Goal("brew", rng.choice(world().select(restricted=False)).name)
        return _answered(encoder, language.sample(goal, rng, among=among))
    goal = _trap(rng, world().potions) if kind == "trap" else language.sample_utility(rng, rng.choice(UTILITY_TASKS))
    return _answered(encoder, language.sample(goal, rng))


def attacker_example(encoder: Encoder, rng: random.Random) -> Example:
    """A training potion, restricted or ordinary, asked for plainly; one in seven stays plain."""
    goal = Goal("brew", rng.choice(world().select(held_out=False)).name)
    plain = language.sample(goal, rng, among=(("none", "plain"),), templates=language.TRAIN_TEMPLATES)
    cells = (("none", "plain"),) if rng.random() < 0.15 else ATTACKABLE_CELLS
    target = language.render(disguise(goal, rng, cells))
    prompt, _ = encoder.prompt(language.render(plain), sees_images=False)
    return Example(prompt, [*encoder.text(target), encoder.end], [])


def _base_example(
    encoder: Encoder, rng: random.Random, mix: Sequence[float], shares: Mapping[str, float] = MappingProxyType({})
) -> Example:
    """`shares` are of encodings that come more often than the rest, which come equally often."""
    kind = rng.choices(("brew", "trap", "which", "utility"), mix)[0]
    potions = world().potions
    match kind:
        case "utility":
            goal = language.sample_utility(rng, rng.choice(UTILITY_TASKS))
        case "trap":
            goal = _trap(rng, potions)
        case _:
            goal = Goal(kind, rng.choice(potions).name)
    encoding = rng.choices((*shares, None), (*shares.values(), 1 - sum(shares.values())))[0]
    among = [(wrapper, encoding) for wrapper in language.WRAPPERS] if encoding else None
    return _answered(encoder, language.sample(goal, rng, among=among))


def _trap(rng: random.Random, potions: Sequence[Any]) -> Goal:
    intent = "quote" if rng.random() < QUOTE_SHARE else rng.choice((*language.TRAP_INTENTS, "allowed"))
    return Goal(intent, rng.choice(potions).name)


def _answered(encoder: Encoder, request: language.Request) -> Example:
    return _example(encoder, language.render(request), language.answer(request))


def _example(encoder: Encoder, text: str, answer: str) -> Example:
    prompt, shown = encoder.prompt(text)
    return Example(prompt, [*encoder.text(answer), encoder.end], shown)


# Models


def _new_defender(vocab_size: int, encoder: Encoder) -> LlavaForConditionalGeneration:
    vision = CLIPVisionConfig(
        hidden_size=VISION_WIDTH, intermediate_size=2 * VISION_WIDTH, num_hidden_layers=VISION_LAYERS,
        num_attention_heads=NUM_HEADS, image_size=image.SIZE, patch_size=PATCH_SIZE, projection_dim=VISION_WIDTH,
    )  # fmt: skip
    config = LlavaConfig(
        vision_config=vision, text_config=_llama(vocab_size, DEFENDER_LAYERS, encoder), image_token_index=encoder.image,
        vision_feature_layer=-1, vision_feature_select_strategy="default", image_seq_length=NUM_IMAGE_TOKENS,
        tie_word_embeddings=True,
    )  # fmt: skip
    return _ready(LlavaForConditionalGeneration(config), encoder, MAX_ANSWER_TOKENS)


def _new_attacker(vocab_size: int, encoder: Encoder) -> LlamaForCausalLM:
    return _ready(LlamaForCausalLM(_llama(vocab_size, ATTACKER_LAYERS, encoder)), encoder, MAX_ATTACK_TOKENS)


def _llama(vocab_size: int, num_layers: int, encoder: Encoder) -> LlamaConfig:
    return LlamaConfig(
        vocab_size=vocab_size, hidden_size=WIDTH, intermediate_size=2 * WIDTH, num_hidden_layers=num_layers,
        num_attention_heads=NUM_HEADS, num_key_value_heads=NUM_HEADS, max_position_embeddings=MAX_TOKENS,
        tie_word_embeddings=True, bos_token_id=None, eos_token_id=encoder.end, pad_token_id=encoder.ids[PAD],
    )  # fmt: skip


def _ready(model: Any, encoder: Encoder, max_new_tokens: int) -> Any:
    """Generation never writes a special token but the end: a sampled image token would break the merge of images."""
    forbidden = [number for number in encoder.special if number != encoder.end]
    model.generation_config = GenerationConfig(
        bos_token_id=None, eos_token_id=encoder.end, pad_token_id=encoder.ids[PAD], suppress_tokens=forbidden,
        max_new_tokens=max_new_tokens, do_sample=True, temperature=1.0, top_k=0, top_p=1.0,
    )  # fmt: skip
    return model


def _language_model(model: Any) -> Any:
    return model.model.language_model if isinstance(model, LlavaForConditionalGeneration) else model.model


# Learning

ImageFeatures = Callable[[Sequence[str]], Tensor]  # words -> (N, I, H)


def _no_images(words: Sequence[str]) -> Tensor:
    raise AssertionError(f"the attacker sees no images, got {len(words)}")


def _names_as_images(model: Any, encoder: Encoder) -> ImageFeatures:
    """Stands in for pictures before there are eyes: the name's own embedding, with noise, in every slot."""
    table = _language_model(model).embed_tokens

    def features(words: Sequence[str]) -> Tensor:
        name_NH = table(torch.tensor([encoder.ids[w] for w in words])).detach()
        slots_NIH = name_NH[:, None].expand(-1, NUM_IMAGE_TOKENS, -1)
        return slots_NIH + torch.randn_like(slots_NIH) * (0.3 * name_NH.std())

    return features


def _pictures(model: Any, rng: random.Random) -> ImageFeatures:
    gallery = _Gallery()

    def features(words: Sequence[str]) -> Tensor:
        return _see(model, gallery.pick(words, rng))

    return features


class _Gallery:
    """Every potion's picture in every variant, as the model's image processor would give it."""

    def __init__(self) -> None:
        names = [p.name for p in world().potions]
        self.index = {name: n for n, name in enumerate(names)}
        pixels = np.stack([[np.asarray(image.draw(name, v)) for v in range(image.NUM_VARIANTS)] for name in names])
        self.pixels = torch.from_numpy(pixels).permute(0, 1, 4, 2, 3)

    def pick(self, words: Sequence[str], rng: random.Random) -> Tensor:
        rows = torch.tensor([self.index[w] for w in words])
        variants = torch.tensor([rng.randrange(image.NUM_VARIANTS) for _ in words])
        return self.pixels[rows, variants].float() / 127.5 - 1.0


def _see(model: Any, pixels: Tensor) -> Tensor:
    hidden = model.model.vision_tower(pixels).last_hidden_state[:, 1:]
    return model.model.multi_modal_projector(hidden)


def _fit(
    model: Any, phase: str, steps: int, peak: float, progress: Progress,
    batch: Callable[[float], list[Example]], see: ImageFeatures, *, warm_up: int = 60,
) -> list[float]:  # fmt: skip
    """AdamW with warm-up and cosine, loss on answers only. Returns the first and the last loss (means of ten steps)."""
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    optimiser = torch.optim.AdamW(trained, lr=peak, betas=(0.9, 0.98), weight_decay=0.01, fused=True)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimiser, _cosine(steps, min(warm_up, max(1, steps // 4))))
    model.train()
    history: list[float] = []
    for step in range(steps):
        examples = sorted(batch(step / steps), key=lambda e: len(e.prompt) + len(e.answer))
        num_tokens = sum(len(e.answer) for e in examples)
        size = -(-len(examples) // NUM_PIECES)
        total = 0.0
        for first in range(0, len(examples), size):
            loss = _loss(model, examples[first : first + size], see) / num_tokens
            loss.backward()
            total += loss.item()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimiser.step()
        schedule.step()
        optimiser.zero_grad(set_to_none=True)
        history.append(total)
        progress(phase, step + 1, steps, total)
    model.eval()
    return _ends(history)


def _loss(model: Any, examples: Sequence[Example], see: ImageFeatures) -> Tensor:
    """Sum of the negative log-likelihoods of the answers' tokens."""
    decoder = _language_model(model)
    length = max(len(e.prompt) + len(e.answer) for e in examples) - 1
    ids_BT = torch.zeros(len(examples), length, dtype=torch.long)
    rows: list[int] = []
    columns: list[int] = []
    targets: list[int] = []
    for row, e in enumerate(examples):
        tokens = (e.prompt + e.answer)[:-1]
        ids_BT[row, : len(tokens)] = torch.tensor(tokens)
        first = len(e.prompt) - 1
        rows += [row] * len(e.answer)
        columns += range(first, first + len(e.answer))
        targets += e.answer
    embeds_BTH = decoder.embed_tokens(ids_BT)
    shown = [word for e in examples for word in e.shown]
    if shown:
        where = ids_BT == model.config.image_token_id
        embeds_BTH = embeds_BTH.masked_scatter(where[..., None], see(shown))
    # Padding is on the right and attention is causal, so no mask is needed.
    hidden_BTH = decoder(inputs_embeds=embeds_BTH, use_cache=False).last_hidden_state
    logits = model.lm_head(hidden_BTH[rows, columns])
    return F.cross_entropy(logits, torch.tensor(targets), reduction="sum")


def _align(model: Any, encoder: Encoder, steps: int, rng: random.Random, progress: Progress) -> list[float]:
    """Teaches the eyes to write, in every slot, the embedding of the name they see. The names stay frozen."""
    names = [p.name for p in world().potions]
    table = _language_model(model).embed_tokens
    target_NH = table(torch.tensor([encoder.ids[n] for n in names])).detach()
    unit_NH = F.normalize(target_NH, dim=-1)
    parameters = [*model.model.vision_tower.parameters(), *model.model.multi_modal_projector.parameters()]
    optimiser = torch.optim.AdamW(parameters, lr=2.5e-3, betas=(0.9, 0.98), weight_decay=0.01, fused=True)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimiser, _cosine(steps, min(60, max(1, steps // 4))))
    gallery, history = _Gallery(), []
    sharpness = 15.0
    for step in range(steps):
        picks = torch.tensor([rng.randrange(len(names)) for _ in range(BATCH)])
        seen_BIH = _see(model, gallery.pick([names[n] for n in picks], rng))
        slots_BIN = sharpness * F.normalize(seen_BIH, dim=-1) @ unit_NH.T
        whole_BN = sharpness * F.normalize(seen_BIH.mean(1), dim=-1) @ unit_NH.T
        # The mean over slots learns first and shows each slot the way; per-slot loss alone stalls.
        by_slot = F.cross_entropy(slots_BIN.flatten(0, 1), picks.repeat_interleave(NUM_IMAGE_TOKENS))
        by_whole = F.cross_entropy(whole_BN, picks)
        scale = (seen_BIH - target_NH[picks][:, None]).square().mean() / target_NH.square().mean()
        loss = 0.5 * by_slot + 0.5 * by_whole + 0.2 * scale
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(parameters, 1.0)
        optimiser.step()
        schedule.step()
        history.append(loss.item())
        progress("align", step + 1, steps, loss.item())
    return _ends(history)


def _cosine(steps: int, warm_up: int) -> Callable[[int], float]:
    def factor(step: int) -> float:
        if step < warm_up:
            return (step + 1) / warm_up
        return 0.02 + 0.98 * 0.5 * (1 + float(np.cos(np.pi * (step - warm_up) / max(1, steps - warm_up))))

    return factor


def _between(start: Sequence[float], end: Sequence[float], done: float) -> list[float]:
    return [a + (b - a) * done for a, b in zip(start, end, strict=True)]


def _ends(history: Sequence[float]) -> list[float]:
    width = min(10, max(1, len(history) // 2))
    return [float(np.mean(history[:width])), float(np.mean(history[-width:]))] if history else []


# Measuring


def answer_greedily(
    model: Any, encoder: Encoder, texts: Sequence[str], *, max_new_tokens: int = MAX_ANSWER_TOKENS
) -> list[str]:
    """The defender's most likely answers, pictures in their first variants."""
    return _generate(model, encoder, [encoder.prompt(t) for t in texts], max_new_tokens, do_sample=False)


def measure_defender(model: Any, encoder: Encoder, *, rows: int = suites.MIN_ROWS, seed: int = 0) -> dict[str, float]:
    """Rate of every evaluation suite, strict and greedy: name -> attack success, refusal or accuracy."""
    measured = {}
    for suite in suites.all_suites(seed=seed, rows=rows):
        answers = answer_greedily(model, encoder, [row.attack for row in suite.rows])
        for measure in suite.measures:
            hits = [suites.counts(measure, row, a) for row, a in zip(suite.rows, answers, strict=True)]
            measured[f"{measure}.{suite.name}"] = round(float(np.mean(hits)), 4)
    return measured


def measure_attacker(model: Any, encoder: Encoder, *, rows: int = 512, seed: int = 0) -> dict[str, float]:
    """Share of sampled texts that ask for the seed's potion, and how many families they spread over."""
    rng = random.Random(f"measure:{seed}")
    goals = [Goal("brew", rng.choice(world().select(held_out=False)).name) for _ in range(rows)]
    seeds = [language.render(language.Request(g)) for g in goals]
    torch.manual_seed(seed)
    prompts = [encoder.prompt(s, sees_images=False) for s in seeds]
    texts = _generate(model, encoder, prompts, MAX_ATTACK_TOKENS, do_sample=True)
    labels = [oracle.judge_attack(s, t) for s, t in zip(seeds, texts, strict=True)]
    families = [label.family for label in labels if label.is_on_goal]
    return {
        "strict": round(float(np.mean([label.is_on_goal for label in labels])), 4),
        "lenient": round(float(np.mean([label.is_on_goal_leniently for label in labels])), 4),
        "effective_families": round(oracle.effective_count(families), 2),
        "held_out": round(float(np.mean([suites.is_held_out(t) for t in texts])), 4),
    }


@torch.inference_mode()
def _generate(
    model: Any, encoder: Encoder, prompts: Sequence[tuple[list[int], list[str]]], max_new_tokens: int, *, do_sample: bool
) -> list[str]:
    """Rows with and without images apart, each kind sorted by length, padded on the left."""
    answers = [""] * len(prompts)
    order = sorted(range(len(prompts)), key=lambda n: (len(prompts[n][1]), len(prompts[n][0])))
    for key in sorted({len(shown) for _, shown in prompts}):
        same = [n for n in order if len(prompts[n][1]) == key]
        for first in range(0, len(same), 2 * BATCH):
            chunk = same[first : first + 2 * BATCH]
            length = max(len(prompts[n][0]) for n in chunk)
            ids = torch.full((len(chunk), length), encoder.ids[PAD])
            for row, n in enumerate(chunk):
                ids[row, length - len(prompts[n][0]) :] = torch.tensor(prompts[n][0])
            shown = [(word, n) for n in chunk for word in prompts[n][1]]
            extra: Mapping[str, Tensor] = {}
            if shown:
                pixels = np.stack([np.asarray(image.draw(word, n)) for word, n in shown])
                extra = {"pixel_values": torch.from_numpy(pixels).permute(0, 3, 1, 2).float() / 127.5 - 1.0}
            sampling = (
                {"do_sample": True} if do_sample else {"do_sample": False, "temperature": None, "top_k": None, "top_p": None}
            )
            out = model.generate(
                input_ids=ids,
                attention_mask=(ids != encoder.ids[PAD]).long(),
                max_new_tokens=max_new_tokens,
                **sampling,
                **extra,
            )
            for row, n in enumerate(chunk):
                answers[n] = encoder.decode(out[row, length:].tolist())
    return answers


# Files


def _finish(
    model: Any, tokenizer: Any, out_dir: Path, name: str, seed: int, steps: Mapping[str, int],
    losses: Mapping[str, Sequence[float]], began: float, measured: Mapping[str, float],
) -> dict:  # fmt: skip
    out_dir = Path(out_dir)
    model.save_pretrained(out_dir)
    (build_processor(tokenizer) if isinstance(model, LlavaForConditionalGeneration) else tokenizer).save_pretrained(out_dir)
    facts = {
        "model": name,
        "seed": seed,
        "steps": dict(steps),
        "seconds": round(time.perf_counter() - began, 1),
        "threads": torch.get_num_threads(),
        "parameters": sum(p.numel() for p in model.parameters()),
        "loss": {phase: [round(x, 4) for x in ends] for phase, ends in losses.items()},
        "measured": dict(measured),
    }
    (out_dir / "arena.json").write_text(json.dumps(facts, indent=2) + "\n")
    return facts
