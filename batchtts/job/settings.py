"""What a run is asked to do: one frozen value from flags, environment and a job file.

A flag beats the environment, that beats the job file, and that the default.
Unknown keys are refused: a misspelled limit must not become no limit.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec

from batchtts.errors import SettingsError
from batchtts.hints import meant, misfit
from batchtts.job import durations, ping
from batchtts.model import Container, Pauses

#: What a job file names relative to itself.
_PATHS = ("manifest", "out", "dictionary", "key_file", "record", "metrics")

#: What may also be told as ``1h30m``.
_DURATIONS = ("grace_s", "outage_s", "max_duration_s", "hook_timeout_s")

#: What `Job.columns` may say the name of.
ROLES = ("id", "text", "voice", "model", "language", "speed", "speaker", "canary")

LogFormat = Literal["text", "json"]
Markup = Literal["none", "markdown", "html"]


class Job(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Everything that a run can be told. Only the manifest must be named.

    What ends in ``_s`` may be a text such as ``1h30m``, too. *quiet*, *verbose* and
    *log_format* are for the command line alone.

    Attributes:
        manifest: CSV, TSV, JSONL or Parquet.
        out: Where audio, ledger and results go; the manifest's path without its
            ending unless it is named.
        provider: See ``batchtts providers``.
        endpoint: ``ws://`` or ``wss://`` URL that stands in for the provider's own.
        voice, model, language, speed: For rows that do not name their own.
        workers: WebSockets open at once.
        in_flight: Requests at the provider at once; at most *workers*.
        attempts: Tries at one segment that reach the provider.
        format, sample_rate_hz: Of the audio files.
        voices: The names of speakers → their voices. A row's speaker is told by a column
            ``speaker``, or within a script: ``[Alice] Good morning.``
        pauses: What is put between the segments of a script that has several.
        markup: What scripts are written in; its marks are not spoken.
        dictionary: A file of words and how they are spoken.
        numbers_as_words: Whether numbers and dates become words before they are sent.
        word_timestamps: Ask for the times of words, where the provider has them.
        options: What this provider alone can be asked for; see ``batchtts providers``.
        key_file: Holds the key and nothing else; it comes before the environment
            variable of the provider.
        record: A directory; what is said on each connection becomes a file there.
        record_scripts: Whether the scripts are in those files, or masked.
        columns: What a column of the manifest is called here → its name there.
        grace_s: How long a stopped run may finish what is in flight.
        outage_s: How long nobody may be reached before the run gives up.
        max_cost_usd: What this run may spend, by the list prices; a row that would go
            beyond is not begun.
        max_duration_s: After so long no row is begun; what is in flight has *grace_s*.
        limit: Rows that this run begins, at most.
        sample, seed: So many rows of the manifest, chosen by their ids, and no others.
        again: Speak only these, done or not: ``failed``, ``all``, or ids; ``id:failed``
            is a row whose id is such a word.
        prune: Remove the audio of rows that the manifest has no longer.
        dedup: Rows with the same script, voice and settings are spoken once.
        verify: Whether what was spoken is heard, and judged by that.
        recognizer, recognizer_endpoint, recognizer_model: Who hears; see ``batchtts verify
            --help``.
        second_recognizer: Who is asked before a row fails; ``none`` is nobody.
        whisper_model: Of faster-whisper: a directory, or a name that it knows.
        mos: Whether it is said how natural each row sounds.
        retakes: How often a row that fails is spoken again; the best take is kept.
        retake_voice, retake_provider, retake_endpoint: Who speaks where that was not enough.
        prices: US dollars for a million characters, by model, in place of the list prices.
        snapshot_bytes: A ledger that is longer is folded into a snapshot.
        quiet: Say nothing unless something is wrong.
        verbose: Tell of every attempt that failed.
        log_format: Lines for people, or objects of JSON.
        metrics: A file for Prometheus, written when the run ends.
        on_success, on_failure: A command, for ``sh -c`` or in words, when the run has
            ended with status 0, or with any other.
        ping_url: Asked for when the run has ended with status 0; else ``/fail`` below it.
        hook_timeout_s: How long a command may take.
    """

    manifest: Path
    out: Path | None = None
    provider: str | None = None
    endpoint: str | None = None
    voice: str | None = None
    model: str | None = None
    language: str | None = None
    speed: Annotated[float, msgspec.Meta(ge=0.25, le=4.0)] = 1.0
    workers: Annotated[int, msgspec.Meta(ge=1, le=1024)] | None = None
    in_flight: Annotated[int, msgspec.Meta(ge=1, le=1024)] | None = None
    attempts: Annotated[int, msgspec.Meta(ge=1, le=100)] = 4
    format: Container = "wav"
    sample_rate_hz: Annotated[int, msgspec.Meta(ge=4000, le=192_000)] | None = None
    voices: dict[str, str] = {}
    pauses: Pauses = Pauses()
    markup: Markup = "none"
    dictionary: Path | None = None
    numbers_as_words: bool = False
    word_timestamps: bool = False
    options: dict[str, Any] = {}
    key_file: Path | None = None
    record: Path | None = None
    record_scripts: bool = True
    columns: dict[str, str] = {}
    grace_s: Annotated[float, msgspec.Meta(ge=0)] = 30.0
    outage_s: Annotated[float, msgspec.Meta(ge=0)] = 120.0
    max_cost_usd: Annotated[float, msgspec.Meta(ge=0)] | None = None
    max_duration_s: Annotated[float, msgspec.Meta(gt=0)] | None = None
    limit: Annotated[int, msgspec.Meta(ge=1)] | None = None
    sample: Annotated[int, msgspec.Meta(ge=1)] | None = None
    seed: int = 0
    again: tuple[str, ...] = ()
    prune: bool = False
    dedup: bool = True
    verify: bool = False
    recognizer: str = "local"
    recognizer_endpoint: str | None = None
    recognizer_model: str | None = None
    second_recognizer: str | None = None
    whisper_model: str | None = None
    mos: bool = False
    retakes: Annotated[int, msgspec.Meta(ge=0, le=100)] = 0
    retake_voice: str | None = None
    retake_provider: str | None = None
    retake_endpoint: str | None = None
    prices: dict[str, Annotated[float, msgspec.Meta(ge=0)]] = {}
    snapshot_bytes: Annotated[int, msgspec.Meta(ge=1)] = 64 << 20
    quiet: bool = False
    verbose: bool = False
    log_format: LogFormat = "text"
    metrics: Path | None = None
    on_success: str | tuple[str, ...] | None = None
    on_failure: str | tuple[str, ...] | None = None
    ping_url: str | None = None
    hook_timeout_s: Annotated[float, msgspec.Meta(gt=0)] = 60.0

    def __post_init__(self) -> None:
        for name in _PATHS:
            value = getattr(self, name)
            if isinstance(value, str):
                msgspec.structs.force_setattr(self, name, Path(value))

    @property
    def directory(self) -> Path:
        """The output directory."""
        if self.out is not None:
            return self.out
        name = self.manifest.name.removesuffix(".gz")
        stem = name.rpartition(".")[0]
        return self.manifest.parent / (stem if stem.strip(".") else f"{name}.out")


def load(path: Path, flags: Mapping[str, object]) -> Job:
    """Make a job of a manifest or a job file (.toml), and of flags that were given.

    Args:
        flags: None or an empty tuple is a flag that was not given; those of
            ``options`` are pairs, each of which beats the one of its name in the file,
            and so does each of ``columns``.

    Raises:
        SettingsError: an unknown key, a value that does not fit.
    """
    settings: dict[str, object] = {"manifest": path}
    if path.suffix.lower() == ".toml":
        settings = read(path)
    given = {name: value for name, value in flags.items() if value not in (None, ())}
    for table in ("options", "columns"):
        more: Any = given.pop(table, ())
        inherited = settings.setdefault(table, {})
        if isinstance(inherited, dict):  # else it is refused
            inherited.update(more)
    settings.update(given)
    return _convert(settings, path)


def check(job: Job) -> Job:
    """Return a job whose every value fits its kind, whoever made it.

    Raises:
        SettingsError: one does not.
    """
    return _convert(msgspec.structs.asdict(job), job.manifest)


def _convert(settings: Mapping[str, object], path: Path) -> Job:
    told = {**settings, **_durations(settings, path)}
    if isinstance(told.get("again"), str):
        told["again"] = (told["again"],)
    try:
        job = msgspec.convert(told, Job, dec_hook=_decode_path)
    except msgspec.ValidationError as error:
        key, problem = misfit(error)
        raise SettingsError(f"{path}: {key}: {problem}" if key else f"{path}: {problem}") from None
    _check_sense(job, path)
    return job


def _durations(settings: Mapping[str, object], path: Path) -> dict[str, float]:
    """What is told as a text, in seconds."""
    found = {}
    for key in _DURATIONS:
        value = settings.get(key)
        if isinstance(value, str):
            try:
                found[key] = durations.parse_s(value)
            except ValueError as error:
                raise SettingsError(f"{path}: {key}: {error}", hint=durations.EXAMPLES) from None
    return found


def _check_sense(job: Job, path: Path) -> None:
    """Refuse what has the right type and means nothing."""
    for role in job.columns:
        if role not in ROLES:
            hint = meant(role, ROLES, otherwise=f"there are: {', '.join(ROLES)}")
            raise SettingsError(f"{path}: unknown key {role!r} in columns", hint=hint)
    for name, voice in job.voices.items():
        if not name.strip() or "]" in name or not voice.strip():
            raise SettingsError(f"{path}: voices: {name!r} = {voice!r}: a name and a voice")
    for key in ("on_success", "on_failure"):
        command = getattr(job, key)
        if command is not None and not (command and command[0].strip()):
            raise SettingsError(f"{path}: {key}: no command")
    problem = job.ping_url is not None and ping.find_problem(job.ping_url)
    if problem:
        raise SettingsError(f"{path}: ping_url: {problem}", hint="for example https://host/path")
    if job.retakes and not job.verify:
        hint = "verify = true, or --verify: a retake is for what was heard to be wrong"
        raise SettingsError(f"{path}: retakes: nothing is verified", hint=hint)
    if "" in job.again:
        raise SettingsError(f"{path}: again: an empty id", hint="failed, all, or ids of rows")


def read(path: Path) -> dict[str, object]:
    """Return what a job file says, its paths as seen from here.

    Raises:
        SettingsError: it cannot be read, has an unknown key, or names no manifest.
    """
    try:
        settings: dict[str, object] = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise SettingsError(f"{path}: {(error.strerror or str(error)).lower()}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise SettingsError(f"{path}: not a job file: {error}") from None
    for key in settings:
        if key not in Job.__struct_fields__:
            hint = meant(key, Job.__struct_fields__, otherwise="see `batchtts run --help`")
            raise SettingsError(f"{path}: unknown key {key!r}", hint=hint)
    if "manifest" not in settings:
        raise SettingsError(f"{path}: no manifest", hint='manifest = "books.csv"')
    for key in _PATHS:
        if isinstance(settings.get(key), str):
            settings[key] = path.parent / str(settings[key])
    return settings


def _decode_path(wanted: type, value: object) -> object:
    if wanted is Path and isinstance(value, str | Path):
        return Path(value)
    raise ValueError(f"expected {wanted.__name__}, got {type(value).__name__}")
