"""Attacker: gives every scheduled bout its attacks.

reads      harden.bouts.v1     BoutScheduled       group "attacker", key bout_id
writes     harden.attacks.v1   AttacksGenerated    same key
asks       Triton's attacker slot for attacks of the policy; draws `<image>` markup into the store
slowed by  max_in_flight open bouts; then partitions pause, polling goes on
survives   redelivery (same ids, same seeds), a Triton that is away for a minute
"""

import time
from collections.abc import Callable

from harden import topics
from harden.attacker.config import AttackerConfig, AttackerSettings
from harden.attacker.handler import Attacker
from harden.domain.game import ImageRenderer, Transforms
from harden.runtime.process import process, run_main
from harden.runtime.service import Service
from harden.serving.ports import PolicyClient
from harden.serving.triton_client import TritonPolicies
from harden.store.object_store import ObjectStore
from harden.store.ports import BlobStore
from harden.worlds.arena.adapters import ArenaImages, ArenaTransforms


def build(
    settings: AttackerSettings,
    policies: PolicyClient,
    transforms: Transforms,
    renderer: ImageRenderer,
    store: BlobStore,
    now: Callable[[], float] = time.time,
) -> Service:
    attacker = Attacker(policies, transforms, renderer, store, max_images=settings.max_images, now=now)
    return Service(
        name="attacker",
        group="attacker",
        reads=topics.BOUTS,
        writes=(topics.ATTACKS,),
        handle=attacker.handle,
        max_in_flight=settings.max_in_flight,
    )


def serve(config: AttackerConfig) -> None:
    with process(config, "attacker") as proc:
        policies = TritonPolicies(config.attacker.triton_url)
        store = ObjectStore(config.store.uri)
        proc.run(build(config.attacker, policies, ArenaTransforms(), ArenaImages(), store))


def main() -> None:
    run_main(AttackerConfig, serve)


if __name__ == "__main__":
    main()
