"""The bar on a terminal, whatever its width and whatever it can show."""

from __future__ import annotations

import io
import re
import sys

import pytest
from rich.cells import cell_len
from rich.console import Console

from batchtts.cli.bar import ASCII, LINES, Bar, compose, glyphs_of
from batchtts.errors import RateLimited
from batchtts.model import Result
from batchtts.run.figures import Figures, Work


class Watch:
    """A clock that stands still until it is moved."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def result(status: str, error: str | None = None) -> Result:
    """A row of a hundred characters, with two seconds of audio if it is done."""
    told = Result(id="s0123", status="failed", text_chars=100, cost_usd=0.01, error_message=error)
    if status == "failed":
        return told
    return Result(
        id="a", status="done", text_chars=100, cost_usd=0.01, frames=48_000, sample_rate_hz=24_000
    )


def midway(rows: int = 2000, *, error: str | None = None, label: str = "") -> Figures:
    """Twelve minutes after the first request."""
    watch = Watch()
    work = Work(rows=rows, size=100 * rows, estimated_usd=0.01 * rows, label=label)
    figures = Figures(work, watch)
    figures.fly(8)
    for n in range(720):
        watch.now += 1.0
        figures.add(result("failed", error) if n < 3 else result("done"))
    return figures


def told(figures: Figures, width: int) -> list[str]:
    return [text.plain.rstrip() for text in compose(figures, width, LINES)]


ERROR = "no first audio within 20 s"


@pytest.mark.parametrize(
    ("width", "lines"),
    [
        (60, ["━━╸─────  36%    717/2,000 done  3 failed  21 min left"]),
        (80, ["━━━━────────  36%    717/2,000 done  3 failed  $7.20 of $20.00  21 min left"]),
        (
            100,
            [
                "━━━━━━━─────────────  36%    717/2,000 done  3 failed  8 in flight"
                "  $7.20 of $20.00  21 min left",
                f"last error: s0123: {ERROR}",
            ],
        ),
        (
            200,
            [
                f"{'━' * 14}{'─' * 26}"
                "  36%    717/2,000 done  3 failed  8 in flight  1.0 rows/s  2.0 x real time"
                "  $7.20 of $20.00  12:00  21 min left",
                f"last error: s0123: {ERROR}",
            ],
        ),
    ],
)
def test_the_narrower_the_fewer_figures(width: int, lines: list[str]) -> None:
    assert told(midway(error=ERROR), width) == lines


@pytest.mark.parametrize("width", [*range(1, 20, 3), *range(20, 240, 13)])
@pytest.mark.parametrize("glyphs", [LINES, ASCII], ids=["lines", "ascii"])
@pytest.mark.parametrize("rows", [1, 2000, 2_000_000])
def test_no_line_reaches_the_last_column(width: int, glyphs: object, rows: int) -> None:
    figures = midway(rows, error="審判\x1b[2J\n" * 30, label="verifying")
    figures.falter("x" * 300, RateLimited("y"), 9.0)
    for line in compose(figures, width, ASCII if glyphs is ASCII else LINES):
        assert line.cell_len < max(width, 2)
        assert "\x1b" not in line.plain
        assert "\n" not in line.plain


def test_a_long_error_is_cut_where_the_terminal_ends() -> None:
    figures = midway(error="審" * 100)
    error = told(figures, 100)[1]
    assert error.startswith("last error: s0123: 審審審")
    assert (error[-1], cell_len(error)) == ("…", 99)
    plain = compose(figures, 100, ASCII)[1].plain
    assert (plain[19:25], plain[-3:], len(plain)) == (r"\u5be9", "...", 99)


def test_what_is_refused_and_waits_is_told_where_there_is_room() -> None:
    figures = midway()
    figures.falter("c", RateLimited("slow down"), 9.0)
    assert "3 failed  1 refused  8 in flight  1 waiting  1.0 rows/s" in told(figures, 200)[0]
    assert "refused" not in told(figures, 80)[0]


def test_nothing_that_is_free_has_a_price() -> None:
    figures = Figures(Work(rows=3, size=10), Watch())
    assert told(figures, 200)[0].endswith("─   0%  0/3 done  0 failed  0 in flight  0:00  starting")


def test_other_work_has_other_words() -> None:
    watch = Watch()
    figures = Figures(Work(rows=2, size=60.0, unit="seconds", row_size=0, label="verifying"), watch)
    for row_id in "ab":
        figures.fly(1)
        watch.now += 2.0
        figures.done += 1
        figures.finish(row_id, 30.0, 30.0)
    assert told(figures, 80) == [
        "verifying  ━━━━━━━━━━━━ 100%  2/2 done  0 failed  1 in flight  0 s left"
    ]
    assert "15.0 x real time" in told(figures, 200)[0]


def test_a_console_that_shows_little_is_given_little() -> None:
    old = Console(file=io.StringIO(), legacy_windows=True)
    other = Console(file=io.TextIOWrapper(io.BytesIO(), "cp437"), legacy_windows=False)
    modern = Console(file=io.StringIO(), legacy_windows=False)
    assert [glyphs_of(each) for each in (old, other, modern)] == [ASCII, ASCII, LINES]
    assert "".join(map(str, compose(midway(), 200, ASCII))).isascii()


def test_a_terminal_that_cannot_draw_gets_none() -> None:
    def console(term: str) -> Console:
        return Console(file=io.StringIO(), force_terminal=True, _environ={"TERM": term})

    assert [Bar(console(term)).is_of_use for term in ("dumb", "xterm")] == [False, True]


# On a screen


#: Controls, ends of lines, and all else.
PARTS = r"\x1b\[[?\d;]*[A-Za-z]|[\r\n]|[^\x1b\r\n]+"


class Screen:
    """A terminal that knows what the bar asks of one, and nothing else."""

    def __init__(self, *, no_color: bool = True) -> None:
        self.written = io.StringIO()
        environment = {"NO_COLOR": "1"} if no_color else {}
        self.console = Console(
            file=self.written,
            force_terminal=True,
            color_system="standard",
            width=80,
            legacy_windows=False,
            _environ=environment,
        )

    def lines(self) -> list[str]:
        """What is to be seen, and the cursor as ``_``."""
        rows, row, column = [""], 0, 0
        for part in re.findall(PARTS, self.written.getvalue()):
            match part[-1] if part.startswith("\x1b") else part:
                case "\r":
                    column = 0
                case "\n":
                    row, column = row + 1, 0
                    rows += [""] * (row + 1 - len(rows))
                case "J" | "K" as erased:
                    rows[row] = rows[row][:column]
                    rows = rows[: row + 1] if erased == "J" else rows
                case "A":
                    row -= 1
                case "m" | "l" | "h":
                    pass
                case text:
                    end = column + len(text)
                    rows[row] = rows[row][:column].ljust(column) + text + rows[row][end:]
                    column = end
        rows[row] = f"{rows[row][:column].ljust(column)}_{rows[row][column:]}"
        return [each.rstrip() for each in rows]


@pytest.fixture
def screen() -> Screen:
    return Screen()


BEGINNING = "────────────   0%  0/3 done  0 failed"


def test_lines_stand_above_the_bar_as_they_are(screen: Screen) -> None:
    bar = Bar(screen.console)
    bar.begin(Figures(Work(rows=3, size=10), Watch()))
    bar.echo("[a] line, as it is")
    bar.echo("x" * 200)
    bar.draw()
    assert screen.lines() == [
        "[a] line, as it is",
        "x" * 200,
        f"_{BEGINNING}  0 in flight  starting",
    ]
    bar.end()
    assert screen.lines() == ["[a] line, as it is", "x" * 200, "_"]


def test_two_lines_are_drawn_in_the_same_place() -> None:
    screen = Screen()
    screen.console.width = 120
    bar, figures = Bar(screen.console), midway(error=ERROR)
    bar.begin(figures)
    figures.falter("d", RateLimited("slow"), 9.0)
    bar.draw()
    first, second = screen.lines()
    assert (first[:5], second) == ("_━━━━", "last error: d: slow")
    bar.echo("between")
    assert screen.lines() == ["between", first, second]
    bar.end()
    assert screen.lines() == ["between", "_"]


def test_what_was_longer_leaves_nothing_behind(screen: Screen) -> None:
    bar = Bar(screen.console)
    bar.begin(midway())
    bar.end()
    bar.begin(Figures(Work(rows=3, size=10), Watch()))  # what was lost may be spoken
    assert screen.lines() == [f"_{BEGINNING}  0 in flight  starting"]
    screen.console.width = 40
    bar.draw()
    assert screen.lines() == ["_────   0%  0/3 done  0 failed"]
    bar.end()


def test_the_last_that_is_drawn_is_how_it_ended(screen: Screen) -> None:
    bar, figures = Bar(screen.console), Figures(Work(rows=2), Watch())
    bar.begin(figures)
    figures.add(result("done"))
    figures.add(result("failed"))
    bar.end()
    assert "100%  1/2 done  1 failed" in screen.written.getvalue().rpartition("0/2")[2]


@pytest.mark.parametrize("no_color", [True, False])
def test_colors_are_for_those_who_want_them(*, no_color: bool) -> None:
    screen = Screen(no_color=no_color)
    bar = Bar(screen.console)
    bar.begin(midway())
    bar.end()
    assert bool(re.search(r"\x1b\[[\d;]*3[0-7]m", screen.written.getvalue())) != no_color


def test_what_others_write_to_stderr_stands_above_the_bar(
    monkeypatch: pytest.MonkeyPatch, screen: Screen
) -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    monkeypatch.setenv("TERM", "xterm")
    bar = Bar(Console(stderr=True, width=80))
    bar.begin(Figures(Work(rows=3), Watch()))
    assert sys.stderr.isatty()
    sys.stderr.write("a warning\nand a")
    sys.stderr.write("nother\nhalf a line")
    bar.draw()
    screen.written.write(terminal.getvalue())
    assert screen.lines()[:2] == ["a warning", "and another"]
    assert screen.lines()[2].startswith("_────")
    bar.end()
    assert sys.stderr is terminal
    assert terminal.getvalue().endswith("half a line")
