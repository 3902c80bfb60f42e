"""The judge with the panel of the default world, for tests that need verdicts."""

from functools import cache

from prometheus_client import CollectorRegistry

from harden.domain.response import SampledBout
from harden.domain.verdict import ContinuedBout, JudgedBout
from harden.judge.config import JudgeSettings
from harden.judge.counting import JudgeMetrics
from harden.judge.handler import Judge
from harden.judge.panels import panels_of


@cache
def the_judge() -> Judge:
    return Judge(panels_of(JudgeSettings()), JudgeMetrics(CollectorRegistry()))


def judged(sampled: SampledBout) -> JudgedBout | ContinuedBout:
    return the_judge().handle(sampled)
