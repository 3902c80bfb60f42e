"""Rollouts of one prompt that begin alike are computed once: they share the nodes of a prefix tree.

A policy that has made up its mind says the same thing many times. The log-prob of a token depends only on the prompt
and the tokens before it, so all rollouts through a node share it. The loss is still taken rollout by rollout, each with
its own advantage and behaviour log-probs, and the gradients meet in the shared node: this is exact for every objective,
clipped and importance-weighted ones included. Wholly identical rollouts are the case in which the whole path is shared.

    prompt  a ──> b ──> EOS          rollouts (a b EOS) twice, (a c EOS) once
             └──> c ──> EOS          nodes a, b, c: an EOS predicts nothing and needs no node
"""

from collections.abc import Sequence
from dataclasses import dataclass

# The parent of a rollout's first token, and the source of its prediction: the last token of the prompt.
PROMPT = -1


@dataclass(frozen=True, slots=True)
class PrefixTree:
    """Nodes are tokens that predict another; parents come before children.

    `sources[i][t]` is the node (or PROMPT) whose output predicts token t of rollout i.
    """

    tokens: tuple[int, ...]
    parents: tuple[int, ...]
    depths: tuple[int, ...]  # 0 for the first token after the prompt
    sources: tuple[tuple[int, ...], ...]

    def __len__(self) -> int:
        return len(self.tokens)


def prefix_tree(rollouts: Sequence[Sequence[int]]) -> PrefixTree:
    """The tree of token sequences. Empty rollouts are allowed and have no sources."""
    tokens: list[int] = []
    parents: list[int] = []
    depths: list[int] = []
    nodes: dict[tuple[int, int], int] = {}
    sources = []
    for rollout in rollouts:
        at = PROMPT
        path = [PROMPT] if rollout else []
        # The last token predicts nothing.
        for depth, token in enumerate(rollout[:-1]):
            step = (at, token)
            if step not in nodes:
                nodes[step] = len(tokens)
                tokens.append(token)
                parents.append(at)
                depths.append(depth)
            at = nodes[step]
            path.append(at)
        sources.append(tuple(path))
    return PrefixTree(tuple(tokens), tuple(parents), tuple(depths), tuple(sources))


def split_to_fit(rollouts: Sequence[Sequence[int]], max_nodes: int) -> list[list[int]]:
    """Indices of the rollouts in parts whose trees have at most `max_nodes` nodes; a longer single rollout stands alone.

    Equal beginnings are kept together: the parts are runs of the sorted rollouts.
    """
    parts: list[list[int]] = []
    num_nodes = 0
    before: Sequence[int] = ()
    for index in sorted(range(len(rollouts)), key=lambda i: tuple(rollouts[i])):
        nodes = rollouts[index][:-1]
        fresh = len(nodes) - _common_prefix(before, nodes)
        if parts and num_nodes + fresh <= max_nodes:
            parts[-1].append(index)
            num_nodes += fresh
        else:
            parts.append([index])
            num_nodes = len(nodes)
        before = nodes
    return parts


def _common_prefix(one: Sequence[int], other: Sequence[int]) -> int:
    length = 0
    for a, b in zip(one, other, strict=False):
        if a != b:
            break
        length += 1
    return length
