"""GRPO on a game: bouts of a mixture, rewards of verdicts, groups of samples of one prompt, and anchors beside them.

    which bouts     `GroupPlay.bouts`: a mixture of seeds by category and of ways to attack them
    rewards         rewards.py: what the judge's answers are worth
    groups          `GroupPlay.groups`: an attacker's group is the attacks of one bout (one seed); a defender has a group
                    for each attack, its responses
    advantages, loss    objectives/grpo.py

`GroupPlay` is the base of every algorithm on such groups; GRPO is `GroupPlay` with GRPO's objective.
"""

from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, ClassVar

from pydantic import AfterValidator, Field

from harden import plugins
from harden.config import Section
from harden.domain import ids
from harden.domain.attack import Attack
from harden.domain.bout import MAX_TURNS, AttackPlan, Bout, Parameter, Purpose, Role, Strategy
from harden.domain.completion import Completion
from harden.domain.errors import SetupError
from harden.domain.seed import Seed
from harden.domain.verdict import JudgedBout
from harden.serving.ports import Prompt
from harden.trainer.algorithms import rewards
from harden.trainer.algorithms.anchors import Anchors, AnchorSettings
from harden.trainer.algorithms.ports import Algorithm, BoutRequest, Equipment, StepContext, StepTerms
from harden.trainer.algorithms.rewards import RewardSettings
from harden.trainer.core import admission, plan
from harden.trainer.core.admission import AdmissionRules
from harden.trainer.objectives.grpo import GRPOSettings
from harden.trainer.objectives.ports import Objective, Sample, SampleGroup, Term, samples_of

SINGLETON = "singleton"  # the only sample of its group: no baseline to compare with
REWARD = "task"


def _installed_strategy(name: str) -> str:
    installed = plugins.names(plugins.STRATEGIES)
    if name not in installed:
        raise ValueError(f"there is no strategy {name!r}; installed are {', '.join(installed) or 'none'}")
    return name


class Component(Section):
    """A component of the mixture: some of a step's bouts."""

    name: str = Field(min_length=1)
    """What its bouts are counted under."""
    category: str = Field(min_length=1)
    """Category of the seeds."""
    attacks: Annotated[str, AfterValidator(_installed_strategy)]
    """Strategy that attacks them. `recorded` plays attacks that once worked, and the policy's where there are too few."""
    share: float = Field(gt=0)
    """Share of the step's bouts, relative to the other components."""
    turns: int = Field(1, ge=1, le=MAX_TURNS)
    """Turns of each attack."""
    parameters: dict[str, Parameter] = Field(default_factory=dict)
    """The strategy's own."""


class PlaySettings(Section):
    """The bouts of a step and their rewards."""

    bouts_per_step: int = Field(ge=1)
    """Bouts in one step."""
    num_attacks: int = Field(ge=1)
    """Attacks in each bout; the attacker's group."""
    num_responses: int = Field(ge=1)
    """Responses to each attack; the defender's group."""
    mix: tuple[Component, ...] = Field(min_length=1)
    """What the bouts are."""
    rewards: RewardSettings = RewardSettings()
    """The rewards of the player that learns, by verdict."""
    drop_truncated: bool = False
    """Leave out answers that ran into the token limit: a cut answer cannot be judged fairly."""
    anchor: AnchorSettings = AnchorSettings()
    """Supervised examples beside the bouts."""


@dataclass(frozen=True, slots=True)
class Rewarded:
    """Groups to train on, and the bouts that are dropped."""

    groups: list[SampleGroup]
    dropped: dict[str, str]  # bout id -> reason


class GroupPlay(Algorithm, ABC):
    """Plays a mixture and learns from groups of samples of one prompt, each with the reward of its verdict."""

    Settings: ClassVar[type[PlaySettings]] = PlaySettings

    def __init__(self, settings: PlaySettings, equipment: Equipment) -> None:
        self.settings = settings
        self.equipment = equipment
        self._rules = AdmissionRules(equipment.max_version_lag, settings.drop_truncated)
        self._anchors = Anchors(settings.anchor, equipment)
        other = Role.ATTACKER if equipment.role is Role.DEFENDER else Role.DEFENDER
        if getattr(settings.rewards, other) != getattr(RewardSettings(), other):
            raise SetupError(f"rewards.{other} cannot act where the {equipment.role} learns; move it to the {other}'s settings")

    @classmethod
    def categories(cls, settings: PlaySettings) -> frozenset[str]:
        anchored = {share.category for share in settings.anchor.mix} if settings.anchor.examples else set()
        return frozenset({component.category for component in settings.mix} | anchored)

    @abstractmethod
    def game_terms(self, groups: Sequence[SampleGroup], context: StepContext) -> list[Term]:
        """Terms of the groups that came back from the game."""

    def bouts(self, request: BoutRequest) -> list[Bout]:
        """A component that replays attacks gets as many as the pool has; the policy writes the rest.

        Raises ValueError naming a category without seeds.
        """
        batch, mix = request.batch, self.settings.mix
        counts = plan.apportion(self.settings.bouts_per_step, [component.share for component in mix])
        wanted = sum(n for n, component in zip(counts, mix, strict=True) if component.attacks == Strategy.RECORDED)
        replay = iter(request.replay(wanted, ids.random_seed(batch.bout_id("replay"))) if wanted else ())
        bouts: list[Bout] = []
        for component, count in zip(mix, counts, strict=True):
            is_replay = component.attacks == Strategy.RECORDED
            old = [attack for _, attack in zip(range(count), replay, strict=False)] if is_replay else []
            for attack in old:
                recorded = AttackPlan(Strategy.RECORDED, 1, recorded=(attack.attack,))
                bouts.append(self._bout(batch, len(bouts), component, attack.seed, recorded))
            for seed in plan.draw(request.seeds, component.category, count - len(old), batch.rng(component.name)):
                bouts.append(self._bout(batch, len(bouts), component, seed, self._plan(component)))
        return bouts

    def _plan(self, component: Component) -> AttackPlan:
        strategy = Strategy.POLICY if component.attacks == Strategy.RECORDED else component.attacks
        return AttackPlan(
            strategy,
            self.settings.num_attacks,
            sampling=self.equipment.attack_sampling,
            turns=component.turns,
            parameters=component.parameters,
        )

    def _bout(self, batch: plan.BatchKey, index: int, component: Component, seed: Seed, attacks: AttackPlan) -> Bout:
        return Bout(
            bout_id=batch.bout_id(index),
            run_id=batch.run_id,
            purpose=Purpose.TRAIN,
            learners=(self.equipment.role,),
            round=batch.round,
            step=batch.step,
            suite=component.name,
            seed=seed,
            attack_plan=attacks,
            num_responses=self.settings.num_responses,
            response_sampling=self.equipment.response_sampling,
            attacker=batch.policies[Role.ATTACKER],
            defender=batch.policies[Role.DEFENDER],
            panel=batch.panel,
        )

    def terms(self, judged: Sequence[JudgedBout], context: StepContext) -> StepTerms:
        rewarded = self.groups(judged, context)
        values = [sample.reward for sample in samples_of(rewarded.groups)]
        return StepTerms(
            [*self.game_terms(rewarded.groups, context), *self._anchors.terms(context)],
            rewarded.dropped,
            {"reward_mean": sum(values) / len(values)} if values else {},
        )

    def groups(self, judged: Sequence[JudgedBout], context: StepContext) -> Rewarded:
        """Fresh, judged, on goal, and at least two in each group."""
        kept: list[SampleGroup] = []
        dropped: dict[str, str] = {}
        for bout in judged:
            if not admission.is_for_training(bout, self.equipment.role):
                dropped[bout.bout.bout_id] = admission.NOT_FOR_TRAINING
                continue
            left_out: Counter[str] = Counter()
            groups = self._groups(bout, context, left_out)
            left_out[SINGLETON] += sum(len(group.samples) for group in groups if len(group.samples) == 1)
            large = [group for group in groups if len(group.samples) >= 2]
            kept += large
            if not large:
                # The most frequent reason, by name among equals.
                dropped[bout.bout.bout_id] = min((+left_out), key=lambda reason: (-left_out[reason], reason), default=SINGLETON)
        return Rewarded(kept, dropped)

    def _groups(self, judged: JudgedBout, context: StepContext, left_out: Counter[str]) -> list[SampleGroup]:
        bout, tables = judged.bout, self.settings.rewards
        if self.equipment.role is Role.ATTACKER:
            # Samples of another prompt than the seed's have no group here: those of later turns are not learned from.
            attacks = [
                (
                    attack.completion if attack.prompt is None else None,
                    (None, admission.RESERVED)
                    if self.equipment.is_reserved(attack.text)
                    else rewards.of_attack(bout.seed, on_attack, [verdict for _, verdict in answers], tables.attacker),
                )
                for attack, on_attack, answers in judged.exchanges()
            ]
            return [self._group(bout, None, attacks, context, left_out)]
        groups = []
        for attack, on_attack, answers in judged.exchanges():
            if self.equipment.is_reserved(attack.text):
                left_out[admission.RESERVED] += len(answers)
                continue
            responses = [
                (response.completion, rewards.of_response(bout.seed, on_attack, verdict, tables.defender))
                for response, verdict in answers
            ]
            groups.append(self._group(bout, attack, responses, context, left_out))
        return groups

    def _group(
        self,
        bout: Bout,
        attack: Attack | None,
        scored: Sequence[tuple[Completion | None, rewards.Reward]],
        context: StepContext,
        left_out: Counter[str],
    ) -> SampleGroup:
        """Samples of one prompt. `attack` is what the defender was shown; None in the attacker's group."""
        conversation = attack.conversation if attack else bout.seed.conversation
        sampling = bout.response_sampling if attack else bout.attack_plan.sampling
        samples = []
        for completion, (reward, reason) in scored:
            keep, why = admission.admits(completion, context.lag_of, self._rules)
            if keep and reward is None:
                keep, why = False, reason
            if not keep:
                left_out[why] += 1
                continue
            assert completion is not None  # admitted
            assert reward is not None
            assert sampling is not None  # only what a policy wrote is admitted
            samples.append(
                Sample(
                    completion.token_ids,
                    completion.logprobs,
                    temperature=sampling.temperature,
                    rewards={REWARD: reward},
                    lag=context.lag_of(completion.policy_digest) or 0,
                    origin=bout.suite,
                )
            )
        images = tuple(self.equipment.store.get(image.blob) for image in conversation.images()) if samples else ()
        return SampleGroup(Prompt(conversation, images), tuple(samples))


class GRPOAlgorithmSettings(PlaySettings):
    """GRPO: bouts of a mixture under the GRPO loss."""

    objective: GRPOSettings = GRPOSettings()
    """Advantages and loss."""


class GRPO(GroupPlay):
    Settings: ClassVar[type[GRPOAlgorithmSettings]] = GRPOAlgorithmSettings

    def __init__(self, settings: GRPOAlgorithmSettings, equipment: Equipment) -> None:
        super().__init__(settings, equipment)
        self._objective: Objective = plugins.load(plugins.OBJECTIVES, "grpo")(settings.objective)

    def game_terms(self, groups: Sequence[SampleGroup], context: StepContext) -> list[Term]:
        return [Term(self._objective, groups)]
