"""Every policy service the contract is held to, each with a trainer's side of it and a good policy in the defender's slot."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from harden.bus.memory import MemoryBus
from harden.domain.policy import PolicyRef, PolicyServed, Probe, Slot
from harden.serving.follower import Source
from harden.serving.in_process import InProcessPolicies
from harden.serving.ports import PolicyClient
from harden.serving.transformers_engine import TransformersEngine
from harden.serving.transformers_loader import TransformersLoader
from harden.store.object_store import ObjectStore
from harden.store.signing import Signer, Verifier, generate_keypair
from tests.support.policies import Publishing, a_probe
from tests.support.tiny_models import an_image_text_model

SLOT = Slot.DEFENDER
# Nothing is ever published for it.
EMPTY_SLOT = Slot.ATTACKER


@dataclass(frozen=True)
class Model:
    """A model directory, the probe that goes with it, and an engine that no service has anything to do with."""

    directory: Path
    probe: Probe
    engine: TransformersEngine


@dataclass(frozen=True)
class Site:
    policies: PolicyClient
    publishing: Publishing

    def serve(self, model: Model) -> PolicyRef:
        """Publishes the model and returns when it is served."""
        policy = self.publishing.publish(SLOT, model.directory, model.probe)
        word = self.publishing.verdict_on(policy)
        assert isinstance(word, PolicyServed), word
        return policy


@pytest.fixture(scope="session")
def models(tmp_path_factory: pytest.TempPathFactory) -> list[Model]:
    """Two of one architecture."""
    directories = [
        an_image_text_model(tmp_path_factory.mktemp("model"), random_seed=seed, num_layers=2, hidden=64) for seed in (1, 2)
    ]
    return [Model(directory, a_probe(directory), TransformersLoader().load(directory)) for directory in directories]


@pytest.fixture(scope="session")
def in_process_site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    root = tmp_path_factory.mktemp("in-process")
    signing_key, verify_key = generate_keypair(root / "keys")
    bus = MemoryBus()
    bus.create_topics()
    source = Source(bus, ObjectStore(str(root / "store")), Verifier([verify_key]))
    with InProcessPolicies([SLOT, EMPTY_SLOT], source, TransformersLoader(num_threads=1)) as policies:
        yield Site(policies, Publishing(bus, ObjectStore(str(root / "store")), Signer(signing_key)))


@pytest.fixture(params=["in_process", pytest.param("triton", marks=[pytest.mark.kafka, pytest.mark.triton])])
def site(request: pytest.FixtureRequest) -> Site:
    if request.param == "in_process":
        return request.getfixturevalue("in_process_site")
    triton = request.getfixturevalue("triton_site")
    return Site(triton.policies, triton.publishing)
