"""From an EPUB to an M4B and its subtitles: chapters, times and every letter, read back by others.

The voice is a whistle for each character, so that what is heard can be read.
"""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple
from xml.sax.saxutils import escape

import numpy as np
import pytest

from batchtts.export.cuefiles import FORMS, Shown
from batchtts.server.engine import Tone
from tests.e2e import TONE, ask, sentences
from tests.epubs import by_hand, by_library, page
from tests.shelf import Samples
from tests.test_audiobook import chapters, decoded
from tests.test_export_subtitles import check_times, joined, read_back

mutagen = pytest.importorskip("mutagen")

WHISTLE_S = 0.060
MARGIN_S = 0.03  # a chapter begins so long before its speech, the first one with the file
TOLERANCE_S = 0.05


class Told(NamedTuple):
    """A chapter as it stands in a book, and the paragraphs that are to be heard of it."""

    title: str
    body: str
    texts: list[str]


NASTY = [
    Told(
        "Lists & <lists>",
        "<h1>I</h1><ul><li>One<ol><li>Two<ul><li><p>Three</p></li></ul></li></ol>and four</li>"
        "<li>Five</li></ul><dl><dt>Six</dt><dd>Seven<p>Eight</p></dd></dl>"
        "<table><tr><td>Nine</td></tr></table>",
        ["I", "One", "Two", "Three", "and four", "Five", "Six", "Seven", "Eight", "Nine"],
    ),
    Told(
        "Notes",
        '<h1>II</h1><p>A lamp<a epub:type="noteref" href="#n1">1</a> burns'
        '<sup><a href="#n2" id="r2">2</a></sup>.</p><aside epub:type="footnote" id="n1">'
        "<p>Of brass.</p></aside><p>12</p>"
        '<p>It went<span epub:type="pagebreak" id="p13">13</span> out.</p>'
        '<p id="n2"><a href="#r2">2</a> Not for long.</p>',
        ["II", "A lamp burns.", "It went out."],
    ),
    Told(
        "Ruby 漢字",
        "<h1>III</h1><p>x<ruby>漢<rp>(</rp><rt>kan</rt><rp>)</rp>字<rt>ji</rt></ruby>y</p>",
        ["III", "x漢字y"],
    ),
    Told(
        "שלום",
        '<h1>IV</h1><p dir="rtl">שלום <b>עו</b>לם</p><p>Say <bdo dir="rtl">مرحبا</bdo> twice</p>',
        ["IV", "שלום עולם", "Say مرحبا twice"],
    ),
    Told(
        "Zürich · „Ende“",
        "<h1>V</h1><p>R&amp;D &lt;b&gt; caf&#233;&#160;&#x2014; d&#xAD;one&#8230;</p>",
        ["V", "R&D <b> café — done…"],
    ),
]

#: Pages that are not well-formed, and not in the order of their names.
BROKEN = [
    Told("Z", "<h1>Z</h1><p>d &nbsp; &hellip; <b>e</p><p>a & b<i>c", ["Z", "d … e", "a & bc"]),
    Told("A", "<p>One.<p>Two.", ["One.", "Two."]),
]


def huge() -> list[Told]:
    """A page of five megabytes, as word processors write them, between two small ones."""
    texts = list(sentences(450).values())
    look = "font-family:'Times New Roman';mso-fareast-language:EN-GB;color:#000000;" * 20
    words = (
        " ".join(f'<span style="{look}" lang="EN-GB">{word}</span>' for word in text.split())
        for text in texts
    )
    body = "".join(f"<p>{each}</p>" for each in words)
    assert len(body) > 5_000_000
    return [
        Told("One", "<h1>One</h1><p>First.</p>", ["One", "First."]),
        Told("Two", f"<h1>Two</h1>{body}", ["Two", *texts]),
        Told("Three", "<h1>Three</h1><p>Last.</p>", ["Three", "Last."]),
    ]


def make(here: Path) -> None:
    """book.epub becomes book.m4b, book.srt and book.vtt."""
    for command in (
        ("book", "book.epub", "-o", "book.parquet"),
        ("run", "book.parquet", *TONE, "--quiet"),
        ("export", "audiobook", "book", "-o", "book.m4b"),
        ("export", "subtitles", "book", "-o", "book.srt"),
        ("export", "subtitles", "book", "-o", "book.vtt"),
    ):
        answer = ask(*command, here=here, deadline=300)
        assert answer.status == 0, answer.err


# ── how it is heard ───────────────────────────────────────────────────────────


def stretches(samples: Samples, rate_hz: int) -> list[tuple[int, int]]:
    """Where something is heard: what a third of a second of silence divides."""
    loud = np.flatnonzero(np.abs(samples.astype(int)) > 300)
    breaks = np.flatnonzero(np.diff(loud) > rate_hz / 3)
    starts, ends = [loud[0], *loud[breaks + 1]], [*(loud[breaks] + 1), loud[-1] + 1]
    return list(zip(map(int, starts), map(int, ends), strict=True))


def pitches(samples: Samples, rate_hz: int) -> list[int]:
    """Which whistles these are."""
    frames = round(WHISTLE_S * rate_hz)
    whole = np.zeros((round(len(samples) / frames), frames))
    heard = samples[: whole.size]
    whole.flat[: len(heard)] = heard
    turns = np.outer(np.arange(frames) / rate_hz, 200 + 12 * np.arange(Tone.PITCHES))
    found: list[int] = np.abs(whole @ np.exp(-2j * np.pi * turns)).argmax(axis=1).tolist()
    return found


def whistled(text: str) -> list[int]:
    """The whistles that stand for a text."""
    return [(ord(each) * 7 + place * 13) % Tone.PITCHES for place, each in enumerate(text)]


def check(here: Path, book: list[Told]) -> None:
    """Chapters are where they are said to be; every paragraph is heard, and shown meanwhile."""
    path = here / "book.m4b"
    texts = [text for each in book for text in each.texts]
    samples, rate_hz = decoded(path)
    places = stretches(samples, rate_hz)
    assert len(places) == len(texts)
    for (start, end), text in zip(places, texts, strict=True):
        assert pitches(samples[start:end], rate_hz) == whistled(text), text
    spans_s = [(start / rate_hz, end / rate_hz) for start, end in places]
    check_chapters(path, book, [start_s for start_s, _ in spans_s])
    for form in FORMS:
        shown = read_back(form, here / f"book.{form}")
        check_times(shown, mutagen.File(path).info.length)
        assert np.abs(np.subtract(times_of(texts, shown), spans_s)).max() <= TOLERANCE_S


def times_of(texts: list[str], shown: list[Shown]) -> list[tuple[float, float]]:
    """When each text begins and ends to be shown; the captions are the texts and nothing else."""
    rest, found = iter(shown), []
    for text in texts:
        told = [next(rest)]
        while len(joined(told)) < len(text):
            told.append(next(rest))
        assert joined(told).split() == text.split()
        found.append((told[0].start_ms / 1000, told[-1].end_ms / 1000))
    assert list(rest) == []
    return found


def check_chapters(path: Path, book: list[Told], starts_s: list[float]) -> None:
    found = chapters(path)
    assert [title for title, _ in found] == [each.title for each in book]
    firsts = np.cumsum([0, *(len(each.texts) for each in book[:-1])])
    heard_s = [0.0, *(starts_s[first] - MARGIN_S for first in firsts[1:])]
    assert [begin_s for _, begin_s in found] == pytest.approx(heard_s, abs=TOLERANCE_S)


@pytest.mark.parametrize("version", [2, 3])
def test_every_letter_of_a_nasty_book_is_heard_in_its_chapter(tmp_path: Path, version: int) -> None:
    bodies = {each.title: each.body for each in NASTY}
    by_library(tmp_path / "book.epub", bodies, version=version)
    make(tmp_path)
    check(tmp_path, NASTY)


def test_every_letter_of_a_broken_book_is_heard_in_its_chapter(tmp_path: Path) -> None:
    pages = {f"{each.title}.xhtml": page(each.body) for each in BROKEN}
    links = (f'<li><a href="{name}">{escape(name[:-6])}</a></li>' for name in pages)
    by_hand(tmp_path / "book.epub", pages, nav="".join(links))
    make(tmp_path)
    check(tmp_path, BROKEN)


@pytest.mark.slow
def test_every_letter_of_a_page_of_five_megabytes_is_heard_in_its_chapter(tmp_path: Path) -> None:
    book = huge()
    by_library(tmp_path / "book.epub", {each.title: each.body for each in book})
    make(tmp_path)
    check(tmp_path, book)
