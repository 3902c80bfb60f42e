"""What the trainer's gauges say of what it published."""

from pathlib import Path

from prometheus_client import CollectorRegistry

from harden.domain.conversation import BlobRef
from harden.trainer.game.observing import Observer
from harden.trainer.game.rundir import RunDir
from harden.trainer.publisher import Published
from tests.support.facts import a_lineage, a_policy


def test_the_published_version_follows_a_policy_that_is_published_again(tmp_path: Path) -> None:
    """ServedNotPublished compares it with what is served, and a rollback's version is higher than what it undoes."""
    registry = CollectorRegistry()
    observer = Observer(
        RunDir(tmp_path),
        registry,
        rounds=1,
        now=lambda: 0.0,
        guarded_suite="ordinary",
        algorithms={},
        run_id="run",
        publish=lambda record: None,
    )
    manifest = BlobRef("file:///manifest", "sha256:" + "0" * 64, 1)
    for version in (1, 2, 3):  # the third is the first one's manifest again
        observer.published(Published(a_policy(version=version), manifest, a_lineage(), 0))
        labels = {"slot": a_policy().slot, "kind": "published"}
        assert registry.get_sample_value("harden_policy_version", labels) == version
