"""What the dialects have in common."""

from __future__ import annotations

import json
from collections import Counter
from random import Random

import msgspec
import pybase64
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from batchtts.model import Word
from batchtts.wire.messages import Reader, address, asked, decode_base64, timings


class Note(msgspec.Struct):
    """A message."""

    type: str
    pitch: int = 0


read = Reader(Note, {"note"})


def test_a_message_that_fits_is_read() -> None:
    assert read('{"type":"note","pitch":5}') == Note("note", 5)


def test_a_message_of_another_kind_may_hold_anything() -> None:
    assert read('{"type":"news","pitch":[]}') is None


@pytest.mark.parametrize("message", ['{"type":"note","pitch":[]}', '{"pitch":5}', "[", "5"])
def test_a_message_that_matters_must_fit(message: str) -> None:
    with pytest.raises(msgspec.MsgspecError):
        read(message)


# A long value is found by its quotes, and nobody can tell.


class Song(msgspec.Struct):
    """A message with a long value."""

    type: str
    audio: msgspec.Raw = msgspec.Raw()
    item: str | None = None
    extra: msgspec.Raw = msgspec.Raw()


KINDS = {"song", "end"}
found, plainly = Reader(Song, KINDS, audio="audio"), Reader(Song, KINDS)

LONG = "QUJD" * 300


def told(read: Reader[Song], message: bytes) -> object:
    """What is made of a message, or the kind of error."""
    try:
        said = read(message)
    except (msgspec.MsgspecError, ValueError) as error:
        return type(error)
    return said and (said.type, bytes(said.audio), said.item, bytes(said.extra))


_KEYS = ("type", "audio", "item", "extra", "x", '"', "\\", 'x"audio', "audio:", "naïve")
_TEXTS = ("", "?", '"', '"?"', '"audio":"x"', '\\"audio\\":', "😀", "a/b", LONG, LONG + '"' + LONG)
_KINDS_TOLD = ("song", "song", "end", "other")


def compose(random: Random) -> bytes:
    """An object with long values here and there, spelled in any way that JSON allows."""
    said: list[tuple[str, object]] = [("type", random.choice(_KINDS_TOLD))]
    said += [(random.choice(_KEYS), _value(random, 0)) for _ in range(random.randint(0, 4))]
    said += random.choice(([], [("audio", LONG)], [("x", LONG)], [("x", {"audio": LONG})]))
    random.shuffle(said)
    return (_spell_object(random, said) + _space(random)).encode()


def _value(random: Random, depth: int) -> object:
    match random.randrange(7 if depth < 3 else 5):
        case 0:
            return random.choice((None, True, False, 0, -1, 2.5, 1e300))
        case 1 | 2 | 3:
            return random.choice(_TEXTS)
        case 4:
            return random.choice(_KINDS_TOLD)
        case 5:
            return [_value(random, depth + 1) for _ in range(random.randint(0, 3))]
        case _:
            size = random.randint(0, 3)
            return {random.choice(_KEYS): _value(random, depth + 1) for _ in range(size)}


def _space(random: Random) -> str:
    return random.choice(("", "", "", "", " ", "  ", "\n", "\t"))


def _spell(random: Random, value: object) -> str:
    if isinstance(value, dict):
        return _spell_object(random, list(value.items()))
    if isinstance(value, list):
        return "[" + ",".join(_spell(random, each) for each in value) + "]"
    spelled = json.dumps(value, ensure_ascii=random.random() < 0.3)
    return spelled.replace("/", "\\/") if random.random() < 0.3 else spelled


def _spell_object(random: Random, members: list[tuple[str, object]]) -> str:
    told = []
    for key, value in members:
        spelled = json.dumps(key)
        if random.random() < 0.05:
            spelled = spelled.replace("a", "\\u0061")
        told.append(f"{spelled}{_space(random)}:{_space(random)}{_spell(random, value)}")
    return "{" + f",{_space(random)}".join(told) + "}"


@settings(max_examples=300)
@given(st.randoms(use_true_random=False))
def test_whatever_a_message_holds_it_is_read_alike(random: Random) -> None:
    message = compose(random)
    assert told(found, message) == told(plainly, message)


def test_many_messages_are_read_alike() -> None:
    random, kinds = Random(5), Counter[str]()
    for _ in range(20_000):
        message = compose(random)
        made = told(found, message)
        assert made == told(plainly, message)
        kinds[type(made).__name__] += 1
    assert min(kinds["tuple"], kinds["NoneType"], kinds["type"]) > 300  # read, left out, refused


def test_a_message_that_breaks_off_is_unreadable_either_way() -> None:
    random = Random(6)
    for _ in range(5_000):
        message = compose(random).rstrip()
        broken = message[: random.randrange(len(message))]
        error = told(found, broken)
        assert error == told(plainly, broken)
        assert error in (msgspec.DecodeError, msgspec.ValidationError)


@pytest.mark.parametrize(
    "message",
    [
        '{"type":"song","audio":"%s"}',
        '{"type":"song","audio": "%s","item":"a"}',
        '{"type":"song","audio":  "%s"}',
        '{"audio":"%s","type":"song"}',
        '{"type":"song","x":{"audio":"%s"}}',
        '{"type":"song","x":{"audio":"%s"},"audio" :""}',
        '{"type":"song","x":{"audio":"%s"},"audio" :"?"}',
        '{"type":"song","audio":"%s","audio" :""}',
        '{"type":"song","audio":"","audio":"%s"}',
        '{"type":"song","audio":"%s","audio":"?"}',
        '{"type":"song","audio":"%s","\\u0061udio":"x"}',
        '{"type":"song","x\\"audio":"%s"}',
        '{"type":"song","x":"\\"audio\\":\\"%s"}',
        '{"type":"song","audio":"%s\\",\\"type\\":\\"end"}',
        '{"type":"song","audio":"%s\\"}"}',
        '{"type":"song","audio":"%s\\"","item":"a"}',
        '{"type":"song","audio":"%s","item":"?"}',
        '{"type":"song","audio":["%s"]}',
        '{"type":"other","audio":"%s","item":5}',
        '{"type":"end","audio":"%s","item":5}',
        '{"audio":"%s"}',
        '["audio","%s"]',
        '"audio":"%s"',
        '{"type":"song","audio":"%s"} ',
        '{"type":"song","audio":"%s"}}',
    ],
)
def test_a_long_value_is_found_wherever_it_stands(message: str) -> None:
    spelled = (message % LONG).encode()
    assert told(found, spelled) == told(plainly, spelled)


def test_a_huge_value_is_found() -> None:
    spelled = b'{"type":"song","audio":"' + b"A" * (1 << 24) + b'"}'
    assert told(found, spelled) == told(plainly, spelled)


@pytest.mark.parametrize("space", ["", " "])
def test_what_a_long_value_holds_is_not_looked_at(space: str) -> None:
    """The one difference, and the proof that there is another way: a JSON string it is not."""
    spelled = f'{{"type":"song","audio":{space}"{LONG}\x01"}}'.encode()
    assert told(plainly, spelled) is msgspec.DecodeError
    assert told(found, spelled) == ("song", f'"{LONG}\x01"'.encode(), None, b"")


def test_a_message_of_text_is_read_as_one_of_bytes() -> None:
    spelled = f'{{"type":"song","audio":"{LONG}","item":"naïve"}}'
    assert found(spelled) == plainly(spelled.encode())


@given(st.binary())
def test_base64_is_decoded_with_its_slashes_escaped_or_not(payload: bytes) -> None:
    text = msgspec.json.encode(pybase64.b64encode(payload).decode())
    assert decode_base64(msgspec.Raw(text)) == payload
    assert decode_base64(msgspec.Raw(text.replace(b"/", rb"\/"))) == payload


@pytest.mark.parametrize("text", [b"", b"null", b'"A"', b'"*!*!"', b"5"])
def test_what_is_no_base64_is_refused(text: bytes) -> None:
    with pytest.raises(ValueError):
        decode_base64(msgspec.Raw(text))


def test_timings_that_do_not_match_are_none() -> None:
    assert timings(["a", "b"], [0.0, 1.0], [0.5, 1.5]) == (Word("a", 0.0, 0.5), Word("b", 1.0, 1.5))
    assert timings(["a", "b"], [0.0], [0.5]) == ()
    assert timings(["a"], None, [0.5]) == ()
    assert timings(None, None, None) == ()


def test_only_wishes_that_were_made_are_in_an_address() -> None:
    wishes = {"voice": "helpful woman+1", "speed": None, "loud": True, "rate": 24_000}
    assert asked(wishes) == {"voice": "helpful woman+1", "loud": True, "rate": 24_000}
    assert address("/v1", wishes) == "/v1?voice=helpful%20woman%2B1&loud=true&rate=24000"
