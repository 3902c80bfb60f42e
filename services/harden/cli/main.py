"""harden: the operator's command line. One file per noun; this one joins them and turns errors into one line.

0   done
1   it ran and failed; the report or the lines above say how
2   wrong arguments, or something a person has to put right first
130 interrupted; everything it had started is stopped
"""

import sys
from collections.abc import Sequence
from importlib.metadata import version

from cyclopts import App, CycloptsError

from harden.cli import bout, dead_letters, demo, judge, policy, report, seeds, study, topics, world
from harden.domain.errors import PoisonError, SetupError, TransientError

EXIT_FAILED = 1
EXIT_SETUP = 2
EXIT_INTERRUPTED = 130

app = App(
    name="harden",
    help="Keeps hardening a language model while it is in use.",
    help_format="plaintext",
    version=lambda: version("harden"),
)
app.command(demo.demo)
app.command(demo.run)
app.command(report.report)
app.command(policy.app)
app.command(bout.app)
app.command(seeds.app)
app.command(dead_letters.app)
app.command(topics.app)
app.command(world.app)
app.command(judge.app)
app.command(study.app)


def run(arguments: Sequence[str]) -> int:
    """What `main` does, without ending the interpreter."""
    try:
        status = app(arguments, exit_on_error=False, print_error=False, result_action="return_value")
    except CycloptsError as error:
        return _complain(f"{_one_line(error)} See `{_help_command(error)}`.", EXIT_SETUP)
    except SetupError as error:
        return _complain(str(error), EXIT_SETUP)
    except TransientError as error:
        return _complain(f"{error}; is everything running? Try again", EXIT_FAILED)
    except PoisonError as error:
        return _complain(str(error), EXIT_FAILED)
    except KeyboardInterrupt:
        return EXIT_INTERRUPTED
    except BrokenPipeError:
        # The reader of stdout closed it. Closed here too, so that the interpreter does not try to flush it again.
        sys.stderr.close()
        return 0
    return status if isinstance(status, int) else 0


def _complain(line: str, status: int) -> int:
    print(f"harden: {line}", file=sys.stderr, flush=True)
    return status


def _one_line(error: CycloptsError) -> str:
    return " ".join(str(error).split()).rstrip(".") + "."


def _help_command(error: CycloptsError) -> str:
    chain = [part for part in (error.command_chain or ()) if part]
    return " ".join(["harden", *chain, "--help"])


def main() -> None:
    sys.exit(run(sys.argv[1:]))


if __name__ == "__main__":
    main()
