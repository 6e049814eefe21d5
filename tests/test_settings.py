from __future__ import annotations

import re
from pathlib import Path

import msgspec
import pytest

from batchtts.cli import options
from batchtts.errors import SettingsError
from batchtts.job import columns, durations, ping, settings
from batchtts.job.settings import Job, check, load
from batchtts.job.speaker import Speaker, choose_speaker
from batchtts.model import AudioFormat, Voice
from batchtts.wire import registry
from batchtts.wire.kokoro import KOKORO, ORPHEUS

DEMO = Path(__file__).parents[1] / "jobs" / "demo.toml"
KEY = "tgp_v1_0123456789abcdef"
KEYED = {"TOGETHER_API_KEY": KEY}


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def job_file(content: str | bytes) -> Path:
    path = Path("job.toml")
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def loaded(content: str, **flags: object) -> Job:
    return load(job_file(f'manifest = "books.csv"\n{content}'), flags)


def refusal(content: str | bytes) -> tuple[str, str | None]:
    with pytest.raises(SettingsError) as refused:
        load(job_file(content), {})
    return str(refused.value), refused.value.hint


def why_not(line: str) -> str:
    """What is said of a job file that is good but for one line."""
    return refusal(f'manifest = "books.csv"\n{line}')[0]


def speaker(environment: dict[str, str] | None = None, **settings: object) -> Speaker:
    job = load(Path("books.csv"), settings)
    return choose_speaker(job, environment or {}, has_hibari=True)


def unspeakable(environment: dict[str, str] | None = None, **settings: object) -> SettingsError:
    with pytest.raises(SettingsError) as refused:
        speaker(environment, **settings)
    return refused.value


# What is asked for


def test_a_manifest_is_all_that_is_needed() -> None:
    job = load(Path("books.csv"), {})
    assert job == Job(manifest=Path("books.csv"))
    assert (job.attempts, job.format, job.speed, job.workers) == (4, "wav", 1.0, None)


def test_a_flag_beats_the_job_file_and_that_beats_the_default() -> None:
    job = loaded("workers = 4\nattempts = 2\nspeed = 2", workers=16, attempts=None)
    assert (job.workers, job.attempts, job.speed, job.in_flight) == (16, 2, 2.0, None)


def test_a_job_file_may_say_everything() -> None:
    job = loaded(
        """
        out = "spoken"
        provider = "together"
        endpoint = "wss://host:8765/speech"
        voice = "af_heart"
        model = "hexgrad/Kokoro-82M"
        language = "en-us"
        speed = 1.25
        workers = 8
        in_flight = 4
        attempts = 3
        format = "flac"
        sample_rate_hz = 48000
        voices = { Alice = "af_heart" }
        pauses = { sentence = 0.5 }
        markup = "html"
        dictionary = "words.csv"
        numbers_as_words = true
        word_timestamps = true
        options = { segment = "sentence" }
        key_file = "key"
        record = "said"
        record_scripts = false
        columns = { id = "utt", text = "words" }
        grace_s = 10
        outage_s = 60
        max_cost_usd = 5
        max_duration_s = "1h30m"
        limit = 100
        sample = 10
        seed = 7
        again = ["failed", "id:all"]
        prune = true
        dedup = false
        prices = { "hexgrad/Kokoro-82M" = 2 }
        verify = true
        recognizer = "together"
        recognizer_endpoint = "wss://host:8766"
        recognizer_model = "openai/whisper-large-v3"
        second_recognizer = "none"
        whisper_model = "base"
        mos = true
        retakes = 3
        retake_voice = "tara"
        retake_provider = "smallest"
        retake_endpoint = "wss://host:8767"
        snapshot_bytes = 1000
        quiet = true
        verbose = true
        log_format = "json"
        metrics = "books.prom"
        on_success = "true"
        on_failure = ["mail", "me"]
        ping_url = "https://host/path"
        hook_timeout_s = "2m"
        """
    )
    told = msgspec.structs.asdict(job)
    assert None not in told.values()
    defaults = msgspec.structs.asdict(Job(manifest=job.manifest))
    assert [key for key in told if told[key] == defaults[key]] == ["manifest"]
    assert job.columns == {"id": "utt", "text": "words"}
    assert (job.grace_s, job.outage_s) == (10.0, 60.0)
    assert (job.word_timestamps, job.record_scripts) == (True, False)
    assert check(job) == job


def test_the_example_of_a_job_file_has_every_key() -> None:
    text = DEMO.read_text(encoding="utf-8")
    told = re.findall(r"^(?:# )?(\w+) = |^\[(\w+)\]", text, re.MULTILINE)
    keys = {key or table for key, table in told}
    assert set(Job.__struct_fields__) <= keys
    spoken = choose_speaker(load(DEMO, {}), {}, has_hibari=True)
    assert spoken.options == {"segment": "never"}


def test_what_the_example_of_a_job_file_does_not_say_can_be_said_so() -> None:
    text = re.sub(r"^# (?=\w+ = )", "", DEMO.read_text(encoding="utf-8"), flags=re.MULTILINE)
    job = load(job_file(text), {})
    assert None not in msgspec.structs.asdict(job).values()
    assert (job.outage_s, job.max_duration_s, job.again) == (120.0, 5400.0, ("failed",))


def test_paths_in_a_job_file_are_beside_it_and_those_of_flags_are_here() -> None:
    Path("nightly").mkdir()
    path = Path("nightly/job.toml")
    path.write_text(
        'manifest = "books.csv"\nout = "/elsewhere"\nkey_file = "key"\nrecord = "../said"'
        '\nmetrics = "b.prom"'
    )
    job = load(path, {})
    assert (job.manifest, job.out) == (Path("nightly/books.csv"), Path("/elsewhere"))
    assert (job.key_file, job.record) == (Path("nightly/key"), Path("nightly/../said"))
    assert job.metrics == Path("nightly/b.prom")
    flagged = load(path, {"out": Path("here"), "record": Path("said")})
    assert (flagged.out, flagged.record) == (Path("here"), Path("said"))


# Options


def test_options_given_as_flags_beat_those_of_the_job_file_one_by_one() -> None:
    options = "options = { segment = 'sentence', linger_s = 1 }"
    assert loaded(options, options=()).options == {"segment": "sentence", "linger_s": 1}
    given = (("linger_s", 0.5), ("language", "de"), ("language", "fr"))
    assert loaded(options, options=given).options == {
        "segment": "sentence",
        "linger_s": 0.5,
        "language": "fr",
    }
    assert load(Path("books.csv"), {"options": given[:1]}).options == {"linger_s": 0.5}


def test_options_that_are_no_table_are_refused_whatever_the_flags_say() -> None:
    for given in ((), (("linger_s", 1),)):
        with pytest.raises(SettingsError, match="options: expected `object`, got `int`"):
            loaded("options = 7", options=given)


WHAT_IT_TAKES = "`batchtts providers --json` has what it takes"


@pytest.mark.parametrize(
    ("options", "problem", "hint"),
    [
        ({"segmnt": "never"}, "together has no option 'segmnt'", "did you mean segment?"),
        ({"linger_s": -1}, "together, option linger_s: expected `float` >= 0.0", WHAT_IT_TAKES),
        (
            {"max_partial_length": "x"},
            "together, option max_partial_length: expected `int`",
            WHAT_IT_TAKES,
        ),
    ],
)
def test_options_are_the_providers_own(
    options: dict[str, object], problem: str, hint: str | None
) -> None:
    error = unspeakable(KEYED, options=tuple(options.items()))
    assert str(error).startswith(problem)
    assert error.hint == hint


@pytest.mark.parametrize(
    ("manifest", "directory"),
    [
        ("books.csv", "books"),
        ("a/books.csv.gz", "a/books"),
        ("books.2026.parquet", "books.2026"),
        ("books", "books.out"),
        ("books.gz", "books.out"),
        (".csv", ".csv.out"),
        (".", ".out"),
        ("/", "/.out"),
        ("..csv", "..csv.out"),
    ],
)
def test_the_output_goes_beside_the_manifest_and_never_onto_it(
    manifest: str, directory: str
) -> None:
    job = Job(manifest=Path(manifest))
    assert job.directory == Path(directory) != job.manifest


def test_the_output_goes_where_it_is_told_to() -> None:
    assert Job(manifest=Path("books.csv"), out=Path("x/y")).directory == Path("x/y")


# What is refused


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ('workers = "8"', "workers: expected `int | null`, got `str`"),
        ("workers = 0", "workers: expected `int` >= 1"),
        ("workers = true", "workers: expected `int | null`, got `bool`"),
        ("workers = 1025", "workers: expected `int` <= 1024"),
        ("in_flight = 1.5", "in_flight: expected `int | null`, got `float`"),
        ("attempts = 0", "attempts: expected `int` >= 1"),
        ("speed = 0.1", "speed: expected `float` >= 0.25"),
        ("speed = nan", "speed: expected `float` >= 0.25"),
        ("sample_rate_hz = 1", "sample_rate_hz: expected `int` >= 4000"),
        ("grace_s = -1", "grace_s: expected `float` >= 0.0"),
        ('format = "mp3"', "format: invalid enum value 'mp3'"),
        ("voice = 7", "voice: expected `str | null`, got `int`"),
        ("out = 7", "out: expected Path, got int"),
        ("columns = { id = 7 }", "columns[...]: expected `str`, got `int`"),
        ("columns = []", "columns: expected `object`, got `array`"),
        ('columns = { txt = "words" }', "unknown key 'txt' in columns"),
        ('max_duration_s = "2x"', "max_duration_s: '2x' is no duration"),
        ('max_duration_s = "0s"', "max_duration_s: expected `float` > 0.0"),
        ('grace_s = ""', "grace_s: '' is no duration"),
        ("max_cost_usd = nan", "max_cost_usd: expected `float` >= 0.0"),
        ('max_cost_usd = "5"', "max_cost_usd: expected `float | null`, got `str`"),
        ("limit = 0", "limit: expected `int` >= 1"),
        ("prices = { m = -1 }", "prices[...]: expected `float` >= 0.0"),
        ('again = ["a", ""]', "again: an empty id"),
        ("again = 7", "again: expected `array`, got `int`"),
        ('log_format = "xml"', "log_format: invalid enum value 'xml'"),
        ('on_success = " "', "on_success: no command"),
        ("on_failure = []", "on_failure: no command"),
        ("hook_timeout_s = 0", "hook_timeout_s: expected `float` > 0.0"),
        ('ping_url = "ftp://host/x"', "ping_url: not an http:// or https:// address"),
        ('ping_url = "https:///x"', "ping_url: not an http:// or https:// address"),
        ('ping_url = "https://me:secret@host/"', "ping_url: a name or a password cannot be in it"),
        ('ping_url = "https://host/a b"', "ping_url: holds characters that no address has"),
    ],
)
def test_a_value_that_does_not_fit_is_named_with_its_key(line: str, problem: str) -> None:
    assert why_not(line) == f"job.toml: {problem}"


@pytest.mark.parametrize(
    ("key", "hint"),
    [
        ("worker", "did you mean workers?"),
        ("sample_rate", "did you mean sample_rate_hz?"),
        ("max_cost", "did you mean max_cost_usd?"),
        ("on_fail", "did you mean on_failure?"),
        ("price", "did you mean prices?"),
        ("TOGETHER_API_KEY", "see `batchtts run --help`"),
    ],
)
def test_an_unknown_key_is_refused(key: str, hint: str) -> None:
    told = refusal(f'manifest = "books.csv"\n{key} = "{KEY}"')
    assert told == (f"job.toml: unknown key '{key}'", hint)


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        ("manifest = ", "job.toml: not a job file: Invalid value (at end of document)"),
        ('manifest = "a"\nmanifest = "b"', "job.toml: not a job file: Cannot overwrite a value"),
        (b'manifest = "\xff"', "job.toml: not a job file: 'utf-8' codec can't decode byte 0xff"),
        ("", "job.toml: no manifest"),
        ("manifest = 7", "job.toml: manifest: expected Path, got int"),
    ],
)
def test_a_file_that_is_no_job_file_is_told_in_one_line(content: str | bytes, problem: str) -> None:
    told, _ = refusal(content)
    assert told.startswith(problem)
    assert "\n" not in told


def test_a_job_file_that_is_not_there_is_told_in_one_line() -> None:
    with pytest.raises(SettingsError, match=r"^nowhere\.toml: no such file or directory$"):
        load(Path("nowhere.toml"), {})


def test_a_job_made_by_hand_is_held_to_the_same_rules() -> None:
    with pytest.raises(SettingsError, match=r"^books\.csv: workers: expected `int` >= 1$"):
        check(Job(manifest=Path("books.csv"), workers=0))


def test_a_job_made_by_hand_may_have_plain_strings_for_paths() -> None:
    job = Job(manifest="books.csv", out="spoken")  # type: ignore[arg-type]  # as in the README
    assert (job.manifest, job.directory) == (Path("books.csv"), Path("spoken"))


def test_an_unknown_key_of_a_table_is_refused_with_the_nearest() -> None:
    told = refusal('manifest = "books.csv"\ncolumns = { txt = "words" }')
    assert told == ("job.toml: unknown key 'txt' in columns", "did you mean text?")
    assert loaded('prices = { "any/model" = 3 }').prices == {"any/model": 3.0}


def test_what_may_be_named_in_columns_is_the_same_everywhere() -> None:
    assert set(settings.ROLES) == set(columns.ROLES) == set(options.COLUMNS)


# Durations


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        *(("90s", 90.0), ("30m", 1800.0), ("2h", 7200.0), ("1d", 86_400.0), ("1h30m", 5400.0)),
        *(("90", 90.0), ("0.5", 0.5), ("1.5h", 5400.0), (" 1H 30M ", 5400.0), ("1d1s", 86_401.0)),
    ],
)
def test_a_duration_is_told_as_people_tell_it(text: str, seconds: float) -> None:
    assert durations.parse_s(text) == seconds
    assert loaded(f'max_duration_s = "{text}"').max_duration_s == seconds
    assert check(Job(manifest=Path("m"), max_duration_s=text)).max_duration_s == seconds  # type: ignore[arg-type]  # as in a job file
    assert durations.parse_s(durations.spell(seconds)) == seconds


@pytest.mark.parametrize(
    "text", ["", " ", "h", "2 hours", "30m1h", "1h1h", "-5s", "1e3", "nan", "inf", "1,5h", "٣s"]
)
def test_what_is_no_duration_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is no duration"):
        durations.parse_s(text)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        *((90, "1m30s"), (7200, "2h"), (5400, "1h30m"), (0.25, "0.25s"), (60.5, "1m0.5s")),
        *((86_400, "1d"), (0, "0s")),
    ],
)
def test_a_duration_is_written_short(seconds: float, text: str) -> None:
    assert durations.spell(seconds) == text


# Pings


@pytest.mark.parametrize(
    ("url", "failed"),
    [
        ("https://host/a", "https://host/a/fail"),
        ("https://host/a/", "https://host/a/fail"),
        ("http://host:8000/a?rid=1&x=/y", "http://host:8000/a/fail?rid=1&x=/y"),
        ("https://host", "https://host/fail"),
        ("https://host/a#part", "https://host/a/fail"),
    ],
)
def test_a_failure_is_told_below_the_address_and_keeps_the_query(url: str, failed: str) -> None:
    assert ping.find_problem(url) is None
    assert ping.address(url, 0) == url.partition("#")[0]
    assert ping.address(url, 3) == failed


def test_the_path_of_an_address_is_not_shown() -> None:
    assert ping.shown("https://host:8/3f2a-secret?x=secret") == "https://host:8/…"


# Who speaks


def test_without_a_name_and_a_key_this_machine_speaks() -> None:
    chosen = speaker()
    assert (chosen.provider.name, chosen.url, chosen.key) == ("local", None, None)
    assert chosen.voice == Voice("af_heart", "hibari", "en-us")
    assert chosen.why is not None
    assert chosen.why.startswith("no provider named and no key set: speaking with local")


def test_a_key_that_is_set_chooses_its_provider() -> None:
    chosen = speaker(KEYED)
    assert (chosen.provider.name, chosen.url) == ("together", "wss://api.together.ai")
    assert chosen.why == "TOGETHER_API_KEY is set: speaking with together"
    assert chosen.key == KEY


def test_the_user_may_choose_otherwise() -> None:
    chosen = speaker(KEYED, provider="local")
    assert (chosen.provider.name, chosen.key, chosen.why) == ("local", None, None)


def test_without_the_best_voice_another_one_speaks_and_says_so() -> None:
    job = load(Path("books.csv"), {})
    chosen = choose_speaker(job, {}, has_hibari=False)
    assert chosen.voice == Voice("pico_us", "nanotts", "en-us")
    assert chosen.why == "hibari is not installed: speaking with pico_us"


@pytest.mark.parametrize(
    ("wish", "voice"),
    [
        ({"voice": "af_sky"}, Voice("af_sky", "hibari", "en-us")),
        ({"model": "hibari"}, Voice("af_heart", "hibari", "en-us")),
        ({"language": "de"}, Voice("pico_de", "nanotts", "de")),
    ],
)
def test_a_wish_is_not_overruled_for_want_of_the_best_voice(
    wish: dict[str, str], voice: Voice
) -> None:
    chosen = choose_speaker(load(Path("books.csv"), wish), {}, has_hibari=False)
    assert chosen.voice == voice


def test_a_model_without_a_voice_of_its_own_needs_a_name() -> None:
    chosen = speaker(KEYED, model=ORPHEUS)
    assert chosen.voice == Voice("tara", ORPHEUS, "en-us")
    assert "name a voice" in str(unspeakable(KEYED, model="cartesia/sonic-2"))


def test_a_voice_that_is_not_there_is_refused_with_a_hint() -> None:
    error = unspeakable(KEYED, voice="af_hart")
    assert str(error) == "together has no voice 'af_hart'"
    assert error.hint is not None
    assert error.hint.startswith("did you mean af_heart")


def test_a_provider_that_is_not_there_is_refused_with_a_hint() -> None:
    error = unspeakable(provider="togehter")
    assert (str(error), error.hint) == ("no provider 'togehter'", "did you mean together?")
    assert unspeakable(provider="espeak").hint == f"there are: {', '.join(registry.names())}"


def test_the_audio_is_as_the_provider_sends_it_unless_it_is_to_be_otherwise() -> None:
    assert speaker().format == AudioFormat("wav", 24_000)
    chosen = speaker(format="flac", sample_rate_hz=16_000)
    assert chosen.format == AudioFormat("flac", 16_000)


# Endpoints


@pytest.mark.parametrize(
    "url",
    ["ws://host", "wss://host:8765/path?x=1", "ws://127.0.0.1:1", "wss://[::1]:443", "WSS://host"],
)
def test_an_endpoint_stands_in_for_the_address_of_the_provider(url: str) -> None:
    assert speaker(KEYED, endpoint=url).url == url


@pytest.mark.parametrize(
    "url",
    [
        *("", "host", "host:8765", "http://host", "https://host", "ws:", "ws://", "wss:///path"),
        *("ws://:80", "ws://host:0", "ws://host:99999", "ws://host:port", "ws://[::1", "ws://["),
    ],
)
def test_what_is_no_websocket_url_is_refused(url: str) -> None:
    error = unspeakable(KEYED, endpoint=url)
    assert str(error) == f"endpoint {url}: not a WebSocket URL"
    assert error.hint == "for example wss://host:8765"


@pytest.mark.parametrize("url", [f"https://host/?key={KEY}", f"https://me:{KEY}@host:80/x"])
def test_a_key_in_an_endpoint_is_not_repeated(url: str) -> None:
    assert KEY not in str(unspeakable(KEYED, endpoint=url))


# Prices


def test_a_job_has_prices_of_its_own() -> None:
    chosen = speaker(KEYED, prices={KOKORO: 2.0})
    assert chosen.provider.cost_usd(KOKORO, 1_000_000) == 2.0
    assert chosen.provider.cost_usd(ORPHEUS, 1_000_000) == 15.0
    assert registry.get("together").cost_usd(KOKORO, 1_000_000) == 4.0


def test_a_limit_on_cost_needs_a_price() -> None:
    wish: dict[str, object] = {"model": "some/model", "voice": "q", "max_cost_usd": 1.0}
    error = unspeakable(KEYED, **wish)
    assert str(error) == "max_cost_usd: the price of some/model at together is not known"
    assert error.hint is not None
    assert 'prices = { "some/model" = 15.0 } in a job file' in error.hint
    assert speaker(KEYED, **wish, prices={"some/model": 0.0}).voice.model == "some/model"


# Keys


def test_a_plan_needs_no_key() -> None:
    job = Job(manifest=Path("books.csv"), provider="together", key_file=Path("nowhere"))
    chosen = choose_speaker(job, {}, has_hibari=True, needs_key=False)
    assert (chosen.provider.name, chosen.key, chosen.key_source) == ("together", None, None)


@pytest.mark.parametrize("key", [None, "", " \n"])
def test_a_provider_without_its_key_is_refused(key: str | None) -> None:
    environment = {} if key is None else {"TOGETHER_API_KEY": key}
    error = unspeakable(environment, provider="together")
    assert str(error) == "together needs a key"
    assert error.hint == "set TOGETHER_API_KEY, or take --provider local"


def test_a_key_is_never_shown() -> None:
    assert KEY not in repr(speaker(KEYED))
    assert KEY not in str(speaker(KEYED))


def test_white_space_around_a_key_is_not_part_of_it() -> None:
    assert speaker({"TOGETHER_API_KEY": f" {KEY}\n"}).key == KEY


UNFIT = [f"{KEY}\n{KEY}", f"{KEY}\0", f"{KEY}é", f"“{KEY}”"]


@pytest.mark.parametrize("key", UNFIT)
def test_a_key_that_fits_no_header_is_refused_and_not_repeated(key: str) -> None:
    error = unspeakable({"TOGETHER_API_KEY": key})
    assert str(error) == "TOGETHER_API_KEY holds characters that no key has"
    assert error.hint is None


def test_the_server_on_this_machine_may_have_a_key_of_its_own() -> None:
    mine = {"BATCHTTS_SERVE_KEY": "mine"}
    assert speaker(mine, endpoint="ws://127.0.0.1:8765").key == "mine"
    assert speaker({}, endpoint="ws://127.0.0.1:8765").key == "local"
    assert speaker(mine).key is None


@pytest.mark.parametrize("key", UNFIT)
def test_the_key_of_our_own_server_is_held_to_the_same_rules(key: str) -> None:
    error = unspeakable({"BATCHTTS_SERVE_KEY": key}, endpoint="ws://127.0.0.1:8765")
    assert str(error) == "BATCHTTS_SERVE_KEY holds characters that no key has"


def test_the_model_of_the_job_is_asked_for_at_together() -> None:
    assert speaker(KEYED).voice == Voice("af_heart", KOKORO, "en-us")


@pytest.mark.parametrize(
    ("provider", "settings", "workers", "in_flight"),
    [
        ("together", {}, 8, 8),
        ("together", {"workers": 64}, 64, 64),
        ("together", {"in_flight": 2}, 8, 2),
        ("together", {"in_flight": 64}, 128, 64),
        ("together", {"in_flight": 1000}, 1024, 1000),
        ("together", {"in_flight": 64, "workers": 80}, 80, 64),
        ("together", {"in_flight": 64, "workers": 16}, 16, 16),
        ("deepgram", {"in_flight": 16}, 20, 16),
        ("smallest", {"in_flight": 10}, 50, 10),
        ("cartesia", {"in_flight": 10}, 20, 10),
    ],
)
def test_there_are_sockets_enough_for_the_requests_that_may_be_in_flight(
    provider: str, settings: dict[str, int], workers: int, in_flight: int
) -> None:
    keys = {f"{provider.upper()}_API_KEY": "k"}
    found = speaker(keys, provider=provider, **settings)
    assert (found.workers, found.in_flight) == (workers, in_flight)
