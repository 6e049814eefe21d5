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
        items_per_commit: Items that a commit comes back as, whatever `segment` says.
        idle_s: Seconds without a message of the client; no limit is documented.
    """

    bad_key: Literal["status", "frame"] = "status"
    items_per_commit: Count = 1
    idle_s: Seconds = 300.0


class Transcription(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Together's realtime transcription.

    Attributes:
        acknowledges: Whether a commit is answered with `input_audio_buffer.committed`.
        idle_s: Seconds without a message of the client.
    """

    acknowledges: bool = True
    idle_s: Seconds = 300.0


class Telnyx(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Telnyx's speech.

    Attributes:
        text_frame: Audio in the frame that closes a segment: none, all of the
            segment again (older captures), or all of it with no frames before.
        final: Whether `isFinal` comes after the end of input, or after each synthesis.
        cache_frames: Whether frames with nothing but the state of a cache come.
        types: Whether frames have a `type`, as in the vendor's library.
        idle_s: Seconds without a message of the client.
    """

    text_frame: Literal["null", "again", "only"] = "null"
    final: Literal["end", "each"] = "end"
    cache_frames: bool = False
    types: bool = False
    idle_s: Seconds = 20.0


class Smallest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Smallest's Waves.

    Attributes:
        units: Requests in flight for a key; each unit allows five sockets.
        closes: Whether the connection is closed after `complete`.
        error_shape: Where an error's words stand.
        explains: Whether `complete` has `message` and `done`, as in older versions.
        idle_s: Unless the client says otherwise by `timeout`.
    """

    units: Count = 1
    closes: bool = False
    error_shape: Literal["message", "object", "text"] = "message"
    explains: bool = False
    idle_s: Seconds = 60.0


class Knobs(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """All of them."""

    together: Together = Together()
    transcription: Transcription = Transcription()
    telnyx: Telnyx = Telnyx()
    smallest: Smallest = Smallest()
