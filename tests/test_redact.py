"""What is taken out of recorded conversations: the key always, the script on request."""

from __future__ import annotations

import json
import re
from urllib.parse import quote, quote_plus

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from batchtts.model import Word
from batchtts.wire.redact import MASKED_KEY, Screen, Secret, mask
from batchtts.wire.words import Coverage

KEY = 'sk/7+"x y"\\%'
SCRIPT = "Call me Ishmael. Some years ago, never mind how long."

keys = st.text(st.characters(min_codepoint=0x20, max_codepoint=0x7E), min_size=1, max_size=40)
scripts = st.text(min_size=1, max_size=60)


def spellings(key: str) -> list[str]:
    """The forms that a key may have in what is said."""
    return [
        key,
        quote(key),
        quote(key, safe=""),
        re.sub("%..", lambda found: found[0].lower(), quote(key, safe="")),
        quote_plus(key),
        json.dumps(key)[1:-1],
        json.dumps(key)[1:-1].replace("/", "\\/"),
        "".join(f"\\u{ord(each):04x}" for each in key),
        "".join(f"%{ord(each):02X}" for each in key),
    ]


# Keys.


@given(keys, st.text(), st.text())
def test_a_key_is_taken_out_however_it_is_spelled(key: str, before: str, after: str) -> None:
    secret = Secret(key)
    for spelled in spellings(key):
        told = secret.out_of(f"{before}{spelled}{after}")
        assert key not in told
        assert MASKED_KEY in told


@given(keys, st.lists(st.sampled_from(range(9)), max_size=6))
def test_a_key_in_mixed_spelling_is_taken_out_too(key: str, ways: list[int]) -> None:
    assume(ways)
    mixed = "".join(spellings(each)[ways[n % len(ways)]] for n, each in enumerate(key))
    assert key not in Secret(key).out_of(f"?key={mixed}&x=1")


@given(keys, st.text())
def test_what_is_left_never_makes_up_a_key(key: str, text: str) -> None:
    assert key not in Secret(key).out_of(text.replace("x", key))


def test_json_stays_json_without_its_key() -> None:
    message = json.dumps({"error": {"message": f"bad key {KEY}!", "key": KEY}, "n": 1})
    assert json.loads(Secret(KEY).out_of(message)) == {
        "error": {"message": f"bad key {MASKED_KEY}!", "key": MASKED_KEY},
        "n": 1,
    }


def test_a_text_without_the_key_stays_as_it_is() -> None:
    text = f"a%20b\\n {KEY[:-1]} {KEY[1:]}"
    assert Secret(KEY).out_of(text) == text


def test_a_key_is_taken_out_of_bytes_and_nothing_moves() -> None:
    assert Secret("sk-1").out_of_bytes(b"\0\1sk-1\2") == b"\0\1****\2"


# Scripts.


@given(scripts)
def test_a_mask_has_the_shape_of_its_script(script: str) -> None:
    masked = mask(script)
    assert len(masked) == len(script)
    assert [each.isspace() for each in masked] == [each.isspace() for each in script]
    assert mask(masked) == masked


@given(scripts)
def test_a_mask_has_no_letter_and_no_digit_of_its_script(script: str) -> None:
    left = {each for each in mask(script) if each.isalnum()}
    assert left <= set("xж0")


@pytest.mark.parametrize(
    ("text", "masked"),
    [
        ("Call me Ishmael, 42!", "xxxx xx xxxxxxx, 00!"),
        ("Ça va — naïve?", "жx xx — xxжxx?"),
        ("你好 世界", "жж жж"),
        ('<break time="1s"/>', '<xxxxx xxxx="0x"/>'),
        ("“$5.50”", "“$0.00”"),
    ],
)
def test_letters_and_digits_are_masked_and_the_rest_stays(text: str, masked: str) -> None:
    assert mask(text) == masked


@given(st.lists(st.sampled_from("call me Ishmael 42 été 你好 $5".split()), min_size=1), st.data())
def test_word_timings_say_the_same_of_a_mask_as_of_its_script(
    words: list[str], data: st.DataObject
) -> None:
    told = words[: data.draw(st.integers(0, len(words)))]
    script, masked = Coverage(" ".join(words)), Coverage(mask(" ".join(words)))
    script.add(None, [Word(each, 0.0, 1.0) for each in told])
    masked.add(None, [Word(mask(each), 0.0, 1.0) for each in told])
    missing = script.missing()
    assert script.is_whole == masked.is_whole
    assert masked.missing() == (None if missing is None else mask(missing))


# What a provider says of a script.

ECHOES = [
    {"text": SCRIPT},
    {"type": "transcript", "transcript": SCRIPT.upper()},
    {"words": ["Call", "me", "Ishmael"], "start": [0.0, 0.1, 0.2]},
    {"word_timestamps": {"words": ["Some", "years"], "end": [1, 2]}},
    {"wordTimestamps": [{"word": "Ishmael", "start": 0.5}]},
    {"normalizedAlignment": {"chars": list("Ishmael"), "charStartTimesMs": [0] * 7}},
    {"unheard_of": list("years"), "also": ["Some ", "years ", "ago"]},
    {"error": {"message": "cannot say 'Ishmael' in years", "code": 7}},
    {"payload": json.dumps({"t": f"{SCRIPT} "})},
    [{"data": {"sentence": "never mind"}}],
    "how long is Ishmael",
]


@pytest.mark.parametrize("echo", ECHOES)
def test_what_a_provider_says_of_a_script_is_masked(echo: object) -> None:
    told = Screen([SCRIPT]).mask(json.dumps(echo)).casefold()
    assert json.loads(told)
    for word in ("ishmael", "years", "mind"):
        assert word not in told
        assert ",".join(f'"{letter}"' for letter in word) not in told


def test_text_that_is_no_json_is_masked_word_by_word() -> None:
    assert Screen([SCRIPT]).mask("SAYING Ishmael NOW 42") == "SAYING xxxxxxx NOW 42"


def test_a_script_without_spaces_is_masked_in_parts() -> None:
    told = json.dumps({"reason": "cannot say 世界"}, ensure_ascii=False)
    assert Screen(["你好世界"]).mask(told) == '{"reason":"cannot say жж"}'


@pytest.mark.parametrize(
    "message",
    [
        '{"type": "conversation.item.audio_output.done", "item_id": "never"}',
        '{ "audio":"//uQxA==", "isFinal":true, "alignment":null, "n": 1.50 }',
        '{"type":"call","id":"Ishmael","modalities":["text","audio"]}',
        '{"delta":"Call+me/Ishmael="}',
        "12",
        "[]",
    ],
)
def test_a_message_that_tells_nothing_stays_as_it_is(message: str) -> None:
    assert Screen([SCRIPT]).mask(message) == message


@pytest.mark.parametrize("message", ["[" * 100_000, '{"a":' * 900 + '"Ishmael"' + "}" * 900])
def test_a_deep_message_is_masked_too(message: str) -> None:
    assert "Ishmael" not in Screen([SCRIPT]).mask(message.replace('"I', '"so I'))


def test_nothing_is_masked_for_no_script_but_what_says_what_is_spoken() -> None:
    screen = Screen(())
    assert screen.mask('{"message":"all is well"}') == '{"message":"all is well"}'
    assert screen.mask('{"text":"all is well"}') == '{"text":"xxx xx xxxx"}'
