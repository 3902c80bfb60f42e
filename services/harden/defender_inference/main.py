"""Defender inference, red-team door: samples the defender's responses to every attack.

reads      harden.attacks.v1     AttacksGenerated    group "defender-inference", key bout_id
writes     harden.responses.v1   ResponsesSampled    same key
asks       Triton, the slot named in the bout, and before it the guard's slot where the settings have one; images come from
           the store
slowed by  max_in_flight open bouts; then partitions pause, polling goes on
survives   redelivery (same ids, same seeds), a swap under way, a Triton that is away for a minute
"""

import time
from collections.abc import Callable

from harden import topics
from harden.defender_inference.config import DefenderInferenceConfig, DefenderInferenceSettings, GuardSettings
from harden.defender_inference.handler import Defender
from harden.runtime.process import process, run_main
from harden.runtime.service import Service
from harden.serving.guarded import GuardedPolicies
from harden.serving.ports import PolicyClient
from harden.serving.triton_client import TritonPolicies
from harden.store.object_store import ObjectStore
from harden.store.ports import BlobStore
from harden.worlds import registry


def build(
    settings: DefenderInferenceSettings, policies: PolicyClient, store: BlobStore, now: Callable[[], float] = time.time
) -> Service:
    """Raises SetupError where the settings name a guard that the world does not have."""
    return Service(
        name="defender_inference",
        group="defender-inference",
        reads=topics.ATTACKS,
        writes=(topics.RESPONSES,),
        handle=Defender(_guarded(policies, settings.guard), store, now=now).handle,
        max_in_flight=settings.max_in_flight,
    )


def _guarded(policies: PolicyClient, guard: GuardSettings | None) -> PolicyClient:
    if guard is None:
        return policies
    return GuardedPolicies(policies, registry.guard_of(guard.world), asks=guard.asks, guarded=guard.slots)


def serve(config: DefenderInferenceConfig) -> None:
    with process(config, "defender_inference") as proc:
        policies = TritonPolicies(config.defender_inference.triton_url)
        proc.run(build(config.defender_inference, policies, ObjectStore(config.store.uri)))


def main() -> None:
    run_main(DefenderInferenceConfig, serve)


if __name__ == "__main__":
    main()
