"""Publish: a player's weights become its slot's policy."""

from dataclasses import dataclass

from harden.domain.bout import Role
from harden.trainer.core.history import About, Outcome
from harden.trainer.game.context import GameContext
from harden.trainer.game.tasks.learn import phase_name
from harden.trainer.publisher import Published

START = "start"
IN_PHASE = "step"
PHASE_END = "phase_end"


@dataclass(frozen=True, slots=True)
class Publish:
    """`step`: steps of the phase before it. Where `wait`, the game goes on only when every replica of the slot serves it."""

    role: Role
    round: int
    reason: str
    wait: bool
    step: int = 0
    recipe: str = ""
    attempt: int = 0

    @property
    def key(self) -> str:
        phase = phase_name(self.recipe or self.role.value, self.attempt)
        return f"round-{self.round}/{phase}/publish-{self.reason}-{self.step}"

    @property
    def about(self) -> About:
        return About(
            START if self.reason == START else self.recipe or self.role.value, self.round, f"publishing the {self.role}"
        )

    @property
    def cost(self) -> float:
        return 0.5

    def play(self, context: GameContext) -> Outcome:
        player = context.game.players[self.recipe or self.role]
        published = player.publish(context.publisher, round_=self.round, reason=self.reason)
        if self.reason == START:
            player.by_round[0] = published
            if self.role is Role.DEFENDER:
                context.game.remember_defender("first", "first")
                context.game.remember_defender("good", "first")
                _give_users_a_first_policy(context, published)
        context.observer.published(published)
        if self.wait:
            context.wait_until_served(published)
        return {"digest": published.policy.digest, "version": published.policy.version}


def _give_users_a_first_policy(context: GameContext, policy: Published) -> None:
    """Users get the policy that the run begins with where they have none. What they have, only a gate exchanges."""
    slot = context.experiment.policies.slots.stable
    if context.publisher.is_unused(slot):
        context.wait_until_served(context.publisher.publish_again(policy, START, slot))
