"""Judge: gives every attack and every response of a bout a verdict.

reads      harden.responses.v1   ResponsesSampled    group "judge", key bout_id
writes     harden.verdicts.v1    VerdictsRendered    same key
           harden.bouts.v1       BoutContinued       same key, while the bout has turns left
asks       the members of the panel that the bout names, in parallel, for every attack and response
slowed by  max_in_flight open bouts; then partitions pause, polling goes on
survives   redelivery; members that are out or have no opinion, down to the quorum of each question
"""

from collections.abc import Mapping

from prometheus_client import CollectorRegistry

from harden import topics
from harden.judge.config import JudgeConfig, JudgeSettings
from harden.judge.counting import JudgeMetrics
from harden.judge.handler import Judge
from harden.judge.panel import Panel
from harden.judge.panels import panels_of
from harden.runtime.process import process, run_main
from harden.runtime.service import Service


def build(settings: JudgeSettings, panels: Mapping[str, Panel], registry: CollectorRegistry) -> Service:
    return Service(
        name="judge",
        group="judge",
        reads=topics.RESPONSES,
        writes=(topics.VERDICTS, topics.BOUTS),
        handle=Judge(panels, JudgeMetrics(registry)).handle,
        max_in_flight=settings.max_in_flight,
    )


def serve(config: JudgeConfig) -> None:
    panels = panels_of(config.judge)
    with process(config, "judge") as proc:
        proc.run(build(config.judge, panels, proc.registry))


def main() -> None:
    run_main(JudgeConfig, serve)


if __name__ == "__main__":
    main()
