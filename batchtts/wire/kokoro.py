"""The voices of Kokoro-82M and Orpheus 3B, as the vendor lists them.

A Kokoro name says its language and its speaker's sex in two letters: ``af`` is
American English, female. Source: the model card of hexgrad/Kokoro-82M
(VOICES.md) and Together's overview of text to speech.
"""

from __future__ import annotations

from batchtts.model import Voice

KOKORO = "hexgrad/Kokoro-82M"
ORPHEUS = "canopylabs/orpheus-3b-0.1-ft"

LANGUAGES = {
    "a": "en-us",
    "b": "en-gb",
    "e": "es",
    "f": "fr",
    "h": "hi",
    "i": "it",
    "j": "ja",
    "p": "pt-br",
    "z": "zh",
}

_NAMES = {
    "af": "heart alloy aoede bella jessica kore nicole nova river sarah sky",
    "am": "adam echo eric fenrir liam michael onyx puck santa",
    "bf": "alice emma isabella lily",
    "bm": "daniel fable george lewis",
    "ef": "dora",
    "em": "alex santa",
    "ff": "siwis",
    "hf": "alpha beta",
    "hm": "omega psi",
    "if": "sara",
    "im": "nicola",
    "jf": "alpha gongitsune nezumi tebukuro",
    "jm": "kumo",
    "pf": "dora",
    "pm": "alex santa",
    "zf": "xiaobei xiaoni xiaoxiao xiaoyi",
    "zm": "yunjian yunxi yunxia yunyang",
}

#: The first voice of a language is its default.
KOKORO_VOICES = tuple(
    Voice(f"{kind}_{name}", KOKORO, LANGUAGES[kind[0]])
    for kind, names in _NAMES.items()
    for name in names.split()
)

ORPHEUS_VOICES = tuple(
    Voice(name, ORPHEUS, "en-us") for name in "tara leah jess leo dan mia zac zoe".split()
)
