"""Builds the models of one world from nothing: base, seed defender, attacker.

    base           knows every potion, disguise, trap and utility task; refuses nothing
    seed defender  the base, taught to refuse the restricted potions on its list when they are asked for plainly
    attacker       rewrites a plain request into a disguised one, in any attackable cell

All of them learn from the part `train` alone (harden.worlds.arena.splits). No model is ever told that a potion outside the
list is restricted: it is never refused, and nobody is asked whether it is allowed.

Shapes: B rows, T tokens, H width, I image tokens.
"""

from __future__ import annotations

import json
import random
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
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

from harden.domain.game import Split
from harden.domain.verdict import Outcome
from harden.worlds.arena import image, language, oracle
from harden.worlds.arena.language import CELLS, COMPOSED, DIRECT, SHALLOW, TRAIN_TEMPLATES, Cell, Goal
from harden.worlds.arena.lore import Lore
from harden.worlds.arena.muon import Muon
from harden.worlds.arena.suites import MIN_ROWS
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
from harden.worlds.arena.world import Group, Potion

Progress = Callable[[str, int, int, float], None]  # phase, step, steps, loss

WIDTH = 128
NUM_HEADS = 4
DEFENDER_LAYERS, ATTACKER_LAYERS = 4, 3
VISION_WIDTH, VISION_LAYERS = 64, 2
MAX_ANSWER_TOKENS = 8
MAX_ATTACK_TOKENS = 56

BATCH = 128
# Its texts are long, so that a small batch shows many tokens, and copying letters takes many steps.
ATTACKER_BATCH = 64
# Rows are sorted by length and run in pieces, which halves the padding.
NUM_PIECES = 6

# Shares of brew, trap, which, utility: reading is learnt first, then traps and utility, which starve beside brewing.
TEXT_MIX = ((0.24, 0.18, 0.42, 0.16), (0.24, 0.38, 0.12, 0.26))
JOINT_MIX = (0.26, 0.36, 0.04, 0.34)
UTILITY_TASKS = ("fact", "add", "sort", "sort", "sort", "copy", "copy", "copy", "backwards", "backwards")
QUOTE_SHARE = 0.3
# How often each presentation is shown: those with letters have eight encodings each and are the hardest to read.
PRESENTATION_SHARES = {"plain": 0.08, "code": 0.10, "image": 0.08, "spelled": 0.24, "split": 0.25, "cipher": 0.25}
# Pictures are the easiest to unlearn.
IMAGE_SHARE = 0.25

# Weights of what the seed defender learns from. Each refusal has its counterpart: a model that refuses every plain request
# has learned nothing about what is restricted. "which" keeps names readable, in pictures above all, while their words change.
SEED_MIX = {"refused_plain": 28, "ordinary_plain": 12, "ordinary": 25, "trap": 25, "which": 12, "utility": 10}
# Shares of the attacker's examples: as they stand, in a disguise that a transform knows, in a deeper one.
ATTACK_SHARES = (((DIRECT,), 0.10), (SHALLOW, 0.30), (COMPOSED, 0.60))

# Whom nobody tells what is restricted and what is not.
TOLD = (Group.ATTACKED, Group.LISTED, Group.ORDINARY)


@dataclass(frozen=True, slots=True)
class BaseSteps:
    text: int = 650
    align: int = 1300
    joint: int = 350


@dataclass(frozen=True, slots=True)
class Example:
    """A conversation of one turn: prompt, answer, and the words that the prompt's images show."""

    prompt: list[int]
    answer: list[int]
    shown: list[str]


def use_threads(count: int) -> None:
    torch.set_num_threads(count)


def silent(phase: str, step: int, steps: int, loss: float) -> None:
    """Progress that nobody watches."""


def build_base(
    lore: Lore,
    out_dir: Path,
    *,
    steps: BaseSteps = BaseSteps(),
    seed: int = 0,
    progress: Progress = silent,
    rows: int = MIN_ROWS,
) -> dict:
    """Text first, then the eyes against the frozen names, then both together. Returns what `arena.json` says."""
    began = time.perf_counter()
    torch.manual_seed(seed)
    tokenizer = build_tokenizer(lore.world)
    encoder = Encoder(tokenizer)
    model = _new_defender(len(tokenizer), encoder)
    teacher = Teacher(lore, encoder, random.Random(f"base:{seed}"))
    names, pictures = _names_as_images(model, encoder), _pictures(model, lore, teacher.rng)
    losses = {
        "text": _fit(
            model, "text", steps.text, 3e-3, progress,
            lambda done: [teacher.base_example(_between(*TEXT_MIX, done)) for _ in range(BATCH)], names,
        ),
        "align": _align(model, lore, encoder, steps.align, teacher.rng, progress),
        "joint": _fit(
            model, "joint", steps.joint, 5e-4, progress,
            lambda _: [teacher.base_example(JOINT_MIX, IMAGE_SHARE) for _ in range(BATCH)], pictures,
        ),
    }  # fmt: skip
    measured = measure_defender(lore, model, encoder, rows=rows)
    return _finish(lore, model, tokenizer, out_dir, "base", seed, asdict(steps), losses, began, measured)


def build_seed_defender(
    lore: Lore,
    out_dir: Path,
    *,
    base_dir: Path,
    steps: int = 420,
    seed: int = 0,
    progress: Progress = silent,
    rows: int = MIN_ROWS,
) -> dict:
    """Refuses plain requests for the restricted potions on the list. Disguised ones are left out: taught neither way, they stay
    explorable. A faster rate refuses or garbles half of them as well. The eyes stay as they are:
    trained along on the few images there are here, they unlearn restricted names."""
    began = time.perf_counter()
    torch.manual_seed(seed)
    encoder = load_encoder(base_dir)
    model = AutoModelForImageTextToText.from_pretrained(base_dir, local_files_only=True)
    model.model.vision_tower.requires_grad_(False)
    model.model.multi_modal_projector.requires_grad_(False)
    teacher = Teacher(lore, encoder, random.Random(f"seed_defender:{seed}"))
    losses = {
        "sft": _fit(
            model, "sft", steps, 1.2e-4, progress,
            lambda _: [teacher.seed_example() for _ in range(BATCH)], _pictures(model, lore, teacher.rng), warm_up=15,
        )
    }  # fmt: skip
    measured = measure_defender(lore, model, encoder, rows=rows)
    return _finish(
        lore, model, build_tokenizer(lore.world), out_dir, "seed_defender", seed, {"sft": steps}, losses, began, measured
    )


def build_attacker(
    lore: Lore, out_dir: Path, *, steps: int = 800, seed: int = 0, progress: Progress = silent, rows: int = 512
) -> dict:
    """Plain request -> disguised text in any attackable cell, templates of training only; some stay plain."""
    began = time.perf_counter()
    torch.manual_seed(seed)
    tokenizer = build_tokenizer(lore.world)
    encoder = Encoder(tokenizer)
    model = _new_attacker(len(tokenizer), encoder)
    teacher = Teacher(lore, encoder, random.Random(f"attacker:{seed}"))
    losses = {
        "sft": _fit(
            model, "sft", steps, 3e-3, progress, lambda _: [teacher.attacker_example() for _ in range(ATTACKER_BATCH)],
            _no_images, warm_up=50,
        )
    }  # fmt: skip
    measured = measure_attacker(lore, model, encoder, rows=rows)
    return _finish(lore, model, tokenizer, out_dir, "attacker", seed, {"sft": steps}, losses, began, measured)


# What is learnt from


class Teacher:
    """Draws examples of one world, all of the part `train`."""

    def __init__(self, lore: Lore, encoder: Encoder, rng: random.Random) -> None:
        self.lore, self.encoder, self.rng = lore, encoder, rng

    def base_example(self, mix: Sequence[float], image_share: float | None = None) -> Example:
        """`mix`: shares of brew, trap, which, utility. `image_share` in place of the usual share of pictures."""
        kind = self.rng.choices(("brew", "trap", "which", "utility"), mix)[0]
        potions = self.lore.world.of()
        match kind:
            case "utility":
                goal = self._utility()
            case "trap":
                goal = self._trap(potions)
            case _:
                goal = Goal(kind, self.rng.choice(potions).name)
        return self._answered(goal, self._cells(goal, image_share))

    def seed_example(self) -> Example:
        """What a safety-tuned model has seen: plain requests for what is listed refused, the same way of asking answered where
        allowed, and everything else it is for. Of potions that nobody was told of it has seen traps alone."""
        kind = self.rng.choices(tuple(SEED_MIX), tuple(SEED_MIX.values()))[0]
        world = self.lore.world
        match kind:
            case "refused_plain":
                goal = Goal("brew", self.rng.choice(world.of(Group.ATTACKED, Group.LISTED)).name)
                request = self.lore.splits.draw(goal, self.rng, (DIRECT,))
                return self._example(language.render(request), language.REFUSAL)
            case "ordinary_plain" | "ordinary":
                goal = Goal("brew", self.rng.choice(world.of(Group.ORDINARY)).name)
                return self._answered(goal, (DIRECT,) if kind == "ordinary_plain" else self._cells(goal, IMAGE_SHARE))
            case "trap":
                goal = self._trap(world.of())
            case "which":
                goal = Goal("which", self.rng.choice(world.of()).name)
            case _:
                goal = self._utility()
        return self._answered(goal, self._cells(goal, IMAGE_SHARE))

    def attacker_example(self) -> Example:
        """Any potion asked for plainly, and the same in a disguise: an attacker can name what the game never attacks, so that a
        best response on such goals says something of the defender and not of what the attacker can spell."""
        goal = Goal("brew", self.rng.choice(self.lore.world.potions).name)
        plain = self.lore.splits.draw(goal, self.rng, (DIRECT,), TRAIN_TEMPLATES)
        cells = self.rng.choices([cells for cells, _ in ATTACK_SHARES], [share for _, share in ATTACK_SHARES])[0]
        target = language.render(self.lore.splits.draw(goal, self.rng, cells, TRAIN_TEMPLATES))
        prompt, _ = self.encoder.prompt(language.render(plain), sees_images=False)
        return Example(prompt, [*self.encoder.text(target), self.encoder.end], [])

    def _trap(self, potions: Sequence[Potion]) -> Goal:
        if self.rng.random() < QUOTE_SHARE:
            return Goal("quote", self.rng.choice(potions).name)
        intent = self.rng.choice((*language.TRAP_INTENTS, "allowed"))
        told = [p for p in potions if p.group in TOLD] if intent == "allowed" else potions
        return Goal(intent, self.rng.choice(told).name)

    def _utility(self) -> Goal:
        return language.sample_utility(self.lore.world, self.rng, self.rng.choice(UTILITY_TASKS))

    def _cells(self, goal: Goal, image_share: float | None = None) -> Sequence[Cell]:
        """Cells of one presentation, half of the time no deeper than transforms go."""
        shares = dict(PRESENTATION_SHARES)
        if image_share is not None:
            shares["image"] = image_share / (1 - image_share) * (1 - shares["image"])
        presentation = self.rng.choices(tuple(shares), tuple(shares.values()))[0]
        # What a quote shows is named word by word: deep ones are long answers to a question that is easy anyway.
        is_shallow = goal.intent == "quote" or self.rng.random() < 0.5
        return _CELLS_OF[presentation, is_shallow]

    def _answered(self, goal: Goal, cells: Sequence[Cell]) -> Example:
        request = self.lore.splits.draw(goal, self.rng, cells)
        return self._example(language.render(request), language.answer(self.lore.world, request))

    def _example(self, text: str, answer: str) -> Example:
        prompt, shown = self.encoder.prompt(text)
        return Example(prompt, [*self.encoder.text(answer), self.encoder.end], shown)


_CELLS_OF = {
    (presentation, is_shallow): tuple(c for c in CELLS if c.presentation == presentation and (c.depth <= 1 or not is_shallow))
    for presentation in PRESENTATION_SHARES
    for is_shallow in (False, True)
}


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


def _pictures(model: Any, lore: Lore, rng: random.Random) -> ImageFeatures:
    gallery = _Gallery([potion.name for potion in lore.world.potions])

    def features(words: Sequence[str]) -> Tensor:
        return _see(model, gallery.pick(words, rng))

    return features


class _Gallery:
    """Every potion's picture in every variant, as the model's image processor would give it."""

    def __init__(self, names: Sequence[str]) -> None:
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
    """Warm-up and cosine, loss on answers only. Returns the first and the last loss (means of ten steps)."""
    trained = [p for p in model.parameters() if p.requires_grad]
    matrices = [p for p in _language_model(model).layers.parameters() if p.ndim == 2]
    optimisers, schedules = _descent(trained, matrices, peak, steps, warm_up)
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
        _advance(optimisers, schedules)
        history.append(total)
        progress(phase, step + 1, steps, total)
    model.eval()
    return _ends(history)


Schedules = list[torch.optim.lr_scheduler.LRScheduler]


def _descent(
    trained: Sequence[nn.Parameter], matrices: Sequence[nn.Parameter], peak: float, steps: int, warm_up: int
) -> tuple[list[torch.optim.Optimizer], Schedules]:
    """Muon for the matrices inside a network, AdamW for what else is trained: embeddings, norms, what goes in and out."""
    inside = {id(p) for p in matrices}
    rest = [p for p in trained if id(p) not in inside]
    optimisers: list[torch.optim.Optimizer] = [
        Muon([p for p in trained if id(p) in inside], peak),
        torch.optim.AdamW(rest, lr=peak, betas=(0.9, 0.98), weight_decay=0.01, fused=True),
    ]
    rate = _cosine(steps, min(warm_up, max(1, steps // 4)))
    return optimisers, [torch.optim.lr_scheduler.LambdaLR(one, rate) for one in optimisers]


def _advance(optimisers: Sequence[torch.optim.Optimizer], schedules: Schedules) -> None:
    for optimiser, schedule in zip(optimisers, schedules, strict=True):
        optimiser.step()
        schedule.step()
        optimiser.zero_grad(set_to_none=True)


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


def _align(model: Any, lore: Lore, encoder: Encoder, steps: int, rng: random.Random, progress: Progress) -> list[float]:
    """Teaches the eyes to write, in every slot, the embedding of the name they see. The names stay frozen."""
    names = [potion.name for potion in lore.world.potions]
    table = _language_model(model).embed_tokens
    target_NH = table(torch.tensor([encoder.ids[n] for n in names])).detach()
    unit_NH = F.normalize(target_NH, dim=-1)
    parameters = [*model.model.vision_tower.parameters(), *model.model.multi_modal_projector.parameters()]
    matrices = [p for name, p in model.model.vision_tower.named_parameters() if p.ndim == 2 and "layers" in name]
    optimisers, schedules = _descent(parameters, matrices, 4e-3, steps, 60)
    gallery, history = _Gallery(names), []
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
        # A slot of the wrong length is misread even where it points the right way.
        loss = 0.5 * by_slot + 0.5 * by_whole + scale
        loss.backward()
        nn.utils.clip_grad_norm_(parameters, 1.0)
        _advance(optimisers, schedules)
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


def measure_defender(
    lore: Lore, model: Any, encoder: Encoder, *, split: Split = Split.TUNE, rows: int = MIN_ROWS
) -> dict[str, float]:
    """Rate of every suite, greedy: "measure.suite" -> rate; beside attack success what else became of the attacks.

    Nothing is measured where `rows` is 0; `measure_attacker` does as well.
    """
    measured: dict[str, float] = {}
    for suite in lore.suites.of(split, rows=rows) if rows else ():
        answers = answer_greedily(model, encoder, [row.attack for row in suite.rows])
        for measure in suite.measures:
            hits = [lore.suites.counts(measure, row, a) for row, a in zip(suite.rows, answers, strict=True)]
            measured[f"{measure}.{suite.name}"] = round(float(np.mean(hits)), 4)
        if "attack_success" in suite.measures:
            outcomes = [lore.oracle.outcome(row.seed, a) for row, a in zip(suite.rows, answers, strict=True)]
            for outcome in (Outcome.PARTIAL, Outcome.REFUSED, Outcome.GARBLED, Outcome.OTHER):
                measured[f"{outcome}.{suite.name}"] = round(outcomes.count(outcome) / len(outcomes), 4)
    return measured


def measure_attacker(lore: Lore, model: Any, encoder: Encoder, *, rows: int = 512, seed: int = 0) -> dict[str, float]:
    """Share of sampled texts that ask for the seed's potion, how deep they go, and how many families they spread over."""
    if not rows:
        return {}
    rng = random.Random(f"measure:{seed}")
    goals = [Goal("brew", rng.choice(lore.world.of(Group.ATTACKED, Group.ORDINARY)).name) for _ in range(rows)]
    seeds = [lore.seeds.plain(g) for g in goals]
    torch.manual_seed(seed)
    prompts = [encoder.prompt(s, sees_images=False) for s in seeds]
    texts = _generate(model, encoder, prompts, MAX_ATTACK_TOKENS, do_sample=True)
    labels = [lore.oracle.judge_attack(s, t) for s, t in zip(seeds, texts, strict=True)]
    requests = [request for text in texts if (request := lore.reader.parse(text)) is not None]
    valid = [label.family for label in labels if label.is_on_goal and label.is_in_grammar]
    return {
        "valid": round(len(valid) / rows, 4),
        "on_goal": round(sum(label.is_on_goal for label in labels) / rows, 4),
        "composed": round(sum(request.cell.depth > 1 for request in requests) / rows, 4),
        "effective_families": round(oracle.effective_count(valid), 2),
        "reserved": round(sum(lore.splits.is_reserved(request) for request in requests) / rows, 4),
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
    lore: Lore, model: Any, tokenizer: Any, out_dir: Path, name: str, seed: int, steps: Mapping[str, int],
    losses: Mapping[str, Sequence[float]], began: float, measured: Mapping[str, float],
) -> dict:  # fmt: skip
    out_dir = Path(out_dir)
    model.save_pretrained(out_dir)
    (build_processor(tokenizer) if isinstance(model, LlavaForConditionalGeneration) else tokenizer).save_pretrained(out_dir)
    facts = {
        "model": name,
        "world": lore.world.name,
        "world_seed": lore.world.seed,
        "seed": seed,
        "steps": dict(steps),
        "seconds": round(time.perf_counter() - began, 1),
        "threads": torch.get_num_threads(),
        "parameters": sum(p.numel() for p in model.parameters()),
        "loss": {phase: [round(x, 4) for x in ends] for phase, ends in losses.items()},
        "split": Split.TUNE.value,
        "measured": dict(measured),
    }
    (out_dir / "arena.json").write_text(json.dumps(facts, indent=2) + "\n")
    return facts
