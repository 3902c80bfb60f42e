"""Judge: gives every attack and every response of a bout a verdict.

reads      harden.responses.v1   ResponsesSampled    group "judge", key bout_id
writes     harden.verdicts.v1    VerdictsRendered    same key
asks       the members of the panel, all of them for every attack and response
slowed by  max_in_flight open bouts; then partitions pause, polling goes on
survives   redelivery; members without an opinion, down to the quorum
"""

from collections.abc import Sequence

from prometheus_client import CollectorRegistry

from harden import topics
from harden.domain.judging import PanelMember
from harden.judge.config import JudgeConfig, JudgeSettings, Member
from harden.judge.counting import JudgeMetrics
from harden.judge.handler import Judge
from harden.judge.members.refusal import RefusalClassifier
from harden.runtime.process import process, run_main
from harden.runtime.service import Service
from harden.worlds.arena.adapters import ArenaOracle

MEMBERS: dict[Member, type[PanelMember]] = {
    Member.ARENA_ORACLE: ArenaOracle,
    Member.REFUSAL_WORDING: RefusalClassifier,
}


def build(settings: JudgeSettings, panel: Sequence[PanelMember], registry: CollectorRegistry) -> Service:
    return Service(
        name="judge",
        group="judge",
        reads=topics.RESPONSES,
        writes=(topics.VERDICTS,),
        handle=Judge(panel, JudgeMetrics(registry), quorum=settings.quorum).handle,
        max_in_flight=settings.max_in_flight,
    )


def panel_of(settings: JudgeSettings) -> list[PanelMember]:
    return [MEMBERS[member]() for member in settings.panel]


def serve(config: JudgeConfig) -> None:
    with process(config, "judge") as proc:
        proc.run(build(config.judge, panel_of(config.judge), proc.registry))


def main() -> None:
    run_main(JudgeConfig, serve)


if __name__ == "__main__":
    main()
