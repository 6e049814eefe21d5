"""A book becomes one file with chapters, or a file for each chapter.

Where several voices speak, they are made equally loud first. Then a file is made in four
steps, in which never more than a block of audio is in memory:
every chapter is measured; all of it is encoded, each chapter at its own gain; what was
written is read back and measured again; and if that is not the target, it is made once
more with what was learned. Only a file that was read back gets its name. Chapters are
measured in parallel, and so are files made. One long file is encoded in one stream: at
several hundred times real time that takes less than what parts joined anew could save,
and no player has to be trusted with a seam.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_EXCEPTION, Future, ThreadPoolExecutor, wait
from contextlib import contextmanager, suppress
from itertools import chain
from pathlib import Path
from typing import NamedTuple, TypeVar

from batchtts.errors import RunError
from batchtts.export import published
from batchtts.export.assembly import Assembly
from batchtts.export.book import Chapter
from batchtts.export.encode import Child, Children, require_encoder
from batchtts.export.levels import Heard, gains_db, steps, voices
from batchtts.export.loudness import Setting, corrected, first_settings, wrong_ends, wrong_levels
from batchtts.export.orders import (
    Encode,
    Inspect,
    Marked,
    Measure,
    Measured,
    Part,
    Picture,
    Step,
)
from batchtts.export.recipe import (
    Levelled,
    MadeChapter,
    MadeFile,
    Recipe,
    Report,
    Track,
    heading,
    plan_tracks,
    rounded,
    spell_report,
)
from batchtts.record import disk
from batchtts.record.hashes import sha256_of

_TRIES = 4
_OVERSAMPLING = 4  # peaks between samples are less than 0.2 dB above those that it shows
_NEAR_S = 0.05
_CODEC_FRAMES = 2048  # by which a codec may make a file longer

#: Told how many seconds of audio were worked through, of how many; from any thread.
Watch = Callable[[float, float], None]

Made = TypeVar("Made")


class _Take(NamedTuple):
    """A file as it was last made: what was done to each chapter, and what it measures."""

    settings: list[Setting]
    measured: Measured


def export_audiobook(assembly: Assembly, recipe: Recipe, cores: int, watch: Watch) -> Report:
    """Make an audiobook, and return what it measures.

    Raises:
        UsageError: there is no encoder, or what would be replaced is somebody's own.
        OutputBroken: the disk does not take it.
        RunError: what was written cannot be read back.
    """
    require_encoder()
    tracks = plan_tracks(assembly.book, recipe)
    with disk.telling(recipe.directory):
        disk.make_directory(recipe.directory)
    names = [track.path.name for track in tracks]
    known = published.ours(recipe.report)
    if not recipe.is_forced:
        published.refuse_foreign([track.path for track in tracks], known)
    with _scratch_removed(tracks), _working(cores) as (pool, children):
        published.remove_leftovers(recipe.directory, [*names, recipe.report.name])
        maker = _Maker(assembly, recipe, pool, children, watch)
        report = maker.report(maker.make_all(tracks))
        paths = [track.path for track in tracks]
        published.publish(recipe.report, spell_report(report), paths)
    for stale in known.keys() - set(names):
        disk.remove(recipe.directory / stale)
    return report


@contextmanager
def _scratch_removed(tracks: Sequence[Track]) -> Iterator[None]:
    """Whatever happens, nothing is left of what was begun."""
    try:
        yield
    finally:
        for track in tracks:
            with suppress(OSError):
                disk.remove(published.scratch_of(track.path))


@contextmanager
def _working(cores: int) -> Iterator[tuple[ThreadPoolExecutor, Children]]:
    """Threads, each with a child; at the end of the block nobody works any more."""
    children = Children(cores)
    pool = ThreadPoolExecutor(cores)
    is_done = False
    try:
        yield pool, children
        is_done = True
    finally:
        if not is_done:
            children.kill()
        pool.shutdown(cancel_futures=True)
        children.end()


def _results(futures: Sequence[Future[Made]]) -> list[Made]:
    """What comes of each; the first failure is raised as soon as it is there."""
    wait(futures, return_when=FIRST_EXCEPTION)
    for future in futures:
        if future.done() and future.exception() is not None:
            future.result()
    return [future.result() for future in futures]


class _Maker:
    """Makes the files of one book."""

    def __init__(
        self,
        assembly: Assembly,
        recipe: Recipe,
        pool: ThreadPoolExecutor,
        children: Children,
        watch: Watch,
    ) -> None:
        self._assembly = assembly
        self._book = assembly.book
        #: What it is before it becomes more samples of the same.
        self._plain = assembly.at(self._book.sample_rate_hz)
        self._recipe = recipe
        self._pool = pool
        self._children = children
        self._watch = watch
        cover = self._book.cover
        self._cover = None if cover is None else Picture(cover, self._book.cover_type)
        self._finds_loudness = recipe.target.level == "lufs"
        self._voices: list[Levelled] = []
        self._gains: dict[str, float] = {}
        self._done_s = 0.0
        self._all_s = 0.0

    def make_all(self, tracks: Sequence[Track]) -> list[MadeFile]:
        """Make every file, under a scratch name."""
        self._check()
        chapters = list(chain.from_iterable(track.chapters for track in tracks))
        self._level()
        lengths = [self._pool.submit(self._assembly.duration_s, chapter) for chapter in chapters]
        self._all_s = 2 * sum(_results(lengths))
        figures = _results([self._pool.submit(self._measure, chapter) for chapter in chapters])
        target, margin_db = self._recipe.target, self._recipe.margin_db
        settings = iter(first_settings(figures, target, margin_db=margin_db))
        made = [
            self._pool.submit(self._make, track, [next(settings) for _ in track.chapters])
            for track in tracks
        ]
        return _results(made)

    def _check(self) -> None:
        with self._children.lent() as child:
            child.check(self._recipe.format, self._cover)

    def _level(self) -> None:
        """See how loud the voices are, if there are several."""
        heard = voices(self._book) if self._recipe.is_levelled else []
        if len(heard) < 2:
            return
        found = _results([self._pool.submit(self._loudness_of, each) for each in heard])
        self._voices = [
            Levelled(voice=each.voice, audio_s=round(each.audio_s, 2), lufs=lufs, gain_db=gain)
            for each, lufs, gain in zip(heard, found, gains_db(found), strict=True)
        ]
        self._gains = {each.voice: each.gain_db for each in self._voices}

    def _loudness_of(self, heard: Heard) -> float | None:
        with self._children.lent() as child:
            order = Measure(self._plain.sample_rate_hz)
            measured = child.measure(order, heard.sample(self._plain))
        return rounded(measured.whole).lufs

    def _steps(self, assembly: Assembly, chapters: Sequence[Chapter]) -> list[Step]:
        return steps(assembly.place(*chapters), self._gains) if self._gains else []

    def _measure(self, chapter: Chapter) -> Measured:
        order = Measure(
            self._plain.sample_rate_hz,
            self._steps(self._plain, [chapter]),
            finds_loudness=self._finds_loudness,
        )
        with self._children.lent() as child:
            return child.measure(order, self._counted(self._plain, [chapter]))

    def _counted(self, assembly: Assembly, chapters: Sequence[Chapter]) -> Iterator[bytes]:
        """Yield the audio, and tell how much of it there was."""
        for block in assembly.pcm(*chapters):
            yield block
            self._done_s += len(block) / 2 / assembly.sample_rate_hz
            self._watch(self._done_s, self._all_s)

    def _make(self, track: Track, settings: list[Setting]) -> MadeFile:
        """Write a file until it measures as it should, and no longer than is sensible."""
        with self._children.lent() as child:
            take = self._take(child, track, settings)
            for _ in range(_TRIES - 1):
                better = self._better(take)
                if better is None:
                    break
                take = self._take(child, track, better)
        return self._told(track, take)

    def _better(self, take: _Take) -> list[Setting] | None:
        """What to do instead, if anything of it is not as it should be."""
        target, margin_db = self._recipe.target, self._recipe.margin_db
        found = [
            corrected(setting, figures, target, margin_db=margin_db)
            for setting, figures in zip(take.settings, take.measured.parts, strict=True)
        ]
        if not any(found):
            return None
        return [new or old for new, old in zip(found, take.settings, strict=True)]

    def _take(self, child: Child, track: Track, settings: list[Setting]) -> _Take:
        scratch = published.scratch_of(track.path)
        marks = self._marks(track)
        parts = self._parts(marks, settings)
        order = Encode(
            path=f"{scratch}",
            format=self._recipe.format,
            sample_rate_hz=self._recipe.sample_rate_hz,
            bit_rate=self._recipe.bit_rate,
            tags=track.tags,
            parts=parts,
            language=self._book.language,
            cover=self._cover,
            oversampling=1 if self._recipe.target.of_samples else _OVERSAMPLING,
            steps=self._steps(self._assembly, track.chapters),
        )
        child.encode(order, self._counted(self._assembly, track.chapters))
        ends_s = [mark.end_s for mark in marks]
        inspection = Inspect(f"{scratch}", ends_s, finds_loudness=self._finds_loudness)
        measured = child.inspect(inspection)
        _compare(track.path, marks, measured, self._recipe.sample_rate_hz)
        return _Take(settings, measured)

    def _marks(self, track: Track) -> list[Marked]:
        marks = self._assembly.marks(*track.chapters)
        return [Marked(heading(mark.chapter), mark.start_s, mark.end_s) for mark in marks]

    def _parts(self, marks: Sequence[Marked], settings: Sequence[Setting]) -> list[Part]:
        rate_hz = self._recipe.sample_rate_hz
        return [
            Part(
                title=mark.title,
                frames=round(mark.end_s * rate_hz) - round(mark.start_s * rate_hz),
                gain_db=setting.gain_db,
                ceiling_dbfs=setting.ceiling_dbfs,
            )
            for mark, setting in zip(marks, settings, strict=True)
        ]

    def _told(self, track: Track, take: _Take) -> MadeFile:
        scratch = published.scratch_of(track.path)
        whole = take.measured.whole
        with disk.telling(scratch):
            size, sha256 = scratch.stat().st_size, sha256_of(scratch)
        return MadeFile(
            name=track.path.name,
            bytes=size,
            sha256=sha256,
            measured=rounded(whole),
            chapters=self._chapters(track, take),
            wrong=wrong_ends(whole, self._recipe.target),
        )

    def _chapters(self, track: Track, take: _Take) -> list[MadeChapter]:
        each = zip(
            track.chapters, self._marks(track), take.settings, take.measured.parts, strict=True
        )
        return [
            MadeChapter(
                number=chapter.number,
                title=mark.title,
                start_s=round(mark.start_s, 3),
                end_s=round(mark.end_s, 3),
                gain_db=setting.gain_db,
                limited_to_dbfs=setting.ceiling_dbfs,
                measured=rounded(figures),
                missing=chapter.missing,
                wrong=wrong_levels(figures, self._recipe.target),
            )
            for chapter, mark, setting, figures in each
        ]

    def report(self, files: list[MadeFile]) -> Report:
        """What was made of the book."""
        recipe, book = self._recipe, self._book
        return Report(
            title=book.title,
            authors=list(book.authors),
            language=book.language,
            format=recipe.format,
            sample_rate_hz=recipe.sample_rate_hz,
            bit_rate=recipe.bit_rate,
            target=recipe.target.name,
            asked=f"{recipe.target}",
            voices=self._voices,
            files=files,
            missing=book.missing,
        )


def _compare(path: Path, marks: list[Marked], found: Measured, sample_rate_hz: int) -> None:
    """See whether a file has the length and the chapters that it was given.

    Raises:
        RunError: it has not.
    """
    wrong = None
    whole_s, near_s = marks[-1].end_s, max(_NEAR_S, _CODEC_FRAMES / sample_rate_hz)
    if abs(found.whole.duration_s - whole_s) > near_s:
        wrong = f"{found.whole.duration_s:.2f} s long instead of {whole_s:.2f} s"
    elif len(found.chapters) != len(marks):
        wrong = f"{len(found.chapters)} chapters instead of {len(marks)}"
    else:
        for asked, mark in zip(marks, found.chapters, strict=True):
            if mark.title != asked.title or abs(mark.start_s - asked.start_s) > _NEAR_S:
                wrong = f"a chapter {mark.title!r} at {mark.start_s:.2f} s"
                wrong += f" instead of {asked.title!r} at {asked.start_s:.2f} s"
                break
    if wrong is not None:
        raise RunError(f"{path}: read back, it is not what was written: {wrong}")
