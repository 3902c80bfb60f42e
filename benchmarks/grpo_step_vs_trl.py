"""One GRPO step, from prompts to new weights, against TRL's GRPOTrainer, in pairs: after each of TRL's steps comes one of ours.

    .k8, .k16           the defender: 32 prompts, 8 and 16 samples, up to 12 tokens, many alike
    .attacker           the attacker: 16 prompts, 16 samples, up to 48 tokens, hardly two alike
    .prompt300, .prompt1500, .prompt300_image    8 samples of prompts of so many tokens, image tokens included

Same weights, prompts, reward, KL (0.02 to the first policy), optimiser, learning rate and number type. A step of ours is
engine, reward, advantages, update, and the new weights back in the engine; TRL's is all that it does between its own
callbacks of a step's beginning and end. Gradient checkpointing, which TRL turns on by default, is off: it would only slow it.

The goal of a line is for the lower end of the interval of its pairs' ratios.
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
from transformers import AutoModelForCausalLM, AutoModelForImageTextToText, AutoProcessor, AutoTokenizer, TrainerCallback
from transformers.utils import logging as transformers_logging
from trl import GRPOConfig, GRPOTrainer

from benchmarks import rollouts
from benchmarks.harness import Result, Turn, Turns, paired, timed
from benchmarks.rollouts import Question, Workload
from harden.domain.completion import Sampling
from harden.serving.ports import GenerateRequest
from harden.serving.transformers_loader import TransformersLoader
from harden.trainer.learner.learner import Learner
from harden.trainer.learner.settings import LearnerSettings
from harden.trainer.objectives.grpo import GRPO, GRPOSettings
from harden.trainer.objectives.ports import Sample, SampleGroup, Term

NAME = "grpo_step_vs_trl"
GOAL = 5.0
# Two attacks share a short prompt and hardly anything else. Two thirds of our step are then the learner's matrix products, the
# same that TRL computes, less its padding: were everything else free, the ratio would be 3.5. With the engine, 2.2 generate()s
# fast (generate_vs_hf), 2 is what can be asked of the lower end.
ATTACKER_GOAL = 2.0
BETA = 0.02
# So small that both still answer alike at the end, and every step of either is the same work.
LEARNING_RATE = 1e-6
REPETITIONS, WARM_UP = 9, 2


def run(quick: bool) -> list[Result]:
    transformers_logging.set_verbosity_error()
    transformers_logging.disable_progress_bar()
    # TRL sets options of transformers that are about to be renamed.
    warnings.filterwarnings("ignore", category=FutureWarning)
    with tempfile.TemporaryDirectory(prefix="harden-bench-") as scratch:
        # Each is measured before the next is made: a policy of one need not stay in memory for another.
        return [_measure(make(), 2 if quick else REPETITIONS) for make in _workloads(Path(scratch), quick)]


def _workloads(scratch: Path, quick: bool) -> list[Callable[[], Workload]]:
    def at(name: str) -> Path:
        (scratch / name).mkdir()
        return scratch / name

    def sized(full: int) -> int:
        return 2 if quick else full

    return [
        lambda: rollouts.defender("k8", at("k8"), sized(32), sized(8), GOAL),
        lambda: rollouts.defender("k16", at("k16"), sized(32), sized(16), GOAL),
        lambda: rollouts.attacker(sized(16), sized(16), ATTACKER_GOAL),
        lambda: rollouts.long_prompts(at("prompt300"), 300, sized(8), sized(8), GOAL),
        lambda: rollouts.long_prompts(at("prompt1500"), 1500, sized(4), sized(8), GOAL),
        lambda: rollouts.long_prompts(at("prompt300_image"), 300, sized(8), sized(8), GOAL, images=True),
    ]


def _measure(workload: Workload, repetitions: int) -> Result:
    ours = _Ours(workload)
    trl = _against_trl(workload, ours.step, repetitions)
    num_samples = len(workload.questions) * workload.k
    return paired(
        f"{NAME}.{workload.name}",
        trl.turns,
        "samples/s",
        "TRL GRPOTrainer",
        workload.goal,
        for_lower_bound=True,
        samples_per_step=num_samples,
        prompt_tokens=workload.prompt_tokens or "as the arena's",
        step_s={side: num_samples / rate for side, rate in zip(("ours", "peer"), trl.turns.rates, strict=True)},
        tokens_per_answer={"ours": ours.num_tokens / num_samples, "peer": trl.num_tokens / num_samples},
        distinct_answers_share=ours.num_distinct / num_samples,
        learner_share=ours.learner_share,
        torch_threads=torch.get_num_threads(),
    )


class _Ours:
    """The trainer's own parts in one process, as the ring puts them together."""

    def __init__(self, workload: Workload) -> None:
        self._objective = GRPO(GRPOSettings(kl_beta=BETA))
        self._engine = TransformersLoader().load(workload.directory)
        self._learner = Learner(workload.directory, LearnerSettings(learning_rate=LEARNING_RATE), seed=0)
        self._workload = workload
        self._num_steps = 0
        # Of the last step.
        self.num_tokens = self.num_distinct = 0
        self.learner_share = 0.0

    def step(self) -> float:
        self._num_steps += 1
        sampling = Sampling(self._workload.max_tokens)
        requests = [
            GenerateRequest(question.prompt, self._workload.k, sampling, 1000 * self._num_steps + i)
            for i, question in enumerate(self._workload.questions)
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
                tuple(Sample(s.token_ids, s.logprobs, rewards={"task": question.reward(s.text)}) for s in drawn),
            )
            for question, drawn in zip(self._workload.questions, self._engine.generate(requests), strict=True)
        ]


def _against_trl(workload: Workload, ours: Callable[[], float], repetitions: int) -> "_TakeTurns":
    """TRL owns its loop, so ours takes its turns inside it: after each of TRL's steps comes one of ours."""
    by_text: dict[str, Question] = {question.text: question for question in workload.questions}

    def rewards(prompts: list[Any], completions: list[Any], completion_ids: list[Any], **_: Any) -> list[float]:
        callback.num_tokens = sum(map(len, completion_ids))
        answers = zip(prompts, completions, strict=True)
        return [by_text[rollouts.texts_of(asked)].reward(rollouts.texts_of(answer)) for asked, answer in answers]

    with tempfile.TemporaryDirectory(prefix="harden-bench-trl-") as scratch:
        kind = AutoModelForImageTextToText if workload.sees_images else AutoModelForCausalLM
        reader = AutoProcessor if workload.sees_images else AutoTokenizer
        model = kind.from_pretrained(workload.directory, local_files_only=True, dtype=torch.float32)
        callback = _TakeTurns(ours, len(workload.questions) * workload.k)
        trainer = GRPOTrainer(
            model=model,
            reward_funcs=rewards,
            args=_trl_settings(Path(scratch), workload, repetitions, model.generation_config.suppress_tokens),
            train_dataset=Dataset.from_list([question.row for question in workload.questions]),
            processing_class=reader.from_pretrained(workload.directory, local_files_only=True),
            callbacks=[callback],
        )
        # It prints its figures at the end of training.
        with contextlib.redirect_stdout(io.StringIO()):
            trainer.train()
    return callback


def _trl_settings(directory: Path, workload: Workload, repetitions: int, banned: list[int]) -> GRPOConfig:
    return GRPOConfig(
        output_dir=str(directory),
        beta=BETA,
        learning_rate=LEARNING_RATE,
        lr_scheduler_type="constant",
        epsilon_high=0.28,
        num_generations=workload.k,
        per_device_train_batch_size=len(workload.questions) * workload.k,
        max_completion_length=workload.max_tokens,
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
