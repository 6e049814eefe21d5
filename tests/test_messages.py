"""What the dialects have in common."""

from __future__ import annotations

import msgspec
import pybase64
import pytest
from hypothesis import given
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
