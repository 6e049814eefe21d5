"""The page about what came out, in a real browser: quiet, useful, and for everybody."""

from __future__ import annotations

import json
import os
import shlex
import shutil
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("selenium", reason="drives the browser")

from selenium import webdriver
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.remote.webelement import WebElement
from selenium.webdriver.support.ui import WebDriverWait

from tests.e2e import eventually
from tests.pages import EVIL, failed, make, publish, spoken

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
DRIVER = shutil.which("chromedriver")
FLAGS = (
    "--headless --no-sandbox --disable-gpu --disable-quic --no-first-run"
    " --disable-background-networking --disable-component-update --disable-sync"
    " --autoplay-policy=no-user-gesture-required"
).split()
WIDTHS = (390, 1440)

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(CHROMIUM is None or DRIVER is None, reason="there is no chromium"),
]

Browser = webdriver.Chrome


@pytest.fixture(scope="module")
def out(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A job of which everything came out that can."""
    heard = {"recognizer": "moonshine", "transcript": "Ten boats came in.", "wer": 0.0}
    rows = [
        spoken(f"row {n:02}", heard, voice="ada" if n % 2 else "bea", verdict="pass", mos=4.0)
        for n in range(24)
    ]
    failure = {"at": 1_772_332_201_000_000, "code": "session_lost", "message": "closed: 1006"}
    texts = "text transcript recognizer voice model second_transcript error_message".split()
    evil = dict.fromkeys(texts, EVIL)
    rows += [
        spoken("doubt", heard, verdict="suspect", reasons=["gap"], failures=[failure], attempts=2),
        spoken("it's", verdict="fail", reasons=["cut_end"], wer=0.5, transcript="Ten boats"),
        spoken(EVIL, evil, verdict="fail", reasons=[EVIL], wer=1.0, file="evil"),
        failed("failed", error_message="no next audio within 10 s", failures=[failure]),
        failed(f"{EVIL}2", evil, error_code=EVIL),
        spoken("gone", heard, verdict="unverified", reasons=["language_unknown"]),
    ]
    path = publish(tmp_path_factory.mktemp("job") / "out", rows)
    (path / "wav" / "gone.wav").unlink()
    (path / "summary.json").write_text(json.dumps({"manifest": EVIL}))
    make(path)
    return path


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    options = webdriver.ChromeOptions()
    options.binary_location = f"{CHROMIUM}"
    for flag in (*FLAGS, f"--user-data-dir={tmp_path_factory.mktemp('profile')}"):
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    driver = webdriver.Chrome(options=options, service=Service(f"{DRIVER}"))
    try:
        yield driver
    finally:
        driver.quit()


@pytest.fixture
def page(browser: Browser, out: Path) -> Browser:
    """The page, as it is when somebody has just opened it."""
    show(browser, 1440, "light")
    logged(browser, "browser")
    logged(browser, "performance")
    browser.get((out / "report.html").as_uri())
    return browser


def show(browser: Browser, width: int, scheme: str) -> None:
    size = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": width < 600}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    wish = [{"name": "prefers-color-scheme", "value": scheme}]
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": wish})


def run(browser: Browser, script: str) -> Any:  # noqa: ANN401
    return browser.execute_script(f"return {script}")


def find(browser: Browser, text: str) -> None:
    field = browser.find_element(By.ID, "find")
    field.clear()
    field.send_keys(text)


def shown(browser: Browser) -> list[str]:
    ids: list[str] = run(
        browser,
        "[...document.querySelectorAll('#list > li')].filter(it => it.offsetHeight)"
        ".map(it => it.dataset.id)",
    )
    return ids


def logged(browser: Browser, kind: str) -> list[dict[str, Any]]:
    """What a log of the browser has had since it was last asked for."""
    told: list[dict[str, Any]] = browser.get_log(kind)  # type: ignore[no-untyped-call]
    return told


def requests(browser: Browser) -> list[str]:
    """What the browser has asked for since it was last asked."""
    told = [json.loads(it["message"])["message"] for it in logged(browser, "performance")]
    return [
        it["params"]["request"]["url"] for it in told if it["method"] == "Network.requestWillBeSent"
    ]


def complaints(browser: Browser) -> list[str]:
    return [it["message"] for it in logged(browser, "browser")]


def test_it_is_quiet_and_asks_nobody(page: Browser, out: Path) -> None:
    assert page.title == "out · batchtts report"
    find(page, "boats")
    for select in page.find_elements(By.TAG_NAME, "select"):
        select.send_keys(Keys.ARROW_DOWN)
    page.find_element(By.ID, "copy-ids").click()
    assert complaints(page) == []
    here = (out / "report.html").as_uri()
    assert {it for it in requests(page) if not it.startswith("data:")} == {here}
    assert len(page.find_elements(By.CSS_SELECTOR, "svg[role=img]")) == 14
    assert len(page.find_elements(By.CSS_SELECTOR, "audio[controls]")) == 27
    assert len(page.find_elements(By.CSS_SELECTOR, "svg.wave .outline")) == 27


def test_what_others_wrote_does_nothing(page: Browser) -> None:
    run(page, "document.querySelectorAll('details').forEach(it => it.open = true)")
    assert run(page, "window.evil") is None
    assert run(page, "document.querySelectorAll('main img, main script').length") == 0
    find(page, "window.evil=1")
    assert sorted(shown(page)) == [EVIL, f"{EVIL}2"]
    assert complaints(page) == []


def test_rows_are_found_by_words_and_by_what_they_are(page: Browser) -> None:
    count = page.find_element(By.ID, "count")
    assert count.text == "30 rows"
    assert count.get_attribute("aria-live") == "polite"
    find(page, "ROW 07")
    assert shown(page) == ["row 07"]
    assert count.text == "1 of 30 rows"
    find(page, "nothing has this")
    assert shown(page) == []
    assert page.find_element(By.ID, "none").is_displayed()
    find(page, "")
    for name, value, ids in (
        ("by-state", "=suspect", ["doubt"]),
        ("by-why", "=cut_end", ["it's"]),
        ("by-voice", "=bea", [f"row {n:02}" for n in range(0, 24, 2)]),
    ):
        run(
            page,
            f"(it => {{ it.value = {value!r}; it.dispatchEvent(new Event('change')) }})"
            f"(document.getElementById({name!r}))",
        )
        assert sorted(shown(page)) == ids
        run(page, f"document.getElementById({name!r}).value = ''")


def test_rows_are_sorted_from_the_keyboard(page: Browser) -> None:
    by_id = page.find_element(By.CSS_SELECTOR, "[data-sort=id]")
    by_id.send_keys(Keys.ENTER)
    ids = shown(page)
    assert ids.index("doubt") < ids.index("failed") < ids.index("row 02") < ids.index("row 10")
    assert by_id.get_attribute("aria-pressed") == "true"
    by_id.send_keys(Keys.SPACE)
    assert shown(page) == ids[::-1]
    page.find_element(By.CSS_SELECTOR, "[data-sort=wer]").send_keys(Keys.ENTER)
    assert shown(page)[:2] == [EVIL, "it's"]


def grant(browser: Browser, setting: str) -> None:
    for name in ("clipboard-read", "clipboard-write"):
        wish = {"permission": {"name": name}, "setting": setting}
        browser.execute_cdp_cmd("Browser.setPermission", wish)


def test_ids_are_copied_as_arguments_of_a_run(page: Browser) -> None:
    grant(page, "granted")
    find(page, "doubt")
    page.find_element(By.ID, "copy-again").click()
    copied = page.find_element(By.ID, "copied")
    WebDriverWait(page, 10).until(lambda _: copied.text == "1 id as --again copied")
    read = "navigator.clipboard.readText().then(arguments[0])"
    assert page.execute_async_script(read) == "--again doubt"
    find(page, "")
    for box in page.find_elements(By.CSS_SELECTOR, ".tick input"):
        if box.find_element(By.XPATH, "..").text in ("it's", "failed", EVIL, "row 03"):
            box.click()
    assert page.find_element(By.ID, "count").text == "30 rows, 4 ticked"
    page.find_element(By.ID, "copy-again").click()
    WebDriverWait(page, 10).until(lambda _: copied.text == "4 ids as --again copied")
    told = page.execute_async_script(read)
    words = [
        it.removeprefix("--again=") for it in shlex.split(told.replace("--again ", "--again="))
    ]
    assert sorted(words) == sorted(["it's", "id:failed", EVIL, "row 03"])


def test_ids_can_be_copied_where_there_is_no_clipboard(page: Browser) -> None:
    grant(page, "denied")
    run(page, "document.execCommand = () => false")
    find(page, "doubt")
    page.find_element(By.ID, "copy-ids").click()
    area = page.find_element(By.ID, "copy-text")
    WebDriverWait(page, 10).until(lambda _: area.is_displayed())
    assert area.get_attribute("value") == "doubt"
    assert run(page, "getSelection().toString()") == "doubt"
    assert page.find_element(By.ID, "copied").text == "1 id: press Ctrl-C to copy"


def number(audio: WebElement, name: str) -> float:
    return float(f"{audio.get_property(name)}")


@pytest.mark.parametrize("embed", [False, True])
def test_rows_can_be_heard(page: Browser, out: Path, tmp_path: Path, embed: bool) -> None:
    target = tmp_path / "else where" / "r.html"
    make(out, target, embed=embed)
    page.get(target.as_uri())
    first, second, *_ = page.find_elements(By.TAG_NAME, "audio")
    for audio in (first, second):
        page.execute_script("arguments[0].play()", audio)
        eventually(lambda: number(audio, "currentTime") > 0.05, 20)  # noqa: B023
    assert first.get_property("paused")
    assert number(second, "duration") == pytest.approx(1.0, abs=0.1)
    assert complaints(page) == []
    assert all(it.startswith(("file:", "data:")) for it in requests(page))


@pytest.mark.parametrize("width", WIDTHS)
def test_it_fits_its_window(page: Browser, width: int) -> None:
    show(page, width, "light")
    run(page, "document.querySelectorAll('details').forEach(it => it.open = true)")
    assert run(page, "document.documentElement.scrollWidth") <= width


def axe() -> str:
    """The checker of accessibility: what a variable names, or what is installed."""
    told = os.environ.get("AXE_CORE")
    spec = find_spec("axe_core_python")
    if told is None and (spec is None or spec.origin is None):
        pytest.skip("there is no axe-core")
    path = Path(told) if told else Path(f"{spec and spec.origin}").parent / "axe.min.js"
    return path.read_text("utf-8")


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", WIDTHS)
def test_nobody_is_left_out(page: Browser, width: int, scheme: str) -> None:
    show(page, width, scheme)
    run(page, "document.querySelectorAll('details').forEach(it => it.open = true)")
    page.execute_script(axe())
    found = page.execute_async_script(
        "axe.run(document, {resultTypes: ['violations']}).then(arguments[0])"
    )
    faults = [
        (it["id"], it["impact"], [node["html"][:200] for node in it["nodes"]][:3])
        for it in found["violations"]
    ]
    assert [it for it in faults if it[1] in ("serious", "critical")] == []
