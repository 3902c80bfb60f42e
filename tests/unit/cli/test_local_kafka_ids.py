"""What Kafka is started with."""

import re

from harden.local.kafka import new_cluster_id

# One in 64 would begin with a dash if nothing were done about it.
DRAWS = 2000


def test_a_cluster_id_is_22_characters_and_never_looks_like_an_option() -> None:
    assert all(re.fullmatch(r"[A-Za-z0-9_][A-Za-z0-9_-]{21}", new_cluster_id()) for _ in range(DRAWS))
