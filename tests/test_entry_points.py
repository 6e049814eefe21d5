"""Providers of other people's: found by their entry points, and never in the way."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tomllib
from base64 import b64encode
from collections.abc import Mapping
from functools import partial
from pathlib import Path

import pytest
import trio
from trio_websocket import ConnectionClosed, WebSocketRequest, serve_websocket

from batchtts.errors import SettingsError
from batchtts.job.settings import load
from batchtts.job.speaker import choose_speaker
from batchtts.wire import registry
from tests import talks
from tests.e2e import ROOT, ask, by_id, environment, serving, write_csv

EXAMPLE = Path(__file__).parent / "example"
KEY = "ac-0123456789"

#: Together's dialect under another name, and with a key of its own.
ACME = """
from dataclasses import replace
from batchtts.wire.together import PROVIDER as TOGETHER

PROVIDER = replace(
    TOGETHER, name="acme", about="Acme: as Together", url="wss://acme.example",
    key_variable="ACME_API_KEY",
)
"""

ROWS = {"a": "One.", "b": "Two words.", "c": "Three."}


def install(site: Path, name: str, points: Mapping[str, str], **modules: str) -> None:
    """Put a distribution into a directory, as an installer would."""
    facts = site / f"{name.replace('-', '_')}-1.0.dist-info"
    facts.mkdir(parents=True)
    (facts / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
    listed = "\n".join(f"{point} = {value}" for point, value in points.items())
    (facts / "entry_points.txt").write_text(f"[batchtts.providers]\n{listed}\n")
    for module, code in modules.items():
        (site / f"{module}.py").write_text(code)


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A directory for distributions, on the path of this process."""
    path = tmp_path / "site"
    path.mkdir()
    monkeypatch.syspath_prepend(path)
    return path


def path_with(site: Path) -> dict[str, str]:
    """The environment of a command that shall find what is installed there."""
    return {"PYTHONPATH": os.pathsep.join([str(ROOT), str(site)])}


# The registry.


def test_ours_come_first_and_then_those_of_others_in_alphabetical_order(site: Path) -> None:
    install(site, "two", {"zebra": "z:PROVIDER", "acme": "a:PROVIDER"})
    install(site, "one", {"lark": "l:PROVIDER"})
    assert registry.names() == (*registry.built_in(), "acme", "lark", "zebra")


def test_a_provider_of_somebody_elses_is_found_by_its_name(site: Path) -> None:
    install(site, "acme-tts", {"acme": "acme_found:PROVIDER"}, acme_found=ACME)
    provider = registry.get("acme")
    assert (provider.name, provider.key_variable) == ("acme", "ACME_API_KEY")


def test_our_names_cannot_be_taken(site: Path) -> None:
    install(site, "evil", {"together": "evil:PROVIDER"}, evil="raise SystemExit('taken')")
    assert registry.names() == registry.built_in()
    assert registry.get("together").key_variable == "TOGETHER_API_KEY"


def test_nobody_looks_for_entry_points_to_find_one_of_ours() -> None:
    program = (
        "import sys; from batchtts.wire import registry; registry.get('together');"
        "print('importlib.metadata' in sys.modules); registry.names();"
        "print('importlib.metadata' in sys.modules)"
    )
    told = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, check=True, env=environment()
    )
    assert told.stdout.split() == [b"False", b"True"]


@pytest.mark.parametrize(
    ("code", "value", "reason"),
    [
        ("", "nowhere_to_be_found:PROVIDER", "ModuleNotFoundError: No module named 'nowhere_to_"),
        ("import batchtts.nothing", "{module}:PROVIDER", "ModuleNotFoundError: No module named"),
        ("from batchtts import X", "{module}:PROVIDER", "ImportError: cannot import name 'X'"),
        ("", "{module}:PROVIDER", "AttributeError: module '{module}' has no attribute 'PROVIDER'"),
        ("PROVIDER = ", "{module}:PROVIDER", "SyntaxError: invalid syntax ({module}.py, line 1)"),
        ("raise SystemExit(1)", "{module}:PROVIDER", "SystemExit: 1"),
        ("1 / 0", "{module}:PROVIDER", "ZeroDivisionError: division by zero"),
        ("raise OSError('a\\nb')", "{module}:PROVIDER", "OSError: a b"),
        ("PROVIDER = 7", "{module}:PROVIDER", "{module}:PROVIDER is a int, not a Provider"),
        ("", "{module}", "{module} is a module, not a Provider"),
        (ACME, "{module}:PROVIDER", "it calls itself 'acme'"),
        (
            "from batchtts.wire.provider import Provider\nPROVIDER = Provider(name='bad', x=1)",
            "{module}:PROVIDER",
            "TypeError: Provider.__init__() got an unexpected keyword argument 'x'",
        ),
    ],
)
def test_a_broken_provider_is_told_in_one_line_with_its_distribution(
    site: Path, code: str, value: str, reason: str
) -> None:
    module = f"broken_{abs(hash((code, value)))}"
    install(site, "bad-tts", {"bad": value.format(module=module)}, **{module: code})
    with pytest.raises(SettingsError) as refused:
        registry.get("bad")
    told = str(refused.value)
    assert told.startswith(f"the provider bad of bad-tts: {reason.format(module=module)}")
    assert "\n" not in told
    assert refused.value.hint == "update or uninstall bad-tts"
    assert "bad" in registry.names()


def test_a_name_that_two_distributions_want_belongs_to_neither(site: Path) -> None:
    install(site, "one-tts", {"acme": "acme_one:PROVIDER"}, acme_one=ACME)
    install(site, "two-tts", {"acme": "acme_two:PROVIDER"}, acme_two=ACME)
    with pytest.raises(SettingsError, match=r"provider acme: one-tts and two-tts$") as refused:
        registry.get("acme")
    assert refused.value.hint == "uninstall all but one of them"
    assert registry.names().count("acme") == 1


def test_a_name_that_nobody_has_is_compared_with_all_of_them(site: Path) -> None:
    install(site, "lark-tts", {"lark": "lark:PROVIDER"})
    with pytest.raises(SettingsError, match=r"^no provider 'larc'$") as refused:
        registry.get("larc")
    assert refused.value.hint == "did you mean lark?"
    with pytest.raises(SettingsError) as refused:
        registry.get("x")
    assert refused.value.hint == f"there are: {', '.join(registry.built_in())}, lark"


def test_only_who_is_asked_for_is_imported(site: Path) -> None:
    bad = {"bad": "raise SystemExit('imported')"}
    install(site, "acme-tts", {"acme": "acme_only:PROVIDER", "bad": "bad:PROVIDER"}, **bad)
    (site / "acme_only.py").write_text(ACME)
    assert registry.get("acme").name == "acme"


def test_a_key_of_somebody_elses_chooses_nobody(site: Path, tmp_path: Path) -> None:
    evil = "raise SystemExit('imported')"
    install(site, "acme-tts", {"acme": "acme_chosen:PROVIDER"}, acme_chosen=evil)
    job = load(tmp_path / "m.csv", {})
    speaker = choose_speaker(job, {"ACME_API_KEY": KEY}, has_hibari=True)
    assert speaker.provider.name == "local"


def test_a_provider_without_an_address_needs_an_endpoint(site: Path, tmp_path: Path) -> None:
    code = f"{ACME}\nPROVIDER = replace(PROVIDER, url=None, key_variable=None)"
    install(site, "acme-tts", {"acme": "acme_nowhere:PROVIDER"}, acme_nowhere=code)
    with pytest.raises(SettingsError, match=r"^acme has no address of its own$"):
        choose_speaker(load(tmp_path / "m.csv", {"provider": "acme"}), {}, has_hibari=True)
    job = load(tmp_path / "m.csv", {"provider": "acme", "endpoint": "ws://host"})
    speaker = choose_speaker(job, {"BATCHTTS_SERVE_KEY": "not for acme"}, has_hibari=True)
    assert (speaker.url, speaker.key) == ("ws://host", None)


# The command line.


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with three distributions: one that works, the example, and a broken one."""
    site = tmp_path_factory.mktemp("shop")
    install(site, "acme-tts", {"acme": "acme:PROVIDER"}, acme=ACME)
    install(site, "bad-tts", {"bad": "bad:PROVIDER"}, bad="import nothing_of_that_name")
    facts = tomllib.loads((EXAMPLE / "pyproject.toml").read_text())["project"]
    points = facts["entry-points"][registry.GROUP]
    code = (EXAMPLE / "batchtts_parrot.py").read_text(encoding="utf-8")
    install(site, facts["name"], points, batchtts_parrot=code)
    return site


def test_providers_of_others_are_listed_and_broken_ones_with_the_reason(
    shop: Path, tmp_path: Path
) -> None:
    extra = path_with(shop) | {"ACME_API_KEY": KEY}
    table = ask("providers", here=tmp_path, extra=extra)
    assert (table.status, table.err) == (0, "")
    assert max(map(len, table.out.splitlines())) <= 80
    assert "\nacme        Acme: as Together\n" in table.out
    assert "ACME_API_KEY (set)" in table.out
    assert "\nbad         broken: the provider bad of bad-tts: ModuleNotFoundError:" in table.out
    shown = ask("providers", "--json", here=tmp_path, extra=extra)
    told = {each["name"]: each for each in json.loads(shown.out)}
    assert list(told) == [*registry.built_in(), "acme", "bad", "parrot"]
    assert told["acme"]["key_set"]
    assert told["bad"] == {
        "name": "bad",
        "broken": "the provider bad of bad-tts: ModuleNotFoundError:"
        " No module named 'nothing_of_that_name'",
        "hint": "update or uninstall bad-tts",
    }
    assert KEY not in table.out + shown.out


def test_a_broken_provider_is_in_the_way_of_nobody_who_does_not_ask_for_it(
    shop: Path, tmp_path: Path
) -> None:
    write_csv(tmp_path / "m.csv", ROWS)
    extra = path_with(shop)
    assert ask("plan", "m.csv", here=tmp_path, extra=extra).status == 0
    answer = ask("voices", "bad", here=tmp_path, extra=extra)
    assert (answer.status, answer.out) == (2, "")
    assert answer.err == (
        "batchtts: the provider bad of bad-tts: ModuleNotFoundError:"
        " No module named 'nothing_of_that_name'\n  hint: update or uninstall bad-tts\n"
    )


def test_a_provider_of_somebody_elses_speaks(shop: Path, tmp_path: Path) -> None:
    write_csv(tmp_path / "m.csv", ROWS)
    extra = path_with(shop) | {"ACME_API_KEY": KEY}
    voices = ask("voices", "acme", here=tmp_path, extra=extra)
    assert (voices.status, voices.err) == (0, "")
    assert voices.out.splitlines()[1].split()[0] == "af_heart"
    with serving(tmp_path / "served.jsonl", key=KEY) as server:
        flags = ("--provider", "acme", "--endpoint", server.url)
        answer = ask("run", "m.csv", *flags, here=tmp_path, extra=extra)
        assert answer.status == 0, answer.err
        assert server.texts() == sorted(ROWS.values())
    assert by_id(tmp_path / "m", "provider") == dict.fromkeys(ROWS, "acme")
    assert by_id(tmp_path / "m", "cost_usd")["a"] == pytest.approx(4 * 4 / 1e6)


# The example of the README.


async def repeat(request: WebSocketRequest) -> None:
    """Speak as the example's provider does: a square wave of 50 ms for each character."""
    assert dict(request.headers)[b"authorization"] == f"Bearer {KEY}".encode()
    assert request.path == "/v1/repeat?voice=polly&speed=1.0"
    ws = await request.accept()
    try:
        while True:
            said = json.loads(await ws.get_message())
            end: dict[str, object]
            if "bad" in said["repeat"]:
                end = {"error": "not a word of it", "kind": "text"}
            else:
                wave = (b"\0\x20" * 40 + b"\0\xe0" * 40) * 10 * len(said["repeat"])
                audio = b64encode(wave).decode()
                await ws.send_message(json.dumps({"id": said["id"], "audio": audio}))
                end = {"end": True}
            await ws.send_message(json.dumps({"id": said["id"], **end}))
    except ConnectionClosed:
        pass


async def test_the_example_speaks_and_its_talk_can_be_replayed(
    shop: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_csv(tmp_path / "m.csv", ROWS | {"d": "bad"})
    extra = path_with(shop) | {"PARROT_API_KEY": KEY}
    async with trio.open_nursery() as nursery:
        server = await nursery.start(serve_websocket, repeat, "127.0.0.1", 0, None)
        flags = ("--provider", "parrot", "--endpoint", f"ws://127.0.0.1:{server.port}")
        run = partial(ask, "run", "m.csv", *flags, *("-w", "1"), *("--record", "said"))
        answer = await trio.to_thread.run_sync(partial(run, here=tmp_path, extra=extra))
        nursery.cancel_scope.cancel()
    assert answer.status == 3, answer.err
    assert "d failed: not a word of it" in answer.err
    seconds = {row: pytest.approx(0.05 * len(text)) for row, text in ROWS.items()}
    assert by_id(tmp_path / "m", "audio_s") == {**seconds, "d": None}
    monkeypatch.syspath_prepend(shop)
    check_tapes(tmp_path / "said")


def check_tapes(directory: Path) -> None:
    """Replay what was recorded; what is said on it must be what the example says."""
    kinds = []
    for path in sorted(directory.glob("parrot-*.txt")):
        told = path.read_text(encoding="utf-8").removesuffix("\n").split("\n")
        dialect = registry.get("parrot").dialect(talks.manner("parrot", told))
        kinds += [type(event).__name__ for event in talks.play(told, dialect)[1]]
    assert kinds == [*("Audio", "Done", "Finished") * 3, "Failed"]
