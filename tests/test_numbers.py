from __future__ import annotations

import re
import sys
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batchtts.text.numbers import knows, missing, number_edits
from batchtts.text.rendering import Rendering
from batchtts.text.roman import value_of

pytest.importorskip("num2words", reason="numbers are an extra")

LANGUAGES = "en en-us de de-ch fr fr-ch es es-mx it pt pt-br nl sv id".split()
PARTS = (
    "0 1 2 5 05 12 21 31 45 71 100 101 200 911 1984 2024 1.234 1,234 1 234 12.5 3,14 01 007 10000"
    " , . - – − / : $ € £ % ° °C km kg h ½ ¾ st nd th er e º ª am p.m. Uhr May Mai mai mayo maggio"
    " Jahrhundert siècle secolo de the a IV XIV I Chapter Henry Louis King ( ) ’ ' a4 covid \n"
)
fragments = st.sampled_from([*PARTS.split(), " ", " ", " ", "\u00a0", "\n", "٣", "²"])
texts = st.one_of(
    st.text(), st.lists(fragments, max_size=25).map("".join), st.lists(fragments).map(" ".join)
)


def read(text: str, language: str = "en", *, is_heading: bool = False) -> str:
    edits = number_edits(text, language, is_heading=is_heading)
    return Rendering.of(text).edited(edits).spoken


@pytest.mark.parametrize(
    ("text", "spoken"),
    [
        ("12 men, 1,500 cats", "twelve men, one thousand five hundred cats"),
        (
            "1,234,567",
            "one million two hundred and thirty-four thousand five hundred and sixty-seven",
        ),
        ("3.14 and 0.05", "three point one four and zero point zero five"),
        ("−5, it was -8 and (-7)", "minus five, it was minus eight and (minus seven)"),
        ("1st 2nd 23rd 112th", "first second twenty-third one hundred and twelfth"),
        ("mid-19th-century", "mid-nineteenth-century"),
        ("In 1984, in 1905", "In nineteen eighty-four, in nineteen oh-five"),
        ("the 1984 election", "the nineteen eighty-four election"),
        ("in 1066, 2005 and 2019.", "in ten sixty-six, two thousand and five and twenty nineteen."),
        ("the 1980s, the ’90s, his 20s", "the nineteen eighties, the nineties, his twenties"),
        ("$5, $1, $1,000.", "five dollars, one dollar, one thousand dollars."),
        (
            "$3.50, $0.99, £1.01",
            "three dollars and fifty cents, ninety-nine cents, one pound and one penny",
        ),
        (
            "$5 million, £1m, €3.5bn",
            "five million dollars, one million pounds, three point five billion euros",
        ),
        ("12 € and €12", "twelve euros and twelve euros"),
        ("50%, 3.5 %", "fifty percent, three point five percent"),
        ("1914–1918, 1914-1918", ", ".join(["nineteen fourteen to nineteen eighteen"] * 2)),
        (
            "(1914–18) in 1914-18",
            "(nineteen fourteen to eighteen) in nineteen fourteen to eighteen",
        ),
        (
            "pp. 3-7, 5–10 kg, 5–10%",
            "pp. three to seven, five to ten kilograms, five to ten percent",
        ),
        ("on 2024-05-12", "on May twelfth, twenty twenty-four"),
        ("12 May 2024", "the twelfth of May twenty twenty-four"),
        ("the 12 May 2024", "the twelfth of May twenty twenty-four"),
        ("on 3 Jan. 1900", "on the third of Jan. nineteen hundred"),
        ("May 12, 2024 and June 1st.", "May twelfth, twenty twenty-four and June first."),
        ("March 5 men", "March five men"),
        ("at 9:30 a.m., 14:05", "at nine thirty a.m., fourteen oh five"),
        ("9am, 9 PM. At 10:05pm.", "nine a.m., nine p.m. At ten oh five p.m."),
        ("It is 9:00.", "It is nine o'clock."),
        ("½ cup, 2½ hours", "one half cup, two and a half hours"),
        ("5 km, 1 kg, 90km/h", "five kilometers, one kilogram, ninety kilometers per hour"),
        ("20 °C, it was -5°C", "twenty degrees Celsius, it was minus five degrees Celsius"),
        ("a 20-year-old", "a twenty-year-old"),
        ("Henry VIII and Elizabeth II.", "Henry the Eighth and Elizabeth the Second."),
        ("King Charles I was, Louis XXI", "King Charles the First was, Louis the Twenty-First"),
        ("World War II, World War I was", "World War two, World War one was"),
        ("see Chapter IV or Part XL", "see Chapter four or Part forty"),
        ("Chapter 4", "Chapter four"),
        ("He was 21. Then “5”", "He was twenty-one. Then “five”"),
    ],
)
def test_english_numbers_are_words(text: str, spoken: str) -> None:
    assert read(text) == spoken


@pytest.mark.parametrize(
    ("language", "text", "spoken"),
    [
        ("de", "1.234 Menschen", "eintausendzweihundertvierunddreißig Menschen"),
        ("de", "3,14", "drei Komma eins vier"),
        ("de", "am 3. Mai 1984", "am dritten Mai neunzehnhundertvierundachtzig"),
        ("de", "der 3. Mai, 4. Juni", "der dritte Mai, vierter Juni"),
        ("de", "im 19. Jahrhundert", "im neunzehnten Jahrhundert"),
        ("de", "am 12.05.2024", "am zwölften Mai zweitausendvierundzwanzig"),
        ("de", "14:05 Uhr, um 1 Uhr", "vierzehn Uhr fünf, um ein Uhr"),
        ("de", "3,50 €, 1 €, 5 $", "drei Euro fünfzig, ein Euro, fünf Dollar"),
        ("de", "1 %, 21 km, 20 °C", "ein Prozent, einundzwanzig Kilometer, zwanzig Grad Celsius"),
        ("de", "1914–1918", "neunzehnhundertvierzehn bis neunzehnhundertachtzehn"),
        ("de", "Kapitel IV, 21 Bücher", "Kapitel vier, einundzwanzig Bücher"),
        ("de", "2½ Stunden", "zweieinhalb Stunden"),
        ("de-ch", "1’234.5", "eintausendzweihundertvierunddreißig Komma fünf"),
        ("fr", "10 000 hommes, 1\u202f000", "dix mille hommes, mille"),
        ("fr", "3,14, 3,05", "trois virgule quatorze, trois virgule zéro cinq"),
        ("fr", "1er mai 1984, 2 mai", "premier mai mille neuf cent quatre-vingt-quatre, deux mai"),
        ("fr", "le XIXe siècle, la 2e", "le dix-neuvième siècle, la deuxième"),
        ("fr", "14h05, à 1 h", "quatorze heures cinq, à une heure"),
        ("fr", "21h30, 14:05", "vingt et une heures trente, quatorze heures cinq"),
        ("fr", "12 €, 1,50 €", "douze euros, un euro cinquante"),
        ("fr", "50 %", "cinquante pour cent"),
        ("fr", "Louis XIV, François Ier", "Louis quatorze, François premier"),
        ("fr", "Chapitre IV, p. 3-7", "Chapitre quatre, p. trois à sept"),
        ("fr-ch", "71 ans", "septante et un ans"),
        ("es", "1.234.000", "un millón doscientos treinta y cuatro mil"),
        ("es", "1 de mayo de 1984", "uno de mayo de mil novecientos ochenta y cuatro"),
        ("es", "a las 9:30", "a las nueve treinta"),
        ("es", "21 €, 3,50 €", "veintiún euros, tres euros con cincuenta"),
        ("es", "31 km, 21.000", "treinta y un kilómetros, veintiún mil"),
        ("es", "1.º y 2ª", "primero y segunda"),
        (
            "es",
            "Felipe II, Alfonso XIII, Isabel II",
            "Felipe segundo, Alfonso trece, Isabel segunda",
        ),
        (
            "es",
            "en 1984 fue, siglo XIX",
            "en mil novecientos ochenta y cuatro fue, siglo diecinueve",
        ),
        ("es-MX", "1,234.5", "mil doscientos treinta y cuatro punto cinco"),
        ("it", "1.234 e 3,14", "milleduecentotrentaquattro e tre virgola quattordici"),
        ("it", "1º maggio, 8 maggio", "primo maggio, otto maggio"),
        ("it", "alle 14:05", "alle quattordici e cinque"),
        ("it", "1 €, 3,50 €", "un euro, tre euro e cinquanta"),
        ("it", "Luigi XIV, il XIX secolo", "Luigi quattordicesimo, il diciannovesimo secolo"),
        ("it", "Elisabetta II, capitolo IV", "Elisabetta seconda, capitolo quattro"),
        ("pt", "12 de maio de 2024", "doze de maio de dois mil e vinte e quatro"),
        ("nl", "12 mei 2024, 15%", "twaalf mei tweeduizendvierentwintig, vijftien procent"),
        ("sv", "1 234", "ettusen tvåhundratrettiofyra"),
        ("id", "1.234 orang", "seribu dua ratus tiga puluh empat orang"),
        ("en-US", "05/12/2024", "May twelfth, twenty twenty-four"),
    ],
)
def test_numbers_are_words_of_the_language(language: str, text: str, spoken: str) -> None:
    assert read(text, language) == spoken


@pytest.mark.parametrize(
    ("language", "text"),
    [
        ("en", "007, 555-0199, 020 7946 0958, (212) 555-1234, call 911"),
        ("en", "A4, COVID-19, IPv6, F-16, MP3, 4x4, 3D"),
        ("en", "version 1.2.3, version 3.10, v2.0, 192.168.0.1"),
        ("en", "ISBN 978-3-16-148410-0, 90210, #1, 1234-56"),
        ("en", "every 90s, 60s, the code 12 34"),
        ("en", "24/7, 9/11, 1/2, 05/12/2024, 5'9\", 10², 2+2"),
        ("en", "Boeing 747, Room 101, the 1905 revolution"),
        ("en", "a $20 bill, the 5 km run, US$5, $5-$10, 5%-10%"),
        ("en", "1,00,000 and 5,5 and 10 000"),
        ("en", "https://example.com/1984?id=5 x_5 foo@12.com"),
        ("en", "3th, 11st, 10:30–11:00, 12:30:45, 25:00"),
        ("en", "the best part I know, Mary I think, Malcolm X, Vitamin C"),
        ("en", "Paul I know, MIX, VI, CD"),
        ("de", "5. Kapitel, 3.2, er war 21. Dann"),
        ("de", "1 Buch, 101 Dalmatiner, Ludwig XIV."),
        ("fr", "21 femmes, 1 livre, 01 02 03 04 05, 3.14"),
        ("es", "200 personas, 21 libros, 11º, 14:05"),
        ("it", "1 libro, 14:05"),
        ("pt", "2 casas, 200 pessoas"),
        ("xx", "12 and $5"),
        ("zh", "12"),
    ],
)
def test_digits_stay_where_it_is_not_sure_what_they_are(language: str, text: str) -> None:
    assert number_edits(text, language, is_heading=False) == []


@pytest.mark.parametrize(
    ("text", "spoken"),
    [
        ("IV", "four"),
        ("I. Down the Hole", "one. Down the Hole"),
        ("XII — The Storm", "twelve — The Storm"),
        ("CHAPTER IV: V", "CHAPTER four: V"),
        ("I Am Legend", "I Am Legend"),
        ("MIX", "MIX"),
        ("C", "C"),
        ("Vivid", "Vivid"),
        ("1984", "nineteen eighty-four"),
    ],
)
def test_a_heading_may_begin_with_a_roman_numeral(text: str, spoken: str) -> None:
    assert read(text, is_heading=True) == spoken


@given(st.integers(1, 399))
def test_a_roman_numeral_has_its_value(value: int) -> None:
    tens = ("", "X", "XX", "XXX", "XL", "L", "LX", "LXX", "LXXX", "XC")
    ones = ("", "I", "II", "III", "IV", "V", "VI", "VII", "VIII", "IX")
    assert value_of("C" * (value // 100) + tens[value // 10 % 10] + ones[value % 10]) == value


@given(texts, st.sampled_from(LANGUAGES), st.booleans())
def test_any_text_gives_edits_that_cut_no_number(
    text: str, language: str, is_heading: bool
) -> None:
    edits = number_edits(text, language, is_heading=is_heading)
    assert all(0 <= edit.start < edit.end <= len(text) and edit.said for edit in edits)
    assert all(first.end <= second.start for first, second in pairwise(edits))
    for edit in edits:
        assert not re.search(r"\d\Z", text[: edit.start]) or not text[edit.start].isdigit()
        assert not re.match(r"\d", text[edit.end :]) or not text[edit.end - 1].isdigit()


@given(st.integers(0, 10**15 - 1), st.sampled_from(LANGUAGES))
def test_a_number_that_is_read_has_no_digit_left(value: int, language: str) -> None:
    mark = {"de-ch": "’", "fr": "\u202f", "fr-ch": "\u202f", "sv": "\u00a0"}.get(language)
    if mark is None:
        mark = "," if language in ("en", "en-us", "es-mx") else "."
    text = f"{value:,}".replace(",", mark)
    is_left = value in (110, 111, 112, 118, 119, 911, 999) or (
        1000 <= value < 1100 and mark not in text
    )
    assert is_left or not re.search(r"\d", read(text, language))


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_language_with_words_for_numbers_is_known(language: str) -> None:
    assert knows(language)
    assert knows(language.upper().replace("-", "_"))


def test_a_language_without_them_is_not() -> None:
    assert not knows("zh")
    assert not knows("und")


def test_what_is_missing_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    assert missing() is None
    monkeypatch.setitem(sys.modules, "num2words", None)
    assert missing() == "num2words"
