"""The smallest service there is, for tests of what surrounds every service. Run as a program.

reads      harden.bouts.v1     group "attacker"
writes     harden.attacks.v1

Its section is called `demo`, one of the known ones; `demo.bus` memory needs no broker, `demo.fails` is how it ends.
"""

from typing import Literal

from harden.bus.memory import MemoryBus
from harden.config import Section, ServiceConfig
from harden.domain.errors import FencedError, SetupError
from harden.runtime.process import process, run_main
from tests.support.workers import an_attacker, bout_messages, put


class TinySettings(Section):
    bus: Literal["memory", "kafka"] = "memory"
    """Where the events are."""
    fails: Literal["never", "early", "background", "fenced"] = "never"
    """How it ends when nobody asks it to."""


class TinyConfig(ServiceConfig):
    demo: TinySettings = TinySettings()
    """The tiny service's own."""


def serve(config: TinyConfig) -> None:
    if config.demo.fails == "early":
        raise SetupError("the signing key is missing")
    memory = MemoryBus() if config.demo.bus == "memory" else None
    if memory is not None:
        memory.create_topics()
        put(memory, bout_messages(3))

    def fail() -> None:
        if config.demo.fails == "background":
            raise ArithmeticError("the background task has a bug")
        if config.demo.fails == "fenced":
            raise FencedError("another process took over as 'trainer'; this one must end")

    with process(config, "tiny_service", bus=memory) as proc:
        proc.background(fail, name="fail")
        print(f"port {proc.admin_port}", flush=True)
        proc.run(an_attacker())


def main() -> None:
    run_main(TinyConfig, serve)


if __name__ == "__main__":
    main()
