"""Topics are named in one place; what names them elsewhere is held to it."""

import re

from harden.topics import CATALOGUE
from tests.deploy import deployed

TOPIC = re.compile(r"\bharden\.[a-z]+(?:-[a-z]+)*\.v\d+(?:\.dead)?\b")
# An event's full name looks like a topic's up to the name of the message, which begins with a capital.
EVENT = re.compile(r"\bharden\.[a-z]+\.v\d+\.[A-Z]\w+\b")


def test_every_topic_named_in_deploy_or_the_runbook_is_in_the_catalogue() -> None:
    known = {name for topic in CATALOGUE for name in (topic.name, topic.dead)}
    events = {event for topic in CATALOGUE for event in topic.events}
    named = set()
    for path in deployed.deploy_files():
        text = path.read_text(encoding="utf-8", errors="replace")
        assert set(EVENT.findall(text)) <= events, path
        named |= set(TOPIC.findall(EVENT.sub("", text)))
    assert named, "the runbook names no topic"
    assert named <= known


def test_brokers_make_no_topic_by_themselves() -> None:
    """A topic made by a typing error has default settings, and its messages are lost to everyone."""
    assert deployed.compose_services()["kafka"]["environment"]["KAFKA_AUTO_CREATE_TOPICS_ENABLE"] == "false"
    node = deployed.ROOT / "services" / "harden" / "local" / "kafka_node"
    template = (node / "server.properties.template").read_text(encoding="utf-8")
    assert "auto.create.topics.enable=false" in template


def test_topics_are_made_before_the_services_of_compose_start() -> None:
    services = deployed.compose_services()
    assert services["topics"]["command"] == ["harden.cli.main", "topics", "create"]
    for name in (*deployed.SERVICES, "triton"):
        assert services[name]["depends_on"]["topics"] == {"condition": "service_completed_successfully"}, name
