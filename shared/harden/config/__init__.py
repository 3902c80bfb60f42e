"""Settings: one frozen tree per service, from the environment or from explicit values. Nothing else reads the environment.

    HARDEN_KAFKA__BOOTSTRAP_SERVERS=kafka:9092      section kafka, field bootstrap_servers
    HARDEN_JUDGE__QUORUM=2                          a service's own section bears the service's name

Each service extends `ServiceConfig` with its section in `services/<name>/config.py`. `JudgeConfig()` reads the
environment, `JudgeConfig.of(kafka=..., judge=...)` does not. A value that cannot be is a SetupError of one line.
"""

import difflib
import os
import types
import typing
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, ClassVar, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from pydantic_settings import BaseSettings, EnvSettingsSource, PydanticBaseSettingsSource, SettingsConfigDict, SettingsError

from harden.domain.errors import SetupError

PREFIX = "HARDEN_"
DELIMITER = "__"
# Sections that belong to a service. One environment may serve them all, so each ignores the others'.
SERVICE_SECTIONS = frozenset(
    {"attacker", "defender_inference", "gateway", "judge", "trainer", "triton", "console", "cli", "demo"}
)
# The environment has no name with this prefix: explicit values only.
_NO_ENVIRONMENT = "\0"


class Section(BaseModel):
    """A group of settings. The docstring under each field is what `--help` and the documents show."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)


class KafkaSettings(Section):
    bootstrap_servers: str = Field("localhost:9092", min_length=1, pattern=r"^[^\s,]+:\d+(,[^\s,]+:\d+)*$")
    """Brokers to begin with, `host:port`, several separated by commas. Left alone: a broker on this machine."""
    connect_timeout_s: float = Field(10.0, gt=0, le=300)
    """How long the first connection may take before the process gives up with a message."""
    delivery_timeout_s: float = Field(60.0, gt=0, le=600)
    """How long a message may stay unacknowledged before sending it counts as failed (and is retried by the worker)."""
    linger_ms: int = Field(0, ge=0, le=1000)
    """How long a message waits for others to share a batch. 0 sends at once; batches form while one is on its way."""
    session_timeout_s: float = Field(10.0, ge=6, le=300)
    """A member without a heartbeat for this long is dead, and its partitions go to the others."""
    max_poll_interval_s: float = Field(300.0, gt=0, le=3600)
    """A member that has not polled for this long is expelled. The worker polls all the time, so this means it hangs."""
    replication_factor: int = Field(1, ge=1, le=7)
    """Copies of each topic when topics are created. Use 3 on a cluster that may lose a broker."""


class StoreSettings(Section):
    uri: str = Field("runs/store", min_length=1)
    """Where blobs and manifests are: a directory, or `s3://bucket/prefix`, or `gs://bucket/prefix`."""


class AdminSettings(Section):
    host: str = "127.0.0.1"
    """Address the admin port listens on. `0.0.0.0` in a container; never reachable from tenants."""
    port: int = Field(0, ge=0, le=65535)
    """Port of /healthz, /readyz and /metrics. 0 takes a free one and logs it."""


class LogSettings(Section):
    level: Literal["debug", "info", "warning", "error"] = "info"
    """Lowest level that is logged."""
    format: Literal["auto", "json", "text"] = "auto"
    """Format of the log: auto is text on a terminal and JSON elsewhere."""


# Default pause after a poll; the trainer's inbox uses it too.
GATHER_S = 0.02


class WorkerSettings(Section):
    max_poison_in_a_row: int = Field(20, ge=1, le=100_000)
    """The service stops after this number of poison messages in a row: then the code is wrong, not the data."""
    retry_attempts: int = Field(8, ge=1, le=1000)
    """Attempts for one message while a dependency is unavailable, the first included."""
    retry_timeout_s: float = Field(60.0, gt=0, le=3600)
    """How long one message is retried. Then the process ends without committing it, and another replica takes it."""
    commit_interval_s: float = Field(1.0, gt=0, le=60)
    """How often finished offsets are committed. Messages finished but uncommitted when a process dies are handled again."""
    gather_s: float = Field(GATHER_S, ge=0, le=1)
    """Rest after a poll that brought messages, so that the next one brings many: a poll costs the client milliseconds of
    computing whether it brings one message or fifty. It is the latency that one service adds to a trickle."""
    drain_timeout_s: float = Field(30.0, ge=0, le=600)
    """How long a stopping process waits for messages in flight. Unfinished ones are handled again by another replica."""


class KeySettings(Section):
    signing_key_file: Path | None = None
    """Ed25519 private key (PEM) that signs manifests. Only the trainer and `harden policy` need one."""
    verify_key_files: tuple[Path, ...] = ()
    """Ed25519 public keys (PEM) whose signatures are trusted, as a JSON list. Empty: no policy is accepted."""


class _Environment(EnvSettingsSource):
    """The environment, refusing unknown names with our prefix."""

    def __call__(self) -> dict[str, Any]:
        if self.env_prefix == PREFIX:
            refuse_unknown(os.environ, self.settings_cls)
        return super().__call__()


class ServiceConfig(BaseSettings):
    """What every service needs. Subclasses add one section, named after the service."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX,
        env_nested_delimiter=DELIMITER,
        extra="forbid",
        frozen=True,
        use_attribute_docstrings=True,
        nested_model_default_partial_update=True,
    )
    # Names under HARDEN_ that are not settings of a service; none at present.
    other_names: ClassVar[frozenset[str]] = frozenset()

    kafka: KafkaSettings = KafkaSettings()
    """The event log."""
    store: StoreSettings = StoreSettings()
    """The object store."""
    admin: AdminSettings = AdminSettings()
    """Health, readiness and metrics."""
    log: LogSettings = LogSettings()
    """Logging."""
    worker: WorkerSettings = WorkerSettings()
    """How messages are handled, retried and given up."""
    keys: KeySettings = KeySettings()
    """The signing key and the trusted public keys."""

    def __init__(self, **values: Any) -> None:
        try:
            super().__init__(**values)
        except ValidationError as error:
            raise SetupError("; ".join(_explain(error))) from error
        except SettingsError as error:
            raise SetupError(f"a setting under {PREFIX} that holds a list or mapping is not JSON: {error}") from error

    @classmethod
    def of(cls, **sections: Any) -> Self:
        """From these values and defaults only; the environment is not read."""
        return cls(_env_prefix=_NO_ENVIRONMENT, **sections)

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        assert isinstance(env_settings, EnvSettingsSource)
        environment = _Environment(settings_cls, env_prefix=env_settings.env_prefix, env_nested_delimiter=DELIMITER)
        return init_settings, environment


def refuse_unknown(environment: Mapping[str, str], config: type[BaseSettings]) -> None:
    """SetupError for every name that begins with HARDEN_ and is no setting of `config`, nor of another service."""
    known = dict(setting_names(config))
    for name in sorted(environment):
        upper = name.upper()
        if not upper.startswith(PREFIX) or upper in known:
            continue
        section = upper.removeprefix(PREFIX).split(DELIMITER)[0].lower()
        if section in SERVICE_SECTIONS and section not in config.model_fields:
            continue
        if any(is_open and upper.startswith(parent + DELIMITER) for parent, is_open in known.items()):
            continue
        nearest = difflib.get_close_matches(upper, known, n=1, cutoff=0)
        raise SetupError(f"unknown setting {name}; the nearest known one is {nearest[0]}")


def setting_names(config: type[BaseModel], prefix: str = PREFIX) -> Iterator[tuple[str, bool]]:
    """Every environment name of the tree, and whether names below it are its own business (mappings, lists)."""
    for field, info in config.model_fields.items():
        name = prefix + field.upper()
        section = _section_in(info.annotation)
        yield name, section is None and _is_container(info.annotation)
        if section is not None:
            yield from setting_names(section, name + DELIMITER)


def describe(config: type[BaseModel], prefix: str = PREFIX) -> Iterator[str]:
    """One paragraph per setting: its name, type, default, and what it means."""
    for field, info in config.model_fields.items():
        name = prefix + field.upper()
        section = _section_in(info.annotation)
        if section is not None:
            yield from describe(section, name + DELIMITER)
        else:
            type_name = getattr(info.annotation, "__name__", None) if not typing.get_args(info.annotation) else None
            yield f"{name}: {type_name or info.annotation} = {info.default!r}\n    {info.description or ''}"


def _section_in(annotation: Any) -> type[BaseModel] | None:
    """The section that an annotation like `Section` or `Section | None` names."""
    candidates = typing.get_args(annotation) if _is_union(annotation) else (annotation,)
    sections = [c for c in candidates if isinstance(c, type) and issubclass(c, BaseModel)]
    return sections[0] if len(sections) == 1 else None


def _is_container(annotation: Any) -> bool:
    candidates = typing.get_args(annotation) if _is_union(annotation) else (annotation,)
    return any(typing.get_origin(c) in (dict, list, tuple, set, frozenset, Mapping) for c in candidates)


def _is_union(annotation: Any) -> bool:
    return typing.get_origin(annotation) in (typing.Union, types.UnionType)


def _explain(error: ValidationError) -> Iterable[str]:
    for problem in error.errors(include_url=False):
        where = DELIMITER.join(str(part).upper() for part in problem["loc"])
        given = "" if problem["type"] in ("missing", "extra_forbidden") else f", not {problem['input']!r}"
        yield f"setting {PREFIX}{where}: {problem['msg'].removeprefix('Value error, ')}{given}"
