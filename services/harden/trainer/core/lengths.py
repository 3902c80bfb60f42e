"""How long the parts of a game are."""

from dataclasses import dataclass

from harden.domain.bout import Role


@dataclass(frozen=True, slots=True)
class Lengths:
    """In steps and rounds. A schedule uses those that mean something to it."""

    rounds: int
    defender_steps: int
    attacker_steps: int
    publish_every: int  # steps between publications inside a phase; the end of a phase always publishes
    side_run_steps: int = 0  # 0: no side run
    cross_play: bool = False
    best_response_steps: int = 0  # 0: no best response is trained
    retries: int = 0  # how often the defender's phase of a round is tried again after the monitor rejected it

    def steps(self, role: Role) -> int:
        return self.defender_steps if role is Role.DEFENDER else self.attacker_steps
