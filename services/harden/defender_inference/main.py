"""Defender inference, red-team door: samples the defender's responses to every attack.

reads      harden.attacks.v1     AttacksGenerated    group "defender-inference", key bout_id
writes     harden.responses.v1   ResponsesSampled    same key
asks       Triton, the slot named in the bout; images come from the store
slowed by  max_in_flight open bouts; then partitions pause, polling goes on
survives   redelivery (same ids, same seeds), a swap under way, a Triton that is away for a minute
"""

import time
from collections.abc import Callable

from harden import topics
from harden.defender_inference.config import DefenderInferenceConfig, DefenderInferenceSettings
from harden.defender_inference.handler import Defender
from harden.runtime.process import process, run_main
from harden.runtime.service import Service
from harden.serving.ports import PolicyClient
from harden.serving.triton_client import TritonPolicies
from harden.store.object_store import ObjectStore
from harden.store.ports import BlobStore


def build(
    settings: DefenderInferenceSettings, policies: PolicyClient, store: BlobStore, now: Callable[[], float] = time.time
) -> Service:
    return Service(
        name="defender_inference",
        group="defender-inference",
        reads=topics.ATTACKS,
        writes=(topics.RESPONSES,),
        handle=Defender(policies, store, now=now).handle,
        max_in_flight=settings.max_in_flight,
    )


def serve(config: DefenderInferenceConfig) -> None:
    with process(config, "defender_inference") as proc:
        policies = TritonPolicies(config.defender_inference.triton_url)
        proc.run(build(config.defender_inference, policies, ObjectStore(config.store.uri)))


def main() -> None:
    run_main(DefenderInferenceConfig, serve)


if __name__ == "__main__":
    main()
