"""Attacker: gives every scheduled bout its attacks, turn by turn.

reads      harden.bouts.v1     BoutScheduled, BoutContinued    group "attacker", key bout_id
writes     harden.attacks.v1   AttacksGenerated                same key
asks       Triton's attacker slot where a strategy wants the policy; draws `<image>` markup into the store
slowed by  max_in_flight open bouts; then partitions pause, polling goes on
survives   redelivery (same ids, same seeds), a Triton that is away for a minute
"""

import time
from collections.abc import Callable, Sequence

from harden import plugins, topics
from harden.attacker.config import AttackerConfig, AttackerSettings
from harden.attacker.handler import Attacker
from harden.domain.attacking import AttackStrategy
from harden.domain.errors import SetupError
from harden.domain.game import World
from harden.runtime.process import process, run_main
from harden.runtime.service import Service
from harden.serving.ports import PolicyClient
from harden.serving.triton_client import TritonPolicies
from harden.store.object_store import ObjectStore
from harden.store.ports import BlobStore
from harden.worlds import registry


def build(
    settings: AttackerSettings,
    policies: PolicyClient,
    world: World,
    strategies: Sequence[AttackStrategy],
    store: BlobStore,
    now: Callable[[], float] = time.time,
) -> Service:
    attacker = Attacker(policies, world, strategies, store, max_images=settings.max_images, now=now)
    return Service(
        name="attacker",
        group="attacker",
        reads=topics.BOUTS,
        writes=(topics.ATTACKS,),
        handle=attacker.handle,
        max_in_flight=settings.max_in_flight,
    )


def installed_strategies() -> list[AttackStrategy]:
    """An instance of every plug-in of `harden.strategies`. SetupError where the name of one is not that of its entry point."""
    made: list[AttackStrategy] = []
    for name in plugins.names(plugins.STRATEGIES):
        strategy: AttackStrategy = plugins.load(plugins.STRATEGIES, name)()
        if strategy.name != name:
            raise SetupError(f"the strategy {name!r} calls itself {strategy.name!r}; give its entry point the same name")
        made.append(strategy)
    return made


def serve(config: AttackerConfig) -> None:
    world, strategies = registry.load(config.attacker.world), installed_strategies()
    with process(config, "attacker") as proc:
        policies = TritonPolicies(config.attacker.triton_url)
        store = ObjectStore(config.store.uri)
        proc.run(build(config.attacker, policies, world, strategies, store))


def main() -> None:
    run_main(AttackerConfig, serve)


if __name__ == "__main__":
    main()
