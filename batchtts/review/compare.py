"""A script against what a recognizer heard: errors, and where they are. Pure.

Both sides are brought to one form, aligned, and what only looks different is forgiven:
words that sound alike, or are the same letters cut otherwise. What remains is measured in
phonemes where they are known and in letters where not, because one wrong word may be one
wrong sound or a lost half sentence.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby

from batchtts.errors import SettingsError
from batchtts.model import Differences
from batchtts.review import alignment
from batchtts.review.alignment import Kind, Piece
from batchtts.review.figures import measure
from batchtts.review.likeness import Likeness, Phonemize
from batchtts.text.spoken import Word, normalize


@dataclass(frozen=True, slots=True)
class Span:
    """``script[start:end]``, as it was written, and what was heard for it.

    Attributes:
        start, end: The same place where something was heard that is not in the script.
        heard: Part of the transcript as it was written; empty if nothing was heard.
    """

    kind: Kind
    start: int
    end: int
    heard: str


@dataclass(frozen=True, slots=True)
class Comparison:
    """What differs between a script and a transcript.

    Attributes:
        spans: In order; together they are the script, each character once.
    """

    spans: tuple[Span, ...]
    figures: Differences

    @property
    def wer(self) -> float:
        """Errors per word of the script."""
        return self.figures.wer

    @property
    def cer(self) -> float:
        """Errors per character of the script."""
        return self.figures.cer

    @property
    def per(self) -> float | None:
        """Errors per phoneme of the script; None where they are not known."""
        return self.figures.per


def require_comparison() -> None:
    """Make sure that texts can be compared.

    Raises:
        SettingsError: what it takes is not installed.
    """
    try:
        import jiwer  # noqa: F401
        import num2words  # noqa: F401
    except ImportError as error:
        raise SettingsError(
            f"comparing transcripts needs {error.name}", hint="pip install 'batchtts[verify]'"
        ) from None


def compare(
    script: str, transcript: str, language: str, phonemize: Phonemize | None = None
) -> Comparison:
    """Compare a script with what was heard.

    Args:
        language: A tag like ``en-US``.
        phonemize: How an English word sounds; not asked for other languages.

    Raises:
        SettingsError: what it takes is not installed.
    """
    require_comparison()
    is_english = language.lower().startswith("en")
    likeness = Likeness(phonemize if is_english else None, is_english=is_english)
    said, heard = normalize(script, language), normalize(transcript, language)
    words, others = [it.text for it in said], [it.text for it in heard]
    pieces = alignment.align(words, others, likeness.cost)
    pieces = alignment.merged(_forgiven(words, others, _cells(pieces), likeness))
    figures = measure(words, others, pieces, likeness)
    return Comparison(tuple(_spans(script, transcript, said, heard, pieces)), figures)


def _forgiven(
    said: Sequence[str], heard: Sequence[str], cells: Iterable[Piece], likeness: Likeness
) -> Iterator[Piece]:
    """Forgive what is the same to the ear, numbers as a whole: in part they may differ."""

    def words(piece: Piece) -> tuple[Sequence[str], Sequence[str]]:
        return said[piece.start : piece.end], heard[piece.heard_start : piece.heard_end]

    for is_number, group in groupby(cells, lambda it: likeness.are_numbers(*words(it))):
        parts = list(group)
        first, last = parts[0], parts[-1]
        whole = Piece("forgiven", first.start, last.end, first.heard_start, last.heard_end)
        if (
            is_number
            and any(it.kind != "equal" for it in parts)
            and likeness.forgives(*words(whole))
        ):
            yield whole
            continue
        for part in parts:
            is_near = part.kind == "substituted" and likeness.forgives(*words(part))
            yield part._replace(kind="forgiven") if is_near else part


def _spans(
    script: str, transcript: str, said: list[Word], heard: list[Word], pieces: Sequence[Piece]
) -> Iterator[Span]:
    """Show the pieces in the texts as they were written."""
    at = 0
    waiting: Span | None = None  # an equal span that may go on
    for kind, start, end, first, last in alignment.merged(_whole(pieces, said)):
        words = transcript[heard[first].start : heard[last - 1].end] if first < last else ""
        begin = at if start == end else said[start].start
        stop = at if start == end else said[end - 1].end
        if kind == "equal":
            waiting = Span("equal", at if waiting is None else waiting.start, stop, words)
        else:
            if at < begin or waiting is not None:
                yield Span(
                    "equal",
                    at if waiting is None else waiting.start,
                    begin,
                    "" if waiting is None else waiting.heard,
                )
            waiting = None
            yield Span(kind, begin, stop, words)
        at = stop
    if waiting is not None or at < len(script):
        start, words = (at, "") if waiting is None else (waiting.start, waiting.heard)
        yield Span("equal", start, len(script), words)


def _whole(pieces: Sequence[Piece], said: list[Word]) -> Iterator[Piece]:
    """Cut the pieces anew, so that none ends within what stands for one part of the script."""
    waiting: Piece | None = None
    for piece in _cells(pieces):
        at = piece.start
        if waiting is None:
            waiting = piece
        elif 0 < at < len(said) and said[at - 1].start == said[at].start:
            waiting = _joined(waiting, piece)
        else:
            yield waiting
            waiting = piece
    if waiting is not None:
        yield waiting


def _cells(pieces: Sequence[Piece]) -> Iterator[Piece]:
    """The pieces, a word at a time where they are equal."""
    for piece in pieces:
        if piece.kind != "equal":
            yield piece
            continue
        for by in range(piece.end - piece.start):
            start, first = piece.start + by, piece.heard_start + by
            yield Piece("equal", start, start + 1, first, first + 1)


def _joined(piece: Piece, behind: Piece) -> Piece:
    kinds = {piece.kind, behind.kind}
    kind: Kind = "substituted"
    if len(kinds) == 1:
        kind = piece.kind
    elif kinds == {"equal", "forgiven"}:
        kind = "forgiven"
    return Piece(kind, piece.start, behind.end, piece.heard_start, behind.heard_end)
