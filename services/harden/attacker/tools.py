"""What a strategy may use: the attacker policy, the world's transforms, and random seeds derived from the bout."""

from collections.abc import Callable, Sequence

from harden.domain import ids
from harden.domain.attacking import TurnPlan
from harden.domain.bout import RecordedAttack
from harden.domain.completion import Completion, SamplingStats
from harden.domain.conversation import Conversation
from harden.domain.errors import PoisonError
from harden.domain.game import Transforms
from harden.serving.asking import ask
from harden.serving.ports import GenerateRequest, PolicyClient, Prompt
from harden.store.ports import BlobStore


def attack_id(plan: TurnPlan, index: int) -> str:
    """The id of the attack at this place of the turn."""
    kind = "attack" if plan.turn == 0 else f"attack.{plan.turn}"
    return ids.child(plan.bout.bout_id, kind, index)


class TurnTools:
    """AttackTools for one turn of one bout; adds up the sampling statistics of its requests."""

    def __init__(
        self, plan: TurnPlan, policies: PolicyClient, transforms: Transforms, store: BlobStore, now: Callable[[], float]
    ) -> None:
        self._plan = plan
        self._policies = policies
        self._transforms = transforms
        self._store = store
        self._now = now
        self._asked: list[SamplingStats] = []

    def ask(self, prompts: Sequence[Conversation], num_samples: int = 1) -> list[list[Completion]]:
        bout = self._plan.bout
        if bout.attack_plan.sampling is None:
            raise PoisonError(
                "no_sampling",
                f"bout {bout.bout_id}: the strategy {bout.attack_plan.strategy} asks the policy, and the plan has no sampling",
            )
        # Number of the request in this turn: a strategy may make several.
        call = ids.child(ids.child(bout.bout_id, "turn", self._plan.turn), "ask", len(self._asked))
        requests = [
            GenerateRequest(
                self._seen(prompt), num_samples, bout.attack_plan.sampling, ids.random_seed(ids.child(call, "p", i))
            )
            for i, prompt in enumerate(prompts)
        ]
        completions, stats = ask(self._policies, bout.attacker.slot, requests, self._now)
        self._asked.append(stats)
        return completions

    def transform(self, random_seed: int, max_families: int = 0) -> RecordedAttack:
        return self._transforms.apply(self._plan.bout.seed, random_seed, max_families)

    def random_seed(self, index: int) -> int:
        return ids.random_seed(attack_id(self._plan, index))

    @property
    def stats(self) -> SamplingStats | None:
        """The sum over all requests; None without any."""
        if not self._asked:
            return None
        return SamplingStats(
            num_requests=sum(stats.num_requests for stats in self._asked),
            num_failed=sum(stats.num_failed for stats in self._asked),
            began_at=min(stats.began_at for stats in self._asked),
            ended_at=max(stats.ended_at for stats in self._asked),
        )

    def _seen(self, conversation: Conversation) -> Prompt:
        return Prompt(conversation, tuple(self._store.get(image.blob) for image in conversation.images()))
