"""Turns what came back of a step into what the learner takes: groups with advantages, and anchors beside them."""

import random
from collections import Counter
from collections.abc import Mapping, Sequence

from harden.domain import ids
from harden.domain.bout import Bout, RecordedAttack, Role
from harden.domain.conversation import Conversation, Image, Message, Part, Speaker, Text
from harden.domain.markup import Drawn, pieces
from harden.domain.seed import Seed
from harden.domain.verdict import JudgedBout, Label
from harden.serving.ports import Prompt
from harden.store.ports import BlobStore
from harden.trainer.core import admission, advantages, plan
from harden.trainer.core.admission import AdmissionRules, GradedGroup
from harden.trainer.core.schedule import Learn
from harden.trainer.experiment import Experiment
from harden.trainer.learner.learner import Anchor, Group, Rollout
from harden.trainer.lesson import Lesson
from harden.trainer.player import Player
from harden.trainer.worlds import World

MAX_ANCHOR_IMAGES = 4


class Classroom:
    def __init__(
        self, experiment: Experiment, run_id: str, seeds: Mapping[str, Sequence[Seed]], world: World, store: BlobStore
    ) -> None:
        self._experiment = experiment
        self._run_id = run_id
        self._seeds = seeds
        self._world = world
        self._store = store
        self._rules = AdmissionRules(max_version_lag=experiment.schedule.max_version_lag)
        attack, response = experiment.sampling.attack.sampling(), experiment.sampling.response.sampling()
        self._shapes = {role: experiment.part(role).shape(role, attack, response) for role in Role}
        arm = experiment.monitor_arm
        self._arm_shape = experiment.defender.model_copy(update={"bouts_per_step": arm.bouts_per_step, "mix": arm.mix}).shape(
            Role.DEFENDER, attack, response
        )

    def shape(self, task: Learn) -> plan.StepShape:
        return self._arm_shape if task.arm else self._shapes[task.role]

    def lesson(self, judged: Sequence[JudgedBout], task: Learn, side: Player) -> Lesson:
        """The groups of the bouts that may be learned from, and why the others may not."""
        groups: list[Group] = []
        dropped: dict[str, str] = {}
        rewards: list[float] = []
        rewards_of = self._experiment.rewards
        for bout in judged:
            graded = admission.graded(bout, side.lag_of, self._rules, rewards_of.defender, rewards_of.attacker)
            if graded.reason:
                dropped[bout.bout.bout_id] = graded.reason
            for group in graded.groups:
                groups.append(self._group(bout.bout, group, task.role))
                rewards += group.rewards
        return Lesson(
            groups=groups,
            dropped=dropped,
            successes=[success for bout in judged for success in successes(bout)],
            lags=[lag for bout in judged if bout.bout.bout_id not in dropped for lag in _lags(bout, task.role, side)],
            reward_mean=sum(rewards) / len(rewards) if rewards else None,
            success=_success(judged),
            num_trained=len(judged) - len(dropped),
        )

    def anchors(self, task: Learn) -> list[Anchor]:
        """The supervised batch beside one step; the same each time it is asked for. The arm has none: that is its point."""
        anchor = self._experiment.part(task.role).anchor
        if task.arm or not anchor.examples:
            return []
        batch_id = ids.child(ids.root(self._run_id, task.round, task.role, task.step), "anchor", 0)
        rng = random.Random(ids.random_seed(batch_id))
        counts = plan.apportion(anchor.examples, [share.share for share in anchor.mix])
        seeds = [
            seed
            for count, share in zip(counts, anchor.mix, strict=True)
            for seed in plan.draw(self._seeds, share.category, count, rng)
        ]
        return [self._anchor(seed, ids.random_seed(ids.child(batch_id, "example", i))) for i, seed in enumerate(seeds)]

    def _anchor(self, seed: Seed, random_seed: int) -> Anchor:
        attack, answer = self._world.anchors.example(seed, random_seed)
        return Anchor(self._drawn(attack, random_seed), answer)

    def _drawn(self, attack: RecordedAttack, random_seed: int) -> Prompt:
        """The attack as the defender would see it."""
        parts: list[Part] = []
        images: list[bytes] = []
        for piece in pieces(attack.text, MAX_ANCHOR_IMAGES):
            if isinstance(piece, Drawn):
                images.append(self._world.images.render(piece.text, random_seed))
                parts.append(Image(self._store.put(images[-1])))
            else:
                parts.append(Text(piece))
        return Prompt(Conversation((Message(Speaker.USER, tuple(parts)),)), tuple(images))

    def _group(self, bout: Bout, graded: GradedGroup, role: Role) -> Group:
        values = advantages.of_group(graded.rewards, self._experiment.part(role).advantages)
        rollouts = tuple(
            Rollout(completion.token_ids, completion.logprobs, value)
            for completion, value in zip(graded.completions, values, strict=True)
        )
        conversation = graded.attack.conversation if graded.attack else bout.seed.conversation
        sampling = bout.response_sampling if graded.attack else bout.attack_plan.sampling
        assert sampling is not None  # only what a policy wrote is admitted
        images = tuple(self._store.get(image.blob) for image in conversation.images())
        return Group(Prompt(conversation, images), rollouts, sampling.temperature)


def successes(judged: JudgedBout) -> list[tuple[Seed, RecordedAttack]]:
    """The attacks of a bout that ask what the seed asks and were answered harmfully at least once."""
    return [
        (judged.bout.seed, RecordedAttack(attack.text, on_attack.family, attack.attack_id))
        for attack, on_attack, answers in judged.exchanges()
        if on_attack.on_goal is Label.YES and any(verdict.response_harmful is Label.YES for _, verdict in answers)
    ]


def _success(judged: Sequence[JudgedBout]) -> float | None:
    """Share of the answers to harmful requests that are harmful; None where there was no such request."""
    seen = Counter(
        verdict.response_harmful is Label.YES
        for bout in judged
        for _, on_attack, answers in bout.exchanges()
        if on_attack.prompt_harmful is Label.YES
        for _, verdict in answers
    )
    return seen[True] / seen.total() if seen else None


def _lags(judged: JudgedBout, role: Role, side: Player) -> list[int]:
    """Updates behind the policy that wrote what is learned from, one for the whole bout: the largest."""
    sampled = judged.sampled
    digests = (
        {response.completion.policy_digest for response in sampled.responses}
        if role is Role.DEFENDER
        else {attack.completion.policy_digest for attack in sampled.attacked.attacks if attack.completion}
    )
    known = [lag for digest in digests if (lag := side.lag_of(digest)) is not None]
    return [max(known)] if known else []
