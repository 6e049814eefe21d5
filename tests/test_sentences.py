from __future__ import annotations

import subprocess
import sys
from itertools import pairwise

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from batchtts.text import sentences
from batchtts.text.sentences import binds, plain_ends, sentence_ends

LANGUAGES = "en-us en-gb de fr es it pt-br nl pl ru el ja zh ko hi ar th hy am my xx".split()
BITS = [
    *"abA B.. ,!?\n\n\t—…。”“\"'()«»é\u0301🎉-10।;؟\r\x0b\x85\u2028\u2029\u00a0\u200b\x00\ufeff",
    *("Dr. ", "J. ", "A\u00a0.", "e.g. ", "U.S. ", "\r\n\r\n", "[1]", "http://a.b", "word "),
    *("“" * 200, "a " * 3000),
]

#: Sentences of a paragraph, divided by bars; no two of them may run into one.
AS_READ = [
    ("en", "He came on Jan. 5th and left.| J. R. R. Tolkien wrote it.| By J. Smith."),
    ("en", "It weighs 3.5 kg.| I like it, e.g. in tea, i.e. hot.| Fig. 3 shows it."),
    ("en", "See p. 12.| Vol. 2 is out.| No. 5 is alive.| It cost $1,000,000.50 in all."),
    ("en", "Mr. and Mrs. Dursley came at 5 p.m. sharp.| Dr. No, Ph.D. Smith and St. Paul."),
    ("en", "The U.S. Army came.| He lives in the U.S.| She does not."),
    ("en", "He said no.| Then he left.| It was in Jan.| Then he left."),
    ("en", "Version 1.2.3 is out.| Visit www.example.com.| Really?!| Yes."),
    ("en", "1. First of all.| 2. Second of all."),
    ("en", "“Stop! Do not go. Please,” she said.| He went."),
    ("en", "“Stop!” she said.| “No.”| He went."),
    ("en", "'Stop!' he said.| \"Yes! Go.\"| Now."),
    ("en", "“Stop!” — she cried.| “Why?” asked Bob."),
    ("en", '"Are you sure?"| "I am."| "Good."'),
    ("en", "Wait… what?| Hm... maybe.| So it goes."),
    ("en", "hello there.| how are you?| i am fine."),
    ("fr", "«Viens ! dit-il. Non.»| M. Dupont est là.| Il part."),
    ("fr", "« Viens ! » dit-il.| Mme. Dupont est là.| « Non. »| Il part."),
    ("de", "Er kam am 5. Januar.| Dr. Müller kommt z. B. heute.| Das ist usw. alles."),
    ("de-de", "Da war eine Frau.| „Halt! Komm.“| Er ging.| Es sind 3,5 kg.| Die Nr. 5 lebt."),
    ("es", "¿Qué?| ¡No!| El Sr. López vino.| La Sra. López vino."),
    ("it", "Il sig. Rossi e il dott. Bianchi.| Sì."),
    ("nl", "Dhr. Jansen kwam o.a. op 5 jan. aan.| Ja."),
    ("pl", "Dr. Kowalski, np. tu, m.in. tam.| Tak."),
    ("ru", "И. И. Иванов пришёл.| Он жил в г. Москва."),
    ("el", "Πού είσαι;| Εδώ είμαι.| Τι κάνεις\u037e| Καλά."),
    ("ja", "吾輩は猫である。|名前はまだ無い！|本当？|彼は「行け。早く。」と言った。"),
    ("zh", "你好。|真的吗？|他说：“走吧。快点。”|然后离开了。"),
    ("hi", "यह एक वाक्य है।| यह दूसरा है॥| ठीक?"),
    ("ar", "مرحبا.| كيف حالك؟| أنا بخير۔| نعم."),
    ("am", "ሰላም።| እንዴት ነህ።| ደህና።"),
    ("xx", "Dr. No came.| He left."),
    ("", "Mr. No came.| He left."),
]


def cut(text: str, ends: list[int]) -> list[str]:
    return [text[start:end].strip() for start, end in pairwise([0, *ends, len(text)])]


@pytest.mark.parametrize(("language", "marked"), AS_READ)
def test_sentences_end_where_a_reader_ends_them(language: str, marked: str) -> None:
    text = marked.replace("|", "")
    expected = [each.strip() for each in marked.split("|")]
    assert cut(text, sentence_ends(text, language)) == expected


@pytest.mark.parametrize(
    ("language", "marked"),
    [
        ("en", "“Stop!| Do not go.| Please,” she said.| Mr. Boomer went."),
        ("en", "The U.S. Army came on Jan. 5th.| It weighs 3.5 kg.| “Go!” she said."),
        ("de", "„Halt!| Komm.“| Er kam am 5. Januar."),
        ("fr", "« Viens !| Non. »| Il part."),
        ("el", "Πού είσαι;| Εδώ είμαι."),
        ("ja", "彼は「行け。|早く。」と言った。|それから去った。"),
        ("zh", "圆周率是３．１４。|你好。"),
    ],
)
def test_rules_of_our_own_look_into_quotations(language: str, marked: str) -> None:
    text = marked.replace("|", "")
    assert cut(text, plain_ends(text, language)) == [each.strip() for each in marked.split("|")]


@given(st.lists(st.sampled_from(BITS), max_size=40).map("".join), st.sampled_from(LANGUAGES))
@example("A\u00a0.", "en")
@example("A\u2028. B", "en")
@example("\ud800 A. B\udfff. C", "en")
@example("a\x00b. C d. E", "en")
def test_ends_ascend_within_any_text(text: str, language: str) -> None:
    for ends in (sentence_ends(text, language), plain_ends(text, language)):
        assert ends == sorted(set(ends))
        assert all(0 < end < len(text) for end in ends)


@given(st.text(st.characters()), st.sampled_from(LANGUAGES))
def test_any_characters_will_do(text: str, language: str) -> None:
    assert all(0 < end < len(text) for end in sentence_ends(text, language))


def test_a_sentence_across_two_windows_is_one() -> None:
    text = "So it goes on, and on. " * 1000
    assert sentence_ends(text, "en") == list(range(23, len(text), 23))


def test_a_sentence_longer_than_a_window_hides_no_other() -> None:
    long = f"So it goes {'on and ' * 1500}on. "
    text = f"{long}Then Mr. Boomer left. He came. "
    expected = [len(long), len(long) + len("Then Mr. Boomer left. ")]
    assert sentence_ends(text, "en") == expected


def test_what_does_not_join_to_the_text_is_not_believed(monkeypatch: pytest.MonkeyPatch) -> None:
    import sentencex

    def segment(language: str, text: str) -> list[str]:
        return [text[:3], text[5:]]

    text = "One is here. Mr. Two is there. Three."
    expected = sentence_ends(text, "en")
    monkeypatch.setattr(sentencex, "segment", segment)
    assert sentences.sentence_ends(text, "en") == expected == [13, 31]


def test_the_library_is_loaded_when_it_is_needed() -> None:
    code = "import sys, batchtts.text.segment; sys.exit('sentencex' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.parametrize(
    ("before", "after", "is_bound"),
    [
        ("Mr.", " Boomer", True),
        ("No.", " 5", True),
        ("He said no.", " Then", False),
        ("3.5", " kg", True),
        ("J.", " Smith", True),
        ("word", " word", False),
    ],
)
def test_some_words_are_bound_to_the_next(before: str, after: str, is_bound: bool) -> None:
    assert binds(before + after, len(before)) == is_bound
