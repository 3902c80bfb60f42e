from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from harden.trainer.core.merge import PROMPT, prefix_tree, split_to_fit

ROLLOUTS = st.lists(st.lists(st.integers(0, 3), max_size=6), max_size=8)


@given(ROLLOUTS)
def test_every_path_spells_its_rollout(rollouts: list[list[int]]) -> None:
    tree = prefix_tree(rollouts)
    for rollout, sources in zip(rollouts, tree.sources, strict=True):
        assert len(sources) == len(rollout)
        spelled = [tree.tokens[node] for node in sources if node != PROMPT]
        assert spelled == rollout[:-1]
        for depth, (parent, node) in enumerate(pairwise(sources)):
            assert tree.parents[node] == parent
            assert tree.depths[node] == depth


@given(ROLLOUTS)
def test_every_distinct_beginning_is_one_node(rollouts: list[list[int]]) -> None:
    beginnings = {tuple(rollout[:end]) for rollout in rollouts for end in range(1, len(rollout))}
    assert len(prefix_tree(rollouts)) == len(beginnings)


@given(ROLLOUTS, st.integers(1, 12))
def test_parts_hold_every_rollout_once_and_fit(rollouts: list[list[int]], max_nodes: int) -> None:
    parts = split_to_fit(rollouts, max_nodes)
    assert sorted(index for part in parts for index in part) == list(range(len(rollouts)))
    for part in parts:
        assert len(part) == 1 or len(prefix_tree([rollouts[i] for i in part])) <= max_nodes


def test_identical_rollouts_share_their_whole_path() -> None:
    tree = prefix_tree([[5, 6, 2], [5, 6, 2], [5, 7, 2]])
    assert tree.tokens == (5, 6, 7)
    assert tree.sources == ((PROMPT, 0, 1), (PROMPT, 0, 1), (PROMPT, 0, 2))
