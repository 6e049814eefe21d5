"""How work is going, on a terminal: one calm line, or two where there is room.

It is drawn anew by time, never by what happens. Between two drawings the cursor stands
where the line begins: whatever a terminal does to lines when it is made narrower, what is
left of the old one is behind the cursor, and goes with the next drawing.
"""

from __future__ import annotations

import io
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TextIO, cast

from rich.console import Console, ConsoleOptions, RenderResult
from rich.control import Control
from rich.segment import ControlType, Segment
from rich.text import Text

from batchtts.errors import one_line
from batchtts.run.figures import Figures
from batchtts.run.progress import counting
from batchtts.run.spelling import spell_clock, spell_cost, spell_left, spell_rate

REFRESH_S = 0.25

#: From how many columns → how many of them the bar itself takes.
BARS = ((170, 40), (120, 28), (100, 20), (72, 12), (50, 8), (0, 4))

#: From how many columns figures are told with all their words, and the last error below.
ROOMY = 120
TWO_LINES = 100

_LONGEST_LEFT = len("100.0 h left")

_BEGIN = Segment("\r", None, [(ControlType.CARRIAGE_RETURN,)])
# Up to the end of the screen; a console that is told by its controls clears the line.
_CLEAR = Segment("\x1b[J", None, [(ControlType.ERASE_IN_LINE, 0)])
_CLEAR_LINE = Segment("\x1b[K", None, [(ControlType.ERASE_IN_LINE, 0)])


@dataclass(frozen=True, slots=True)
class Glyphs:
    """What the line is made of."""

    done: str
    half: str
    left: str
    cut: str


LINES = Glyphs("━", "╸", "─", "…")
ASCII = Glyphs("#", "", "-", "...")


def glyphs_of(console: Console) -> Glyphs:
    """Return what a console can show: an old one of Windows, or another encoding, little."""
    return ASCII if console.legacy_windows or console.options.ascii_only else LINES


@dataclass(frozen=True, slots=True)
class _Cell:
    """Something to tell, in the order of the line.

    Attributes:
        rank: What has a lower one goes in first.
    """

    rank: int
    text: str
    style: str = ""


def compose(figures: Figures, width: int, glyphs: Glyphs) -> list[Text]:
    """Return the lines, each shorter than *width* columns: the last one stays free."""
    told = Text(end="", no_wrap=True)
    label = figures.work.label
    if label and width >= ROOMY // 2:
        told.append(f"{label}  ")
    size = next(size for columns, size in BARS if width >= columns)
    told.append_text(_bar(figures.share, size, glyphs))
    told.append(f"{int(figures.share * 100):4d}%")
    for text, style in _chosen(_cells(figures, roomy=width >= ROOMY), width - 1 - told.cell_len):
        told.append("  ").append(text, style)
    lines = [told]
    if width >= TWO_LINES and figures.last_error:
        error = one_line(figures.last_error)
        if glyphs is ASCII:
            error = error.encode("ascii", "backslashreplace").decode("ascii")
        lines.append(Text(f"last error: {error}", "dim", end=""))
    for each in lines:
        _cut(each, width - 1, glyphs)
    return lines


def _cut(line: Text, room: int, glyphs: Glyphs) -> None:
    if line.cell_len > room:
        line.truncate(max(room - len(glyphs.cut), 0))
        line.append(glyphs.cut)
        line.truncate(max(room, 0))


def _bar(share: float, size: int, glyphs: Glyphs) -> Text:
    halves = int(share * size * 2)
    done = glyphs.done * (halves // 2) + (glyphs.half if halves % 2 else "")
    return Text(end="").append(done, "green").append(glyphs.left * (size - len(done)), "dim")


def _cells(figures: Figures, *, roomy: bool) -> Iterator[_Cell]:
    """Everything that there is to tell but the bar."""
    rows, failed = f"{figures.work.rows:,}", figures.failed
    yield _Cell(1, f"{figures.done:>{len(rows)},}/{rows} done")
    yield _Cell(2, f"{failed:,} failed", "red" if failed else "")
    if figures.refused:
        yield _Cell(8, f"{figures.refused:,} refused", "yellow")
    yield _Cell(5, f"{figures.in_flight:,} in flight")
    if figures.waiting:
        yield _Cell(9, f"{figures.waiting:,} waiting", "yellow")
    rate, pace = figures.rows_per_s, figures.x_real_time
    if rate is not None:
        yield _Cell(7, f"{spell_rate(rate)} rows/s" if roomy else f"{spell_rate(rate)}/s")
    if pace is not None:
        yield _Cell(6, f"{pace:,.1f} x real time" if roomy else f"{pace:,.1f}x")
    if cost := spell_cost(figures):
        yield _Cell(4, cost)
    if roomy:
        yield _Cell(10, spell_clock(figures.elapsed_s), "dim")
    yield _Cell(3, spell_left(figures).ljust(_LONGEST_LEFT), "bold")


def _chosen(cells: Iterator[_Cell], room: int) -> Iterator[tuple[str, str]]:
    """What there is room for, the most important first, in the order of the line."""
    all_of_them = list(cells)
    taken: set[int] = set()
    for number in sorted(range(len(all_of_them)), key=lambda it: all_of_them[it].rank):
        needed = len(all_of_them[number].text) + 2
        if needed > room:
            break
        room -= needed
        taken.add(number)
    return ((it.text, it.style) for n, it in enumerate(all_of_them) if n in taken)


@dataclass(frozen=True, slots=True)
class _Drawing:
    """Lines for good, and then lines that the next drawing will stand in the place of."""

    above: str | None
    lines: Sequence[Text]

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        yield _BEGIN
        if self.above is not None:
            yield _CLEAR
            yield Segment(f"{self.above}\n")
        for number, line in enumerate(self.lines):
            if number:
                yield _CLEAR_LINE
                yield Segment.line()
            yield from line.render(console)
        yield _CLEAR
        yield _BEGIN
        if len(self.lines) > 1:
            yield from Control.move(0, 1 - len(self.lines)).__rich_console__(console, options)


class _Aside(io.TextIOBase):
    """Takes the place of a stream: whole lines that others write stand above the bar."""

    def __init__(self, stream: TextIO, echo: Callable[[str], None]) -> None:
        self.rich_proxied_file = stream  # by this name rich finds the terminal
        self._echo = echo
        self._rest = ""

    def write(self, text: str) -> int:
        *lines, self._rest = f"{self._rest}{text}".split("\n")
        for line in lines:
            self._echo(line)
        return len(text)

    def restore(self) -> TextIO:
        """Return the stream, with what is left of a line on it."""
        self.rich_proxied_file.write(self._rest)
        return self.rich_proxied_file

    def fileno(self) -> int:
        return self.rich_proxied_file.fileno()

    def isatty(self) -> bool:
        return self.rich_proxied_file.isatty()


class Bar:
    """A bar with figures beside it, drawn by a thread of its own.

    A terminal that is held with Ctrl-S holds up that thread, and not the run.
    """

    def __init__(self, console: Console | None = None) -> None:
        self._console = console or Console(stderr=True, highlight=False)
        self._glyphs = glyphs_of(self._console)
        self._figures = counting()
        self._lock = threading.RLock()
        self._is_over = threading.Event()
        self._thread: threading.Thread | None = None
        self._lines: list[Text] = []
        self._aside: _Aside | None = None

    @property
    def is_of_use(self) -> bool:
        """Whether anything can be drawn on this terminal, and not just added."""
        return self._console.is_interactive

    def begin(self, figures: Figures) -> None:
        """Work begins, and these will tell of it."""
        self._figures = figures
        self._is_over = threading.Event()
        self._thread = threading.Thread(target=self._redraw, name="bar", daemon=True)
        if self._console.stderr:
            self._aside = _Aside(sys.stderr, self.echo)
            sys.stderr = cast("TextIO", self._aside)
        self._console.show_cursor(False)
        self.draw()
        self._thread.start()

    async def watch(self) -> None:
        """Do what is to be done meanwhile: nothing, a thread does it."""

    def echo(self, line: str) -> None:
        """Say something above the bar."""
        with self._lock:
            if self._lines:
                self._print(line)
            else:
                self._console.out(line, highlight=False)

    def draw(self) -> None:
        """Show how it is going now."""
        with self._lock:
            self._lines = compose(self._figures, self._console.width, self._glyphs)
            self._print(None)

    def end(self) -> None:
        """The work is over, however it went: show how, for a moment, and make room."""
        with self._lock:
            self._is_over.set()
            self.draw()
            self._lines = []
            self._print(None)
            self._console.show_cursor(True)
            if self._aside is not None:
                sys.stderr, self._aside = self._aside.restore(), None
        if self._thread is not None:
            self._thread.join()
            self._thread = None

    def _redraw(self) -> None:
        while not self._is_over.wait(REFRESH_S):
            with self._lock:
                if not self._is_over.is_set():
                    self.draw()

    def _print(self, above: str | None) -> None:
        self._console.print(_Drawing(above, self._lines), end="", soft_wrap=True)
