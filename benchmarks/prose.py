"""Made-up prose: English sentences of 5 to 40 words with names and numbers, all from a seed.

Nothing is quoted from anywhere, and no sentence is likely to come twice.
"""

from __future__ import annotations

from collections.abc import Iterator
from random import Random

_NAMES = (
    "Marta Ellis Jonah Priya Tobias Ingrid Samuel Noor Beatrix Oscar Lucinda Pavel Harriet"
    " Desmond Yuki Clara Rafael Winifred Abel Simone"
).split()
_SURNAMES = "Okafor Lindqvist Hargrove Castellan Whitby Moreau Tanaka Brandt Delacroix Pym".split()
_PLACES = (
    "Carrow Bay|the old mill|Lindale|the harbour office|Upper Wexley|the botanical garden"
    "|Station Road|the northern ridge|Port Amity|the reading room|Bramble Hill|the ferry"
).split("|")
_THINGS = (
    "lantern|map of the valley|wooden chest|letter|broken telescope|kettle|ledger|bicycle"
    "|violin|sack of barley|photograph|brass key|weather report|pair of boots|recipe"
).split("|")
_QUALITIES = (
    "quiet|narrow|forgotten|bright|stubborn|enormous|damp|careful|golden|ordinary|strange|heavy"
).split("|")
_DID = (
    "carried|found|repaired|sold|described|painted|lost|weighed|borrowed|hid|measured|noticed"
).split("|")
_WENT = ("walked|hurried|drifted|climbed|sailed|wandered|drove|limped|cycled|stumbled").split("|")
_FELT = "tired|relieved|curious|certain|uneasy|delighted|cold|ready|amused|lonely".split("|")
_WHEN = (
    "before sunrise|after the storm|late on Tuesday|in the spring of {year}|at half past {hour}"
    "|for {few} days|every other morning|once the guests had left|on the {day}th of October"
).split("|")
_ASIDES = (
    "which nobody had expected|as her grandmother used to say|though the road was flooded"
    "|because the train was late again|while the dog slept by the stove"
    "|if the figures in the report were right|and that was the end of the matter"
    "|so the whole village heard about it|until the lamps were lit along the quay"
    "|where {few} gulls were fighting over a crust of bread|since it cost only {price} dollars"
).split("|")
_CORES = (
    "{name} {did} the {quality} {thing}",
    "{name} {surname} {went} to {place}",
    "the {quality} {thing} belonged to {name}",
    "nobody at {place} knew that {name} felt {felt}",
    "there were {number} {quality} boxes behind {place}",
    "{name} and {other} {went} past {place} with a {thing}",
    "the {thing} weighed {number} pounds and {name} {did} it anyway",
    "{name} said that the {thing} was {quality} but rather {felt}",
    "about {percent} percent of the {quality} houses near {place} stood empty",
    "it took {few} people to move the {thing} from {place}",
)
_QUESTIONS = (
    "did {name} really leave the {thing} at {place}",
    "how many of the {number} letters had {surname} answered",
    "who {did} the {quality} {thing} {when}",
    "would you have {went} to {place} {when}",
)
_BRIEF = (
    "{name} felt {felt} {when}",
    "the {thing} was {quality} and heavy",
    "{name} {did} a {quality} {thing}",
    "wait for {name} at {place}",
)

MOST_WORDS = 40


def sentences(seed: int) -> Iterator[str]:
    """Yield sentences without end, the same ones for the same seed."""
    chance = Random(seed)
    while True:
        sentence = _sentence(chance)
        if 5 <= len(sentence.split()) <= MOST_WORDS:
            yield sentence


def _sentence(chance: Random) -> str:
    kind = chance.random()
    if kind < 0.10:
        return _shaped(_filled(chance.choice(_QUESTIONS), chance), "?")
    if kind < 0.25:
        return _shaped(_filled(chance.choice(_BRIEF), chance), chance.choice("..!"))
    clauses = [_filled(chance.choice(_CORES), chance)]
    while chance.random() < 0.55 and len(clauses) < 4:
        more = chance.choice((*_ASIDES, *_WHEN, "and {core}", "but {core}"))
        core = chance.choice(_CORES) if "{core}" in more else ""
        clauses.append(_filled(more.replace("{core}", core), chance))
    joined = clauses[0]
    for clause in clauses[1:]:
        joined += chance.choice((", ", ", ", " ", "; ")) + clause
    return _shaped(joined, ".")


def _shaped(words: str, mark: str) -> str:
    return words[0].upper() + words[1:] + mark


def _filled(template: str, chance: Random) -> str:
    words = {
        "name": chance.choice(_NAMES),
        "other": chance.choice(_NAMES),
        "surname": chance.choice(_SURNAMES),
        "place": chance.choice(_PLACES),
        "thing": chance.choice(_THINGS),
        "quality": chance.choice(_QUALITIES),
        "did": chance.choice(_DID),
        "went": chance.choice(_WENT),
        "felt": chance.choice(_FELT),
        "number": f"{chance.choice((chance.randint(2, 99), chance.randint(100, 4000))):,}",
        "percent": chance.randint(2, 98),
        "few": chance.randint(2, 12),
        "price": f"{chance.randint(1, 300)}.{chance.randint(10, 99)}",
        "year": chance.randint(1780, 2024),
        "hour": chance.choice("three four seven nine eleven".split()),
        "day": chance.choice((4, 5, 9, 14, 17, 26)),
    }
    return template.replace("{when}", chance.choice(_WHEN)).format(**words)


_WORDS = {
    "de": "der die das Haus Hund Straße ging kam schnell langsam morgen gestern und aber weil"
    " Fenster Schule Wetter grün Zeitung lesen schreiben Bahnhof Freundschaft zwölf 1987 42 Übung",
    "es": "el la casa perro calle caminaba llegó rápido despacio mañana ayer y pero porque"
    " ventana escuela tiempo verde periódico leer escribir estación amistad doce 1987 42 jardín",
    "fr": "le la maison chien rue marchait arriva vite lentement demain hier et mais parce"
    " fenêtre école temps vert journal lire écrire gare amitié douze 1987 42 cœur aujourd'hui",
    "it": "il la casa cane strada camminava arrivò veloce piano domani ieri e ma perché"
    " finestra scuola tempo verde giornale leggere scrivere stazione dodici 1987 42 cuore",
}

#: Rows that are hard to judge: one word, and two minutes.
_LONE = "Yes. No? Wait! Hello. 42. BBC. 1987! I. OK. Mr. Pym. Oh! 3,450.75. Sixty-four?".split()
_LENGTHS = (1, 1, 2, 3, 5, 8, 12, 20, 30)
_LONG_WORDS = 300


def rows(language: str, seed: int, number: int) -> list[str]:
    """Return rows short and long, questions, numbers, lone words and one of two minutes.

    In other languages than English they are words in no order: it is for their sound.
    """
    chance = Random(seed)
    if language.startswith("en"):
        said = sentences(seed)
        some = [next(said) for _ in range(number - len(_LONE) - 1)] + _LONE
        long = " ".join(next(said) for _ in range(_LONG_WORDS // 15))
    else:
        words = _WORDS[language].split()
        some = [_row(words, chance.choice(_LENGTHS), chance) for _ in range(number - 1)]
        long = " ".join(_row(words, 12, chance) for _ in range(_LONG_WORDS // 12))
    chance.shuffle(some)
    return [*some, long]


def _row(words: list[str], length: int, chance: Random) -> str:
    return _shaped(" ".join(chance.choices(words, k=length)), chance.choice("..?!"))
