"""One GRPO step, from prompts to new weights, against TRL's GRPOTrainer: 32 prompts, 8 and 16 samples, up to 12 tokens.

Same weights, prompts, reward, KL (0.02 to the first policy), optimiser, learning rate and number type. A step of ours is
engine, reward, advantages, update, and the new weights back in the engine; TRL's is all that it does between its own
callbacks of a step's beginning and end. Gradient checkpointing, which TRL turns on by default, is off: it would only slow it.
"""

import contextlib
import io
import tempfile
import time
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from datasets import Dataset
from transformers import AutoTokenizer, LlamaForCausalLM, TrainerCallback
from transformers.utils import logging as transformers_logging
from trl import GRPOConfig, GRPOTrainer

from benchmarks import workloads
from benchmarks.harness import Result, Turn, Turns, faster, timed
from benchmarks.workloads import Question
from harden.domain.completion import Sampling
from harden.serving.ports import GenerateRequest
from harden.serving.transformers_loader import TransformersLoader
from harden.trainer.learner.learner import Learner
from harden.trainer.learner.settings import LearnerSettings
from harden.trainer.objectives.grpo import GRPO, GRPOSettings
from harden.trainer.objectives.ports import Sample, SampleGroup, Term

NAME = "grpo_step_vs_trl"
GOAL = 5.0
NUM_PROMPTS, GROUP_SIZES = 32, (8, 16)
MAX_TOKENS = 12
BETA = 0.02
# So small that both still answer alike at the end, and every step of either is the same work.
LEARNING_RATE = 1e-6
REPETITIONS, WARM_UP = 8, 2


def run(quick: bool) -> list[Result]:
    num_prompts, sizes, repetitions = (4, (4,), 2) if quick else (NUM_PROMPTS, GROUP_SIZES, REPETITIONS)
    transformers_logging.set_verbosity_error()
    transformers_logging.disable_progress_bar()
    # TRL sets options of transformers that are about to be renamed.
    warnings.filterwarnings("ignore", category=FutureWarning)
    questions = workloads.questions(num_prompts)
    with tempfile.TemporaryDirectory(prefix="harden-bench-") as scratch:
        directory = workloads.text_defender(Path(scratch) / "model")
        return [_measure(directory, questions, k, repetitions) for k in sizes]


def _measure(directory: Path, questions: Sequence[Question], k: int, repetitions: int) -> Result:
    ours = _Ours(directory, questions, k)
    trl = _against_trl(directory, questions, k, ours.step, repetitions)
    turns, num_samples = trl.turns, len(questions) * k
    return faster(
        f"{NAME}.k{k}",
        turns.rates[0],
        "samples/s",
        "TRL GRPOTrainer",
        turns.rates[1],
        GOAL,
        samples_per_step=num_samples,
        step_s={"ours": num_samples / turns.rates[0], "peer": num_samples / turns.rates[1]},
        tokens_per_answer={"ours": ours.num_tokens / num_samples, "peer": trl.num_tokens / num_samples},
        spread=turns.spread(),
        distinct_answers_share=ours.num_distinct / num_samples,
        learner_share=ours.learner_share,
        torch_threads=torch.get_num_threads(),
    )


class _Ours:
    """The trainer's own parts in one process, as the ring puts them together."""

    def __init__(self, directory: Path, questions: Sequence[Question], k: int) -> None:
        self._objective = GRPO(GRPOSettings(kl_beta=BETA))
        self._engine = TransformersLoader().load(directory)
        self._learner = Learner(directory, LearnerSettings(learning_rate=LEARNING_RATE), seed=0)
        self._questions = questions
        self._k = k
        self._num_steps = 0
        # Of the last step.
        self.num_tokens = self.num_distinct = 0
        self.learner_share = 0.0

    def step(self) -> float:
        self._num_steps += 1
        requests = [
            GenerateRequest(question.prompt, self._k, Sampling(MAX_TOKENS), 1000 * self._num_steps + i)
            for i, question in enumerate(self._questions)
        ]
        began = time.perf_counter()
        groups = self._groups(requests)
        report = self._learner.step([Term(self._objective, groups)])
        self._engine.model.load_state_dict(self._learner.weights(), strict=False)
        self.learner_share = report.seconds / (time.perf_counter() - began)
        self.num_tokens = report.num_tokens
        self.num_distinct = sum(len({sample.token_ids for sample in group.samples}) for group in groups)
        return report.num_samples

    def _groups(self, requests: Sequence[GenerateRequest]) -> list[SampleGroup]:
        return [
            SampleGroup(
                question.prompt,
                tuple(Sample(s.token_ids, s.logprobs, rewards={"task": workloads.reward(question, s.text)}) for s in drawn),
            )
            for question, drawn in zip(self._questions, self._engine.generate(requests), strict=True)
        ]


def _against_trl(
    directory: Path, questions: Sequence[Question], k: int, ours: Callable[[], float], repetitions: int
) -> "_TakeTurns":
    """TRL owns its loop, so ours takes its turns inside it: after each of TRL's steps comes one of ours."""
    by_text = {question.text: question for question in questions}

    def rewards(prompts: list[Any], completions: list[Any], completion_ids: list[Any], **_: Any) -> list[float]:
        callback.num_tokens = sum(map(len, completion_ids))
        texts = [(prompt[-1]["content"], answer[-1]["content"]) for prompt, answer in zip(prompts, completions, strict=True)]
        return [workloads.reward(by_text[asked], answer) for asked, answer in texts]

    with tempfile.TemporaryDirectory(prefix="harden-bench-trl-") as scratch:
        model = LlamaForCausalLM.from_pretrained(directory, local_files_only=True, dtype=torch.float32)
        callback = _TakeTurns(ours, len(questions) * k)
        trainer = GRPOTrainer(
            model=model,
            reward_funcs=rewards,
            args=_trl_settings(Path(scratch), len(questions) * k, k, repetitions, model.generation_config.suppress_tokens),
            train_dataset=Dataset.from_list([{"prompt": [{"role": "user", "content": q.text}]} for q in questions]),
            processing_class=AutoTokenizer.from_pretrained(directory, local_files_only=True),
            callbacks=[callback],
        )
        # It prints its figures at the end of training.
        with contextlib.redirect_stdout(io.StringIO()):
            trainer.train()
    return callback


def _trl_settings(directory: Path, num_rows: int, k: int, repetitions: int, banned: list[int]) -> GRPOConfig:
    return GRPOConfig(
        output_dir=str(directory),
        beta=BETA,
        learning_rate=LEARNING_RATE,
        lr_scheduler_type="constant",
        epsilon_high=0.28,
        num_generations=k,
        per_device_train_batch_size=num_rows,
        max_completion_length=MAX_TOKENS,
        generation_kwargs={"suppress_tokens": banned},
        temperature=1.0,
        max_steps=WARM_UP + repetitions,
        use_cpu=True,
        bf16=False,
        gradient_checkpointing=False,
        report_to=[],
        logging_strategy="no",
        save_strategy="no",
        disable_tqdm=True,
    )


class _TakeTurns(TrainerCallback):
    """Times TRL's step between its own two callbacks, then has ours take one."""

    def __init__(self, ours: Callable[[], float], num_samples: int) -> None:
        self._ours = ours
        self._num_samples = num_samples
        self._num_steps = 0
        self.num_tokens = 0  # of the last step's answers
        self.turns = Turns()

    def on_step_begin(self, *_: Any, **__: Any) -> None:
        self._began = time.perf_counter()

    def on_step_end(self, *_: Any, **__: Any) -> None:
        theirs = Turn(self._num_samples, time.perf_counter() - self._began)
        own = timed(self._ours)
        self._num_steps += 1
        if self._num_steps > WARM_UP:
            self.turns.peer.append(theirs)
            self.turns.ours.append(own)
