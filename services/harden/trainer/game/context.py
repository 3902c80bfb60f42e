"""What tasks play with: the state of the game, the ring, and a few things that several of them do."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from harden.domain.bout import Bout, Role
from harden.domain.completion import Sampling
from harden.domain.game import Suite
from harden.domain.policy import PolicyRef
from harden.domain.seed import Seed
from harden.domain.verdict import JudgedBout
from harden.statistics import Rate
from harden.trainer.algorithms.ports import Algorithm
from harden.trainer.core import plan, results
from harden.trainer.core.plan import BatchKey
from harden.trainer.experiment import Experiment
from harden.trainer.game.observing import Observer
from harden.trainer.game.state import Game
from harden.trainer.inbox import Inbox
from harden.trainer.publisher import Published, Publisher
from harden.trainer.ring import Ring

# Name of the monitor's side run, where the name of a role stands for the game's own phases.
SIDE_RUN = "side_run"
# The recipe of the attacker that adapts to the last defender, and the category of what it attacks.
BEST_RESPONSE = "best_response"
GOAL = "goal"


@dataclass(frozen=True)
class Material:
    """What the world and the seeds topic give a game, the same for every task."""

    seeds: Mapping[str, Sequence[Seed]]  # by category
    attacked: Sequence[Seed]  # those of attacked categories
    suites: Sequence[Suite]
    suites_between: Sequence[Suite]  # for rounds that are neither the first nor the last
    monitor_suites: Sequence[Suite]  # what the monitor decides by
    guarded_suite: str
    side_run_suite: str
    goals: Mapping[str, Sequence[Seed]] = field(default_factory=dict)  # of the best response, by the name of the set
    sampled_suites: Sequence[Suite] = ()  # also answered at temperature 1, in the first and the last round
    cross_play: Sequence[Seed] = ()  # what every round's attacker and every round's defender are compared on

    def seeds_for(self, recipe: str) -> Mapping[str, Sequence[Seed]]:
        """By category, what a recipe may draw."""
        if recipe != BEST_RESPONSE:
            return self.seeds
        by_id = {seed.seed_id: seed for goals in self.goals.values() for seed in goals}
        return {GOAL: list(by_id.values())}


@dataclass(frozen=True)
class GameContext:
    """`algorithms`: by recipe, which is a role or SIDE_RUN."""

    experiment: Experiment
    game: Game
    material: Material
    algorithms: Mapping[str, Algorithm]
    ring: Ring
    inbox: Inbox
    publisher: Publisher
    observer: Observer
    clock: Callable[[], float] = field(default=time.monotonic)

    # Asking the ring

    def ask(self, bouts: Sequence[Bout]) -> list[JudgedBout]:
        """Plays bouts that are not trained on, and returns their verdicts."""
        bout_ids = [bout.bout_id for bout in bouts]
        self.inbox.expect(bout_ids)
        self.ring.schedule(bouts)
        self.observer.scheduled(bouts)
        judged = self.take(bout_ids)
        self.observer.answered(judged)
        return judged

    def take(self, bout_ids: Sequence[str]) -> list[JudgedBout]:
        """The judged bouts of these ids; dead-lettered and expired ones are missing."""
        return self.inbox.take(bout_ids, self.experiment.schedule.bout_timeout_s, self.observer.waiting)

    def rates(self, batch: BatchKey, suites: Sequence[Suite], sampling: Sampling | None = None) -> dict[str, dict[str, Rate]]:
        """The current policies on these suites, by measure and suite. Responses are greedy unless `sampling` is given."""
        judged = self.ask(plan.evaluation_bouts(batch, suites, sampling or self.greedy()))
        return results.rates(judged, {suite.name: suite.measures for suite in suites}, self.experiment.seed)

    def batch(self, round_: int, step: int, name: str, policies: Mapping[Role, PolicyRef] | None = None) -> BatchKey:
        """`policies`: the current ones of the game unless given."""
        return BatchKey(self.game.run_id, round_, step, name, policies or self.policies(), self.experiment.panel)

    def greedy(self) -> Sampling:
        return Sampling(self.experiment.sampling.response.max_tokens, temperature=0.0)

    def as_drawn(self) -> Sampling:
        """At temperature 1: from the policy's own distribution."""
        return Sampling(self.experiment.sampling.response.max_tokens, temperature=1.0)

    # Policies

    def policies(self, player: str = "") -> dict[Role, PolicyRef]:
        """The current ones of the game. Where `player` is one of a side game, its policy takes the place of its role's."""
        current = {role: self.current(role).policy for role in Role}
        if player:
            current[self.game.players[player].role] = self.current(player).policy
        return current

    def current(self, player: str) -> Published:
        current = self.game.players[player].current
        assert current is not None, "a schedule begins with publications"
        return current

    def wait_until_served(self, published: Published) -> None:
        self.inbox.wait_until_served(published.policy, self.experiment.schedule.serve_timeout_s)

    def serve_aside(self, policy: Published, reason: str) -> Published:
        """Publishes a policy of the game for the slot of side games, and waits until it is served there."""
        return self._served(self.publisher.publish_again(policy, reason, self.experiment.policies.slots.side))

    def roll_back(self) -> Published:
        """The defender of the last good round again: in the learner, on the topic, in Triton."""
        player = self.game.players[Role.DEFENDER]
        good = player.by_round[self.game.good_round]
        player.load(self.game.saved["good"].path)
        return self._served(player.go_back(self.publisher, good, "rollback"))

    def _served(self, published: Published) -> Published:
        self.observer.published(published)
        self.wait_until_served(published)
        return published

    def close_round(self, round_: int) -> None:
        """Closes the round's account of bouts and swaps."""
        self.game.records.close(round_, self.game.ledger.account(round_).to_json(), self.publisher.swaps.to_json())
        self.publisher.open_account()
        self.game.ledger.forget_before(round_)
