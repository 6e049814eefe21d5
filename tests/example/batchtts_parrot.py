"""Parrot: a script is one message of JSON; audio comes in base64, then an end."""

from base64 import b64decode
from collections.abc import Sequence
from dataclasses import dataclass
from json import dumps, loads
from urllib.parse import urlencode

from batchtts.model import Voice
from batchtts.wire.dialect import Traits
from batchtts.wire.events import Audio, Done, Event, Failed, Fault
from batchtts.wire.provider import Manner, Provider

FAULTS = {"busy": Fault.BUSY, "credit": Fault.QUOTA, "text": Fault.SCRIPT, "voice": Fault.VOICE}


@dataclass(frozen=True)
class Parrot:
    """What is said on one connection."""

    manner: Manner
    traits = Traits(reusable=True, raw_hz=16_000)

    @property
    def resource(self) -> str:
        query = {"voice": self.manner.voice.name, "speed": self.manner.speed}
        return f"/v1/repeat?{urlencode(query)}"

    def hello(self) -> list[str]:
        return []

    def speak(self, script: str, context: str) -> list[str]:
        return [dumps({"id": context, "repeat": script})]

    def parse(self, message: str | bytes) -> Sequence[Event]:
        match loads(message):
            case {"id": str(context), "audio": str(audio)}:
                return [Audio(b64decode(audio, validate=True), context)]
            case {"id": str(context), "end": True}:
                return [Done(context)]
            case {"id": str(context), "error": str(reason), **more}:
                return [Failed(reason, FAULTS.get(str(more.get("kind")), Fault.ENGINE), context)]
            case _:
                return []  # what means nothing to us


PROVIDER = Provider(
    name="parrot",
    about="Parrot: two voices that repeat what they are told",
    url="wss://api.parrot.example",
    key_variable="PARROT_API_KEY",
    dialect=Parrot,
    voices=(Voice("polly", "parrot-1", "en-us"), Voice("jacquot", "parrot-1", "fr")),
    sample_rate_hz=16_000,
    segment_chars=400,
    workers=4,
    usd_per_million_chars={"parrot-1": 5.0},
    prices_as_of="2026-11-01",
)
