"""A measured share and how sure of it one may be."""

from dataclasses import asdict, dataclass


@dataclass(frozen=True, slots=True)
class Rate:
    """`k` of `n`, with 95% bounds. Without trials (n = 0): rate 0 between 0 and 1."""

    k: int
    n: int
    rate: float
    low: float
    high: float

    def __post_init__(self) -> None:
        if not 0 <= self.k <= self.n:
            raise ValueError(f"a rate counts k of n with 0 <= k <= n, not {self.k} of {self.n}")

    def to_json(self) -> dict[str, int | float]:
        return asdict(self)
