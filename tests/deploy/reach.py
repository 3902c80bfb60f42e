"""Who may connect to whom under a set of NetworkPolicies, read the way Kubernetes defines them."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from tests.deploy.deployed import Document, of_kind

NAMESPACE = "harden"


@dataclass(frozen=True)
class Pod:
    name: str
    namespace: str = NAMESPACE
    labels: Mapping[str, str] = field(default_factory=dict)

    @property
    def all_labels(self) -> dict[str, str]:
        return {"app.kubernetes.io/name": self.name, **self.labels}


def may_connect(documents: Iterable[Document], source: Pod, target: Pod, port: int, protocol: str = "TCP") -> bool:
    """Both ends must allow it: the source its way out, the target its way in."""
    policies = of_kind(documents, "NetworkPolicy")
    return _allows(policies, "Egress", source, target, port, protocol) and _allows(
        policies, "Ingress", target, source, port, protocol
    )


def _allows(policies: list[Document], direction: str, subject: Pod, other: Pod, port: int, protocol: str) -> bool:
    if subject.namespace != NAMESPACE:
        return True  # policies here say nothing about pods elsewhere
    about = [
        p["spec"]
        for p in policies
        if direction in p["spec"]["policyTypes"] and selects(p["spec"]["podSelector"], subject.all_labels)
    ]
    rules_key, peers_key = ("egress", "to") if direction == "Egress" else ("ingress", "from")
    if not about:
        return True  # a pod no policy selects is open
    return any(
        (peers_key not in rule or any(_is_peer(peer, other) for peer in rule[peers_key]))
        and ("ports" not in rule or any(_is_port(entry, port, protocol) for entry in rule["ports"]))
        for spec in about
        for rule in spec.get(rules_key, ())
    )


def _is_peer(peer: Document, pod: Pod) -> bool:
    if "ipBlock" in peer:
        return False  # pods are named here by their labels; addresses outside are judged by the tests that know them
    if "namespaceSelector" in peer:
        if not selects(peer["namespaceSelector"], {"kubernetes.io/metadata.name": pod.namespace}):
            return False
    elif pod.namespace != NAMESPACE:
        return False
    return "podSelector" not in peer or selects(peer["podSelector"], pod.all_labels)


def _is_port(entry: Document, port: int, protocol: str) -> bool:
    return bool(entry.get("protocol", "TCP") == protocol and entry.get("port", port) == port)


def selects(selector: Mapping[str, Any], labels: Mapping[str, str]) -> bool:
    for key, value in selector.get("matchLabels", {}).items():
        if labels.get(key) != value:
            return False
    for expression in selector.get("matchExpressions", ()):
        assert expression["operator"] == "In", expression
        if labels.get(expression["key"]) not in expression["values"]:
            return False
    return True
