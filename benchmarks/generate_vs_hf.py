"""Our engine against Hugging Face's `generate()` with a static or a dynamic cache, whichever is faster here.

Batch 256: eight samples of each of 32 prompts.

Same weights, prompts, sampling and limit of tokens in one process; both begin with text and end with text, and both stop
where the model ends its answer. Tokens count up to and including that end. Ours also gives every token's log-prob.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from transformers import AutoModelForCausalLM, AutoModelForImageTextToText

from benchmarks import workloads
from benchmarks.harness import Result, Turn, Turns, median_rate, paired, timed
from harden.domain.completion import Sampling
from harden.serving.ports import GenerateRequest, Prompt
from harden.serving.prompt_encoder import PromptEncoder
from harden.serving.transformers_loader import TransformersLoader

NAME = "generate_vs_hf"
GOAL = 2.0
NUM_PROMPTS, NUM_SAMPLES = 32, 8
REPETITIONS = 15
CACHES = ("static", "dynamic")


def run(quick: bool) -> list[Result]:
    num_prompts, repetitions = (4, 2) if quick else (NUM_PROMPTS, REPETITIONS)
    answers = [question.prompt for question in workloads.questions(num_prompts)]
    attacks = workloads.plain_requests(num_prompts)
    return [
        _measure(NAME, workloads.DEFENDER, answers, workloads.ANSWER_TOKENS, repetitions),
        _measure(f"{NAME}.attacker", workloads.ATTACKER, attacks, workloads.ATTACK_TOKENS, repetitions),
    ]


def _measure(name: str, directory: Path, prompts: Sequence[Prompt], max_tokens: int, repetitions: int) -> Result:
    engine, peer = TransformersLoader().load(directory), _Peer(directory, max_tokens)
    draws = iter(range(10**6))

    def ours() -> float:
        seed = next(draws)
        requests = [GenerateRequest(p, NUM_SAMPLES, Sampling(max_tokens), seed * 1000 + i) for i, p in enumerate(prompts)]
        return sum(len(sample.token_ids) for samples in engine.generate(requests) for sample in samples)

    def take(side: str) -> Turn:
        return timed(ours) if side == "ours" else timed(lambda: peer.generate(prompts, side))

    sides = ("ours", *CACHES)
    for side in sides:
        take(side)
    taken: dict[str, list[Turn]] = {side: [] for side in sides}
    for _ in range(repetitions):
        for side in sides:
            taken[side].append(take(side))
    best = max(CACHES, key=lambda cache: median_rate(taken[cache]))
    return paired(
        name,
        Turns(taken["ours"], taken[best]),
        "tokens/s",
        f"transformers generate(), {best} cache",
        GOAL,
        batch=len(prompts) * NUM_SAMPLES,
        max_tokens=max_tokens,
        tokens_per_answer=taken["ours"][-1].amount / (len(prompts) * NUM_SAMPLES),
        peers={cache: median_rate(taken[cache]) for cache in CACHES},
        torch_threads=torch.get_num_threads(),
    )


class _Peer:
    """`generate()` as its documentation has it, on a model of its own: our engine gives its model another attention."""

    def __init__(self, directory: Path, max_tokens: int) -> None:
        sees_images = directory == workloads.DEFENDER
        kind: Any = AutoModelForImageTextToText if sees_images else AutoModelForCausalLM
        self._model: Any = kind.from_pretrained(directory, local_files_only=True, dtype="auto").eval()
        self._encoder = PromptEncoder(directory, sees_images=sees_images)
        self._max_tokens = max_tokens
        self._end = self._model.generation_config.eos_token_id

    @torch.inference_mode()
    def generate(self, prompts: Sequence[Prompt], cache: str) -> float:
        inputs = self._encoder.encode(prompts)
        out = self._model.generate(
            **inputs,
            max_new_tokens=self._max_tokens,
            do_sample=True,
            num_return_sequences=NUM_SAMPLES,
            cache_implementation=cache,
        )
        answers = out[:, inputs["input_ids"].shape[1] :]
        self._encoder.tokenizer.batch_decode(answers, skip_special_tokens=True)
        ends = answers == self._end
        # Up to the first end; an answer that has none is as long as the row.
        lengths = torch.where(ends.any(1), ends.int().argmax(1) + 1, answers.shape[1])
        return float(lengths.sum())
