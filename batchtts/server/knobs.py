"""What no vendor documents, and a client must be ready for either way: switches.

The defaults are what was seen by people who wrote it down, or else what costs a
careless client the most.
"""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec

Seconds = Annotated[float, msgspec.Meta(gt=0)]
Count = Annotated[int, msgspec.Meta(ge=1)]


class Together(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Together's realtime speech.

    Attributes:
        bad_key: Whether a wrong key is refused with HTTP 401, or with a failed frame.
        items_per_commit: Items that what would be one comes back as.
        timings: Whether the times of words come before the end of their item, or after.
        idle_s: Seconds without a message of the client; no limit is documented.
    """

    bad_key: Literal["status", "frame"] = "status"
    items_per_commit: Count = 1
    timings: Literal["before", "after"] = "before"
    idle_s: Seconds = 300.0


class Transcription(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Together's realtime transcription.

    Attributes:
        acknowledges: Whether a commit is answered with `input_audio_buffer.committed`.
        splits: Whether a commit without turn detection comes back as a transcript
            for each part between pauses; the vendor's library expects one at most.
        names_items: Whether transcripts have `item_id`, `start` and `duration`.
        tells_progress: Whether `input_audio_buffer.processed` comes, as the vendor's
            library says of newer servers.
        long_append: What comes of more than a second in one message: an `error`,
            or nothing special.
        idle_s: Seconds without audio.
    """

    acknowledges: bool = True
    splits: bool = False
    names_items: bool = True
    tells_progress: bool = False
    long_append: Literal["error", "fine"] = "error"
    idle_s: Seconds = 300.0


class Telnyx(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Telnyx's speech.

    Attributes:
        text_frame: Audio in the frame that closes a segment: none, all of the
            segment again (older captures), or all of it with no frames before.
        final: Whether `isFinal` comes after the end of input, or after each segment too.
        cache_frames: Whether frames with nothing but the state of a cache come.
        types: Whether frames have a `type`, as in the vendor's library.
        sentences: Whether a whole sentence is spoken without a flush, as in the guide.
        tags: Whether every MP3 begins with an ID3 tag.
        kokoro_mp3: Whether KokoroTTS speaks MP3 whatever is asked.
        idle_s: Seconds without a message of the client.
    """

    text_frame: Literal["null", "again", "only"] = "null"
    final: Literal["end", "each"] = "end"
    cache_frames: bool = False
    types: bool = False
    sentences: bool = False
    tags: bool = True
    kokoro_mp3: bool = False
    idle_s: Seconds = 20.0


class Smallest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Smallest's Waves.

    Attributes:
        units: Requests in flight for a key; each unit allows five sockets.
        quiet: What starts the timer of `complete` anew: the last chunk of a request,
            or every chunk, so that `complete` may come in the middle of one.
        closes: Whether the connection is closed after `complete`.
        mismatch: What comes of a voice that belongs to the other model: `complete`
            and nothing else, silence, or another voice; an error in no case.
        error_shape: Where an error's words stand; `issues` is the list that is
            documented for HTTP, and has no `status`.
        explains: Whether `complete` has `message` and `done`, as in older versions.
        idle_s: Unless the client says otherwise by `timeout`.
    """

    units: Count = 1
    quiet: Literal["requests", "chunks"] = "requests"
    closes: bool = False
    mismatch: Literal["nothing", "silence", "other"] = "nothing"
    error_shape: Literal["message", "object", "text", "issues"] = "message"
    explains: bool = False
    idle_s: Seconds = 60.0


class Knobs(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """All of them."""

    together: Together = Together()
    transcription: Transcription = Transcription()
    telnyx: Telnyx = Telnyx()
    smallest: Smallest = Smallest()


def with_idle(knobs: Knobs, idle_s: float) -> Knobs:
    """Return them with another limit to silence, the same for every protocol."""
    replace = msgspec.structs.replace
    return Knobs(
        together=replace(knobs.together, idle_s=idle_s),
        transcription=replace(knobs.transcription, idle_s=idle_s),
        telnyx=replace(knobs.telnyx, idle_s=idle_s),
        smallest=replace(knobs.smallest, idle_s=idle_s),
    )
