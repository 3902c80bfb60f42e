"""A service as a program, for tests that kill it: the attacker, which has committed nothing when it is killed."""

from harden.bus.kafka import KafkaBus
from harden.config import Section, ServiceConfig, WorkerSettings
from harden.runtime.process import process, run_main
from tests.support.workers import Lane, an_attacker

NEVER_S = 60.0


class LaneSettings(Section):
    lane: str = ""
    """Name of the lane it serves."""


class KillableConfig(ServiceConfig):
    demo: LaneSettings = LaneSettings()
    """The test's own."""
    worker: WorkerSettings = WorkerSettings(commit_interval_s=NEVER_S)
    """So that a kill always comes before the commit."""


def serve(config: KillableConfig) -> None:
    lane = Lane.of_its_own(config.demo.lane)
    bus = KafkaBus(config.kafka, (lane.reads, lane.writes))
    with process(config, "attacker", bus=bus) as proc:
        proc.run(an_attacker(lane=lane))


def main() -> None:
    run_main(KillableConfig, serve)


if __name__ == "__main__":
    main()
