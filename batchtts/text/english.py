"""How English is written in more ways than one: spellings, contractions, abbreviations. Pure data.

Each way comes to one form, and it does not matter which, so that the rules may be broad:
only words that differ must never come to the same form.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import cache

#: What a recognizer leaves out or puts in as it likes.
HESITATIONS = frozenset("um umm uh uhm uhh er erm hm hmm mm mhm".split())

#: Words of which numbers are made.
NUMBERS = frozenset(
    "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen"
    " sixteen seventeen eighteen nineteen twenty thirty forty fifty sixty seventy eighty ninety"
    " hundred thousand million billion trillion first second third fourth fifth sixth seventh"
    " eighth ninth tenth eleventh twelfth thirteenth fourteenth fifteenth sixteenth seventeenth"
    " eighteenth nineteenth twentieth thirtieth fortieth fiftieth sixtieth seventieth eightieth"
    " ninetieth hundredth thousandth".split()
)
SCALES = frozenset("hundred thousand million billion trillion".split())
COINS = frozenset("dollar dollars pound pounds euro euros".split())

#: With a full stop or without, and what is said; `st`, `no` and `in` are told by what follows.
ABBREVIATIONS = {
    "dr": "doctor", "mr": "mister", "mrs": "missus", "ms": "miz", "prof": "professor",
    "gen": "general", "capt": "captain", "sgt": "sergeant", "lt": "lieutenant",
    "col": "colonel", "rev": "reverend", "jr": "junior", "sr": "senior", "ltd": "limited",
    "inc": "incorporated", "corp": "corporation", "vs": "versus", "ave": "avenue",
    "blvd": "boulevard", "mt": "mount", "approx": "approximately", "dept": "department",
    "etc": "et cetera", "govt": "government", "hon": "honorable", "vol": "volume",
    "fig": "figure", "messrs": "messieurs", "esq": "esquire",
    "jan": "january", "feb": "february", "apr": "april", "aug": "august", "sept": "september",
    "oct": "october", "nov": "november", "dec": "december",
}  # fmt: skip

#: Only with their full stop: without it they are words.
DOTTED = {"co": "company", "no": "number", "rd": "road", "sen": "senator", "gov": "governor"}

#: Behind a number.
UNITS = {
    "ft": "feet", "lb": "pounds", "lbs": "pounds", "oz": "ounces", "yd": "yards",
    "yds": "yards", "hr": "hours", "hrs": "hours", "min": "minutes", "mins": "minutes",
    "sec": "seconds", "secs": "seconds", "m": "meters", "g": "grams", "l": "liters",
    "h": "hours", "gb": "gigabytes", "mb": "megabytes", "kb": "kilobytes", "khz": "kilohertz",
    "mhz": "megahertz", "hz": "hertz", "kw": "kilowatts", "km": "kilometers",
    "cm": "centimeters", "mm": "millimeters", "kg": "kilograms", "mg": "milligrams",
    "mph": "miles per hour", "bn": "billion", "k": "thousand",
}  # fmt: skip

FRACTIONS = {
    "1/2": "one half", "1/3": "one third", "2/3": "two thirds", "1/4": "one quarter",
    "3/4": "three quarters", "1/8": "one eighth", "½": "and a half", "¼": "and a quarter",
    "¾": "and three quarters", "⅓": "and a third", "⅔": "and two thirds", "⅛": "and an eighth",
}  # fmt: skip

_IS = "it he she that what who where there here how when why this everything something"
_CONTRACTED = {
    **{f"{it}'s": f"{it} is" for it in _IS.split()},
    **{
        f"{it}n't": f"{it} not"
        for it in (
            "do does did is are was were has have had would could should might must need".split()
        )
    },
    "can't": "can not", "cannot": "can not", "won't": "will not", "shan't": "shall not",
    "ain't": "is not", "i'm": "i am", "let's": "let us", "y'all": "you all", "ma'am": "madam",
    "gonna": "going to", "wanna": "want to", "gotta": "got to", "'tis": "it is",
    "'twas": "it was", "'em": "them", "o'clock": "oclock", "c'mon": "come on",
}  # fmt: skip
# One contraction stands for both.
_EITHER = {"has": "is", "had": "would"}
_ENDINGS = {"'re": "are", "'ll": "will", "'ve": "have", "'d": "would"}

_SINGLE = {
    "grey": "gray", "tyre": "tire", "cheque": "check", "kerb": "curb", "programme": "program",
    "moustache": "mustache", "pyjamas": "pajamas", "storey": "story", "axe": "ax",
    "draught": "draft", "gaol": "jail", "enrol": "enroll", "fulfil": "fulfill",
    "skilful": "skillful", "wilful": "willful", "ageing": "aging", "whisky": "whiskey",
    "yoghurt": "yogurt", "omelette": "omelet", "disc": "disk", "tsar": "czar", "ok": "okay",
    "practise": "practice", "licence": "license", "defence": "defense", "offence": "offense",
    "pretence": "pretense", "jewellery": "jewelry", "aluminium": "aluminum", "cosy": "cozy",
    "sulphur": "sulfur", "plough": "plow", "doughnut": "donut", "hallo": "hello",
    "instalment": "installment", "mum": "mom", "maths": "math", "alright": "all right",
    "thru": "through", "tho": "though", "till": "until", "artefact": "artifact",
    "sceptic": "skeptic", "sceptical": "skeptical", "barbeque": "barbecue", "smokey": "smoky",
}  # fmt: skip

_DOUBLED = (
    "travel cancel label level model signal total jewel counsel quarrel marvel fuel dial equal"
    " rival channel tunnel panel pedal shovel grovel swivel unravel bevel duel enamel funnel parcel"
    " pencil yodel libel initial worship program kidnap focus"
).replace(" ", "|")

_RULES = (
    # colour, honoured; four and your have but one letter before it.
    (r"(?<=[a-z]{2})our(?=(?:s|ed|ing|ers?|abl[ey]|ful|less|ites?|hoods?|ly|y)?$)", "or"),
    # realize; size and prize follow, which does no harm.
    (r"(?<=[iy])z(?=(?:e|es|ed|er|ers|ing|able|ation|ations)$)", "s"),
    (r"(met|lit|fib|och|mit|sab|cent|lust|theat|calib|spect|somb|meag)re(?=(?:s|d)?$)", r"\1er"),
    (r"logue(?=(?:s|d)?$)", "log"),
    (rf"^({_DOUBLED})[lpms](?=(?:ed|ing|er|ers|or|ors|es)$)", r"\1"),
    (r"(?<=m)oul(?=d|t)", "ol"),
    (r"(?<=dg)e(?=ment)", ""),
    (r"^anaesth", "anesth"), (r"paedi", "pedi"), (r"haem", "hem"), (r"^foet", "fet"),
    (r"^oest", "est"), (r"manoeuvre", "maneuver"), (r"manoeuvring", "maneuvering"),
    (r"(rch|pal|edi|ncyclop)ae(?=o|v|d)", r"\1e"), (r"rrhoea", "rrhea"),
)  # fmt: skip


@cache
def _rules() -> tuple[tuple[re.Pattern[str], str], ...]:
    return tuple((re.compile(pattern), said) for pattern, said in _RULES)


def expanded(word: str) -> list[str]:
    """Return the words that a contraction stands for, or the word itself.

    Args:
        word: In lower case, with straight apostrophes.
    """
    whole = _CONTRACTED.get(word)
    if whole is not None:
        return whole.split()
    for ending, said in _ENDINGS.items():
        stem = word.removesuffix(ending)
        if stem and stem != word:
            return [*expanded(stem), said]
    return [word]


def meaning(words: Sequence[str]) -> str:
    """Return what words are without contractions, as letters: `it's` is `it is` or `it has`."""
    whole = [part for word in words for part in expanded(word)]
    return "".join(_EITHER.get(word, word) for word in whole).replace("'", "")


def american(word: str) -> list[str]:
    """Return a word as it is spelled in America, mostly.

    Args:
        word: In lower case, with straight apostrophes.
    """
    single = _SINGLE.get(word)
    if single is not None:
        return single.split()
    if len(word) > 4:
        for pattern, said in _rules():
            word = pattern.sub(said, word)
    return [word]


_ONES = (
    "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen"
    " fifteen sixteen seventeen eighteen nineteen"
)
_TENS = "twenty thirty forty fifty sixty seventy eighty ninety"
_VALUES = {word: value for value, word in enumerate(_ONES.split())} | {
    word: 10 * value for value, word in enumerate(_TENS.split(), 2)
}
_SCALED = {"thousand": 1000, "million": 10**6, "billion": 10**9, "trillion": 10**12}


def same_number(words: Sequence[str], others: Sequence[str]) -> bool:
    """Whether two ways to say a number are the same digits: nineteen ten, one nine one zero."""
    digits = _digits(words)
    return digits is not None and digits == _digits(others)


def _digits(words: Sequence[str]) -> str | None:
    """The digits of numbers in words, one number after another; None if there are others."""
    said: list[int] = []
    whole = below = 0  # what the scales so far make, and what is below the last of them
    room = 0  # the next number below it must be less than this to be of the same number
    for word in words:
        value = _VALUES.get(word)
        if value is not None:
            if not 0 < value < room:
                said += [whole + below] if room else []
                whole = below = 0
            below += value
            room = 10 if value >= 20 else 1
        elif word == "hundred" and 0 < below < 100 and room:
            below, room = 100 * below, 100
        elif word in _SCALED and room:
            whole, below, room = whole + below * _SCALED[word], 0, 1000
        else:
            return None
    return "".join(f"{it}" for it in [*said, whole + below]) if room else None
