"""Feeds spoilt bytes to the places of tests/fuzz/targets.py: `make fuzz`. A finding is printed with the bytes that made it.

python -m tests.fuzz.hunt --inputs 100000
python -m tests.fuzz.hunt sampling --seed 7
"""

import argparse
import random
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from harden.domain.errors import PoisonError
from tests.fuzz.targets import Target, all_targets

# What parsers stumble over.
TOKENS = (
    *(b"Infinity", b"-Infinity", b"NaN", b"1e999", b"-1", b"0", b"-0.0", b"null", b"[]", b"{}", b'""', b"18446744073709551616"),
    *(b"9" * 400, b"[" * 20_000, b'{"a":' * 5_000),
    *(b"\x00", b"\xff" * 9, b"\xff\xff\xff\xff\x0f", b"\xed\xa0\x80", "\u00e9\U0001f9ea".encode()),
)


@dataclass(frozen=True)
class Finding:
    target: str
    data: bytes
    error: BaseException


def spoilt(rng: random.Random, samples: Sequence[bytes]) -> bytes:
    """One of the samples after a few changes."""
    data = bytearray(rng.choice(samples))
    for _ in range(rng.choice((1, 1, 1, 2, 4))):
        at = rng.randrange(len(data) + 1)
        match rng.randrange(6):
            case 0:
                del data[at:]
            case 1 if data:
                data[at % len(data)] ^= 1 << rng.randrange(8)
            case 2:
                data[at:at] = rng.randbytes(rng.randrange(1, 9))
            case 3:
                data[at : at + rng.randrange(12)] = rng.choice(TOKENS)
            case 4:
                other = rng.choice(samples)
                data[at:] = other[rng.randrange(len(other) + 1) :]
            case 5:
                del data[at : at + rng.randrange(1, 30)]
    return bytes(data)


def findings(name: str, target: Target, seed: int, inputs: int) -> Iterator[Finding]:
    rng = random.Random(f"{name} {seed}")
    for _ in range(inputs):
        data = spoilt(rng, target.samples)
        try:
            target.read(data)
        except PoisonError:
            pass
        except Exception as error:
            yield Finding(name, data, error)


def main(argv: Sequence[str] | None = None) -> int:
    targets = all_targets()
    parser = argparse.ArgumentParser(prog="fuzz", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("target", nargs="*", help=f"of {', '.join(targets)}; all unless named")
    parser.add_argument("--inputs", type=int, default=10_000, help="for each target (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args(argv)
    unknown = sorted(set(arguments.target) - set(targets))
    if unknown:
        parser.error(f"no target {', '.join(unknown)}; there are {', '.join(targets)}")
    is_clean = True
    for name in arguments.target or targets:
        began, seen = time.monotonic(), set[str]()
        for found in findings(name, targets[name], arguments.seed, arguments.inputs):
            kind = f"{type(found.error).__name__}: {found.error}"[:120]
            if type(found.error).__name__ not in seen:
                seen.add(type(found.error).__name__)
                print(f"{name}: {kind}\n  of {len(found.data)} bytes: {found.data[:200]!r}")
        is_clean &= not seen
        print(
            f"{name}: {arguments.inputs} inputs in {time.monotonic() - began:.0f} s, {len(seen)} kinds of findings", flush=True
        )
    return int(not is_clean)


if __name__ == "__main__":
    sys.exit(main())
