"""Edges of the protocols that a careful reader asks for, one recorded conversation each."""

from __future__ import annotations

import pytest

from batchtts.wire.dialogue import State
from batchtts.wire.events import Audio, Closed, Done, Event, Failed, Fault, Finished, Ready
from tests.talks import Refused, meaning, replay

ONE = b"\x00\x00\x01\x00"
TWO = b"\x02\x00\x03\x00"


@pytest.mark.parametrize(
    ("name", "end"),
    [
        ("together-no-workers-close-only", Failed("", Fault.BUSY)),
        ("together-missing-key", Closed(1000, "", "nothing")),
        ("together-binary-message", Refused("cannot read a binary message of 4 bytes")),
        ("telnyx-close-4003", Failed("", Fault.VOICE)),
        ("telnyx-close-1011", Closed(1011, "", "next audio")),
        ("telnyx-service-restarts", Closed(1012, "", "next audio")),
        ("smallest-server-error", Failed("Internal server error (500)", Fault.ENGINE, "u1")),
        (
            "smallest-refused-in-the-middle",
            Failed("Concurrency limit exceeded", Fault.BUSY, "u1"),
        ),
    ],
)
def test_a_conversation_that_fails_says_how(name: str, end: Event | Refused) -> None:
    events = meaning(name)
    assert events[-1] == end
    assert Finished() not in events


def test_a_key_that_did_not_arrive_is_told_as_such() -> None:
    assert Failed("Missing API key (missing_api_key)", Fault.KEY) in meaning("together-missing-key")


@pytest.mark.parametrize(
    ("name", "heard"),
    [
        ("together-no-item-ids", [Audio(ONE, "u1")]),
        ("together-default-context", [Audio(ONE, None, "tts_1")]),
        (
            "together-cancelled-context-goes-on",
            [Audio(ONE, "u1", "tts_1"), Audio(TWO, "u1", "tts_1")],
        ),
        ("together-words-one-level-down", [Audio(ONE, "u1", "tts_1")]),
        ("smallest-names-of-all-kinds", [Audio(ONE, "u1")]),
    ],
)
def test_a_conversation_that_ends_well_is_heard(name: str, heard: list[Audio]) -> None:
    events = meaning(name)
    assert [event for event in events if isinstance(event, Audio)] == heard
    assert events[-1] == Finished()


@pytest.mark.parametrize("name", ["telnyx-link-and-list-stripped", "telnyx-code-left-out"])
def test_markdown_that_is_not_spoken_is_not_missed(name: str) -> None:
    assert meaning(name)[-1] == Finished()


@pytest.mark.parametrize(
    ("name", "magic"),
    [
        ("telnyx-riff-answer", b"RIFF"),
        ("telnyx-ogg-answer", b"OggS"),
        ("smallest-riff-answer", b"RIFF"),
    ],
)
def test_a_header_is_left_to_the_decoder(name: str, magic: bytes) -> None:
    events = meaning(name)
    [heard] = [event for event in events if isinstance(event, Audio)]
    assert heard.payload.startswith(magic)
    assert events[-1] == Finished()


def test_files_in_a_row_are_passed_on_as_they_came() -> None:
    payloads = [
        each.payload for each in meaning("telnyx-two-tagged-files") if isinstance(each, Audio)
    ]
    assert [payload[:3] for payload in payloads] == [b"ID3", b"\xff\xfb\x90", b"ID3"]


def test_audio_that_names_no_script_is_the_last_on_its_connection() -> None:
    dialogue, _ = replay("together-default-context")
    assert (dialogue.state, dialogue.may_go_on) == (State.IDLE, False)
    dialogue, _ = replay("together-no-item-ids")
    assert (dialogue.state, dialogue.may_go_on) == (State.IDLE, True)
    assert Ready() in meaning("together-no-item-ids")
    assert Done("u1") in meaning("together-no-item-ids")
