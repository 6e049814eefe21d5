"""What is spoken for a script, and by whom: markup, dictionary, numbers, speakers.

A job that asks for none of these has every script spoken as it is written.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property, partial
from hashlib import sha256
from pathlib import Path

from batchtts.errors import ScriptRejected, SettingsError
from batchtts.job.casting import Casting, Choice, Wish
from batchtts.job.settings import Job, Markup
from batchtts.model import Pauses, Refusal, Voice
from batchtts.text import numbers
from batchtts.text.dictionary import Dictionary, Entry
from batchtts.text.markup import html_edits, markdown_edits
from batchtts.text.rendering import Edit, Rendering
from batchtts.text.segment import is_heading
from batchtts.text.speakers import Turn, find_turns

Find = Callable[[str], Sequence[Edit]]

_MARKUP = {"markdown": markdown_edits, "html": html_edits}

# What is hardly in a script: between what is said by one and by another.
_TURN, _NAME, _PAUSES, _SCRIPT = "\x1e", "\x1f", "\x1d", "\x1c"


@dataclass(frozen=True, slots=True)
class Said:
    """What is spoken for one script.

    Attributes:
        turns: Who says what of it; nothing if the row's own voice says all.
        cast: The voices of those.
        readings: How the provider is told to read words of it.
        refusal: Why it cannot be spoken, if it cannot.
    """

    rendering: Rendering
    turns: Sequence[Turn] = ()
    cast: Mapping[str, Voice] = field(default_factory=dict)
    readings: str = ""
    refusal: Refusal | None = None

    def of_turn(self, turn: Turn) -> str:
        """Stands for a turn."""
        voice = self.cast.get(turn.speaker) if turn.speaker is not None else None
        who = ""
        if voice is not None:
            who = f"{voice.model}{_NAME}{voice.name}{_NAME}{voice.language}"
        return f"{_TURN}{who}{_NAME}{self.rendering.spoken[turn.start : turn.end]}"


@dataclass(frozen=True)
class Wording:
    """How the scripts of a job become what is spoken."""

    markup: Markup = "none"
    dictionary: Dictionary | None = None
    numbers_as_words: bool = False
    voices: Mapping[str, str] = field(default_factory=dict)
    pauses: Pauses = field(default_factory=Pauses)

    @classmethod
    def of(cls, job: Job) -> Wording:
        """Make ready what a job asks for.

        Raises:
            SettingsError: the dictionary cannot be read, or a package is missing.
        """
        dictionary = None if job.dictionary is None else read_dictionary(job.dictionary)
        missing = numbers.missing() if job.numbers_as_words else None
        if missing is not None:
            raise SettingsError(
                f"numbers_as_words: {missing} is not installed",
                hint="pip install 'batchtts[numbers]'",
            )
        return cls(job.markup, dictionary, job.numbers_as_words, job.voices, job.pauses)

    @cached_property
    def pronunciations(self) -> Mapping[str, str]:
        """What of the dictionary a provider's own can hold."""
        return self.dictionary.as_pairs() if self.dictionary is not None else {}

    @cached_property
    def _parted(self) -> tuple[Dictionary, Dictionary]:
        """The same as a dictionary, and the rest, which is replaced in any text."""
        sent = Dictionary.of(map(Entry._make, self.pronunciations.items()))
        return sent, self.dictionary.rest() if self.dictionary is not None else sent

    @cached_property
    def is_plain(self) -> bool:
        """Whether scripts are spoken as they are written."""
        is_as_written = self.markup == "none" and self.dictionary is None
        is_own = not self.voices and self.pauses == Pauses()
        return is_as_written and is_own and not self.numbers_as_words

    def cast(self, wish: Wish, speaker: str | None, casting: Casting) -> Choice:
        """Return the voice of a row, by its own wish or by its speaker, and why not."""
        name, model, language, speed = wish
        if name is not None or speaker is None or not self.voices:
            return casting.of(*wish)
        known = {_folded(each): voice for each, voice in self.voices.items()}
        if _folded(speaker) in known:
            return casting.of(known[_folded(speaker)], model, language, speed)
        voice, _ = casting.of(*wish)
        told = f"speaker {speaker!r} has no voice; voices has {', '.join(self.voices)}"
        return voice, Refusal(ScriptRejected.code, told)

    @cached_property
    def stands_for(self) -> str:
        """The same for the same wording."""
        words = self.dictionary.entries if self.dictionary is not None else ()
        facts = (self.markup, words, self.numbers_as_words, self.voices, self.pauses)
        return sha256(repr(facts).encode()).hexdigest()

    def in_a_word(self, said: Said, limit: int) -> str:
        """Stands for all that is said, by whom, with what pauses, and for which parts of a script.

        What the row's own voice says alone, as it is written and with the usual pauses,
        stands for itself.

        Args:
            limit: Characters of a segment; there are no pauses within one.
        """
        script, text = said.rendering.script, said.rendering.spoken
        has_segments, is_written = len(text) > limit or bool(said.turns), text == script
        text += said.readings
        if said.turns:
            text = "".join(map(said.of_turn, said.turns))
        if has_segments and self.pauses != Pauses():
            text = f"{text}{_PAUSES}{self.pauses}"
        # Marks decide where a script is cut, and its cues are places in it.
        return text if is_written or not has_segments else f"{text}{_SCRIPT}{script}"

    def say(self, script: str, voice: Voice, casting: Casting) -> Said:
        """Find out what is spoken for a script whose own voice is *voice*."""
        rendering = Rendering.of(script)
        if self.is_plain:
            return Said(rendering)
        if self.markup in _MARKUP:
            rendering = rendering.edited(_MARKUP[self.markup](rendering.spoken))
        try:
            rendering, turns = find_turns(rendering, self.voices)
        except ScriptRejected as error:
            told = f"{error}; {error.hint}" if error.hint else f"{error}"
            return Said(rendering, refusal=Refusal(error.code, told))
        own = not turns and casting.provider.pronounces(voice.model)
        words = self._parted[1] if own else self.dictionary
        for find in self._changes(voice.language, words, is_heading=is_heading(rendering.spoken)):
            rendering, turns = _changed(rendering, turns, find)
        if turns:
            return self._cast(Said(rendering, turns), voice.language, casting)
        return Said(rendering, readings=self._readings(rendering) if own else "")

    def _readings(self, rendering: Rendering) -> str:
        """Stands for how the provider is told to read words of a text."""
        return "".join(f"{_NAME}{it.said}" for it in self._parted[0].edits(rendering.spoken))

    def _changes(
        self, language: str, words: Dictionary | None, *, is_heading: bool
    ) -> Iterator[Find]:
        if words is not None:
            yield words.edits
        if self.numbers_as_words:
            yield partial(numbers.number_edits, language=language, is_heading=is_heading)

    def _cast(self, said: Said, language: str, casting: Casting) -> Said:
        """Find the voices of those who speak, in the language of the row if they know it."""
        cast, refusal = {}, None
        for name in {turn.speaker for turn in said.turns if turn.speaker is not None}:
            cast[name], missing = casting.of(self.voices[name], None, language)
            if missing is not None:
                cast[name], missing = casting.of(self.voices[name], None, None)
            refusal = refusal or missing
        return Said(said.rendering, said.turns, cast, refusal=refusal)


def _folded(name: str) -> str:
    return name.strip().casefold()


def _changed(
    rendering: Rendering, turns: Sequence[Turn], find: Find
) -> tuple[Rendering, list[Turn]]:
    """Change what each one says, and nothing that two say together."""
    spoken = rendering.spoken
    edits: list[Edit] = []
    moved: list[Turn] = []
    grown = 0
    for turn in turns or [Turn(0, len(spoken), None)]:
        found = find(spoken[turn.start : turn.end])
        edits += (Edit(turn.start + it.start, turn.start + it.end, it.said) for it in found)
        start = turn.start + grown
        grown += sum(len(it.said) - (it.end - it.start) for it in found)
        if start < turn.end + grown:
            moved.append(Turn(start, turn.end + grown, turn.speaker))
    return rendering.edited(edits), moved if turns else []


def read_dictionary(path: Path) -> Dictionary:
    """Read how words are spoken.

    Raises:
        SettingsError: there is no such file, or a line of it cannot be understood.
    """
    try:
        return Dictionary.parse(path.read_text(encoding="utf-8-sig"))
    except OSError as error:
        raise SettingsError(f"{path}: {(error.strerror or str(error)).lower()}") from None
    except ValueError as error:
        raise SettingsError(f"{path}: {error}") from None
