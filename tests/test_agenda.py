from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from batchtts.errors import UsageError
from batchtts.job.manifest import scan
from batchtts.job.plan import CHANGED, DONE, FAILED, NEW
from batchtts.job.settings import choose_speaker, load
from batchtts.model import Refusal, Result, Status, Utterance, Voice
from batchtts.record import names
from batchtts.record.ledger import Header, Ledger
from batchtts.run.agenda import LONGEST_CHARS, Agenda, drop_lost, recall, survey

SIZE_BYTES = 1000


@dataclass
class Desk:
    """A manifest, a ledger and an output directory."""

    root: Path
    rows: dict[str, str] = field(default_factory=dict)
    flags: dict[str, object] = field(default_factory=dict)
    name: str = "books.csv"
    open: ExitStack = field(default_factory=ExitStack)

    @property
    def out(self) -> Path:
        return self.root / "out"

    def survey(self, content: str | None = None) -> Agenda:
        """What is to be done with a manifest of id and text, or with this one."""
        table = "".join(f'{row_id},"{text}"\n' for row_id, text in self.rows.items())
        path = self.root / self.name
        path.write_text(content or f"id,text\n{table}")
        job = load(path, {"out": self.out, "provider": "local", **self.flags})
        speaker = choose_speaker(job, {}, has_hibari=True)
        return survey(job, speaker, scan(path), self.ledger)

    @property
    def ledger(self) -> Ledger:
        return self.open.enter_context(Ledger.open(self.root / "ledger.jsonl"))

    def write(self, *lines: Header | Result) -> list[int]:
        return self.ledger.append(lines)

    def speak(self, *row_ids: str, status: Status = "done") -> list[int]:
        """Do what a run would do with some rows of the manifest as it is."""
        agenda = self.survey()
        fingerprints = {each.id: each.fingerprint for each in utterances(agenda)}
        results = [
            Result(
                id=row_id,
                status=status,
                fingerprint=fingerprints[row_id],
                path=self.audio(row_id, agenda) if status == "done" else None,
                bytes=SIZE_BYTES,
            )
            for row_id in row_ids
        ]
        if agenda.last_manifest is None:
            self.write(Header(ledger=1, manifest=str((self.root / self.name).resolve())))
        return self.write(*results)

    def audio(self, row_id: str, agenda: Agenda) -> str:
        """Write the file of a row where the store would."""
        stem = names.stem(row_id)
        if hash(stem.casefold()) in agenda.contested:
            stem = names.own_stem(row_id)
        path = self.out / f"{stem}.wav"
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(bytes(SIZE_BYTES))
        return path.name


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    desk = Desk(tmp_path, {"ch1": "Call me Ishmael.", "ch2": "Some years ago.", "ch3": "Never."})
    with desk.open:
        yield desk


def utterances(agenda: Agenda) -> list[Utterance]:
    return [each for batch in agenda.batches() for each in batch]


def to_speak(agenda: Agenda) -> list[str]:
    found = [each.id for each in utterances(agenda)]
    assert len(found) == agenda.to_speak
    return found


def refusals(agenda: Agenda) -> dict[str, Refusal | None]:
    return {each.id: each.refusal for batch in agenda.refusals() for each in batch}


# The manifest against the ledger


def test_at_first_everything_is_to_be_spoken(desk: Desk) -> None:
    agenda = desk.survey()
    assert to_speak(agenda) == ["ch1", "ch2", "ch3"]
    assert agenda.plan.kinds.tolist() == [NEW] * 3
    assert agenda.characters_to_speak == 37
    assert (agenda.refused_count, agenda.stale, agenda.last_manifest) == (0, [], None)


def test_what_is_done_is_not_spoken_again(desk: Desk) -> None:
    offsets = desk.speak("ch1", "ch3")
    agenda = desk.survey()
    assert to_speak(agenda) == ["ch2"]
    assert agenda.plan.kinds.tolist() == [DONE, NEW, DONE]
    assert agenda.plan.offsets.tolist() == [offsets[0], -1, offsets[1]]
    assert agenda.characters_to_speak == 15


def test_what_failed_is_spoken_again(desk: Desk) -> None:
    desk.speak("ch2", status="failed")
    agenda = desk.survey()
    assert to_speak(agenda) == ["ch1", "ch2", "ch3"]
    assert agenda.plan.kinds.tolist() == [NEW, FAILED, NEW]


def test_what_was_taken_back_is_spoken_again(desk: Desk) -> None:
    desk.speak("ch1", "ch2", "ch3")
    desk.write(Result(id="ch2", status="pending"))
    assert to_speak(desk.survey()) == ["ch2"]


def test_another_script_is_spoken_and_the_old_line_is_stale(desk: Desk) -> None:
    _, changed, _ = desk.speak("ch1", "ch2", "ch3")
    desk.rows["ch2"] = "Some days ago."
    agenda = desk.survey()
    assert to_speak(agenda) == ["ch2"]
    assert agenda.plan.kinds.tolist() == [DONE, CHANGED, DONE]
    assert agenda.stale == [changed]


@pytest.mark.parametrize(
    "flags",
    [
        {"voice": "af_sky"},
        {"language": "de"},
        {"speed": 1.5},
        {"format": "flac"},
        {"sample_rate_hz": 16_000},
    ],
)
def test_whatever_changes_the_sound_has_everything_spoken_again(
    desk: Desk, flags: dict[str, object]
) -> None:
    desk.speak("ch1", "ch2", "ch3")
    desk.flags = flags
    assert to_speak(desk.survey()) == ["ch1", "ch2", "ch3"]


@pytest.mark.parametrize(
    "flags", [{"workers": 2}, {"attempts": 9}, {"grace_s": 1.0}, {"voice": "af_heart"}]
)
def test_what_does_not_change_the_sound_changes_nothing(
    desk: Desk, flags: dict[str, object]
) -> None:
    desk.speak("ch1", "ch2", "ch3")
    desk.flags = flags
    assert to_speak(desk.survey()) == []


def test_the_order_of_the_rows_does_not_matter(desk: Desk) -> None:
    desk.speak("ch1", "ch3")
    desk.rows = dict(reversed(desk.rows.items()))
    agenda = desk.survey()
    assert [each.row for each in utterances(agenda)] == [1]
    assert to_speak(agenda) == ["ch2"]


def test_a_row_that_left_the_manifest_is_counted(desk: Desk) -> None:
    desk.speak("ch1", "ch2")
    del desk.rows["ch2"]
    assert desk.survey().plan.gone == 1


def test_without_a_ledger_there_is_no_past() -> None:
    memory = recall(None)
    assert (len(memory.past.offsets), memory.manifest) == (0, None)


# What a row asks for


def test_a_row_says_how_it_is_to_be_spoken(desk: Desk) -> None:
    desk.flags = {"speed": 1.25}
    agenda = desk.survey(
        "id,text,voice,language,speed\na,One.,,,\nb,Two.,bm_george,,2\nc,Drei.,,de,\n"
    )
    assert [(each.row, each.id, each.voice, each.speed) for each in utterances(agenda)] == [
        (0, "a", Voice("af_heart", "hibari", "en-us"), 1.25),
        (1, "b", Voice("bm_george", "nanotts", "en-gb"), 2.0),
        (2, "c", Voice("pico_de", "nanotts", "de"), 1.25),
    ]
    assert len({each.fingerprint for each in utterances(agenda)}) == 3


def test_what_cannot_be_spoken_is_refused_before_anybody_is_asked(desk: Desk) -> None:
    longest, longer = "a" * LONGEST_CHARS, "a" * (LONGEST_CHARS + 1)
    agenda = desk.survey(
        f"id,text,voice\na,One.,\nb,,\nc,…!,\nd,{longest},\ne,{longer},\nf,Six.,nobody\n"
    )
    assert to_speak(agenda) == ["a", "d"]
    assert agenda.refused_count == 4
    assert agenda.characters_to_speak == 4 + LONGEST_CHARS
    told = refusals(agenda)
    assert told.keys() == {"b", "c", "e", "f"}
    assert told["c"] == Refusal("script_rejected", "script has no letter or digit to speak")
    assert told["e"] == Refusal(
        "script_rejected", "script has 50,001 characters; 50,000 is the limit: split the row"
    )
    assert told["f"] is not None
    assert told["f"].code == "voice_unavailable"


def test_a_refusal_is_recorded_once(desk: Desk) -> None:
    desk.rows["ch2"] = "…"
    first = desk.survey()
    [[refused]] = first.refusals()
    desk.write(Result(id="ch2", status="failed", fingerprint=refused.fingerprint))
    again = desk.survey()
    assert refusals(again) == {}
    assert again.refused_count == 1
    assert to_speak(again) == ["ch1", "ch3"]
    desk.rows["ch2"] = "……"
    assert list(refusals(desk.survey())) == ["ch2"]


def test_a_row_that_was_done_and_cannot_be_spoken_any_more_is_taken_back(desk: Desk) -> None:
    [offset] = desk.speak("ch2")
    desk.rows["ch2"] = ""
    agenda = desk.survey()
    assert agenda.stale == [offset]
    assert list(refusals(agenda)) == ["ch2"]


# File names


def test_names_that_differ_in_case_only_are_contested(desk: Desk) -> None:
    desk.rows = {"Ahab": "One.", "ahab": "Two.", "AHAB": "Three.", "Ishmael": "Four."}
    assert desk.survey().contested == {hash("ahab")}


def test_a_name_on_the_disk_is_contested_by_a_new_row_of_that_name(desk: Desk) -> None:
    desk.rows = {"Ahab": "One.", "Ishmael": "Two."}
    desk.speak("Ahab", "Ishmael")
    desk.rows = {"ahab": "One.", "Ishmael": "Two."}
    assert desk.survey().contested == {hash("ahab")}


def test_a_row_does_not_contest_its_own_file(desk: Desk) -> None:
    desk.speak("ch1", "ch2", status="done")
    assert desk.survey().contested == frozenset()


def test_where_nothing_is_to_be_spoken_no_name_is_contested(desk: Desk) -> None:
    desk.rows = {"Ahab": "One.", "ahab": "Two."}
    desk.speak("Ahab", "ahab")
    assert desk.survey().to_speak == 0


# Whose directory it is


def test_the_directory_of_another_manifest_is_refused(desk: Desk) -> None:
    desk.speak("ch1", "ch2", "ch3")
    before = (desk.root / "books.csv").resolve()
    desk.name, desk.rows = "films.csv", {"f1": "Rosebud.", "f2": "Here's looking at you."}
    with pytest.raises(UsageError) as refused:
        desk.survey()
    told = (
        f"{desk.out} was written for {before}, and {desk.root / 'films.csv'} has none of its rows"
    )
    assert str(refused.value) == told
    assert refused.value.hint == "name another --out"


def test_a_manifest_that_was_moved_is_the_same_manifest(desk: Desk) -> None:
    desk.speak("ch1", "ch2")
    desk.name = "moved.csv"
    agenda = desk.survey()
    assert to_speak(agenda) == ["ch3"]
    assert agenda.last_manifest == str((desk.root / "books.csv").resolve())


def test_the_ledger_knows_where_its_manifest_was_last(desk: Desk) -> None:
    desk.speak("ch1")
    desk.write(Header(ledger=1, manifest="/elsewhere/books.csv"))
    assert desk.survey().last_manifest == "/elsewhere/books.csv"


def test_another_content_at_the_same_place_is_the_same_manifest(desk: Desk) -> None:
    desk.speak("ch1", "ch2", "ch3")
    desk.rows = {"f1": "Rosebud."}
    agenda = desk.survey()
    assert (to_speak(agenda), agenda.plan.gone) == (["f1"], 3)


# Audio that is gone


def test_audio_that_is_gone_is_spoken_again(desk: Desk) -> None:
    offsets = desk.speak("ch1", "ch2", "ch3")
    (desk.out / "ch1.wav").unlink()
    (desk.out / "ch2.wav").write_bytes(b"RIFF")
    agenda = desk.survey()
    assert to_speak(agenda) == []
    drop_lost(agenda, desk.ledger, desk.out)
    assert to_speak(agenda) == ["ch1", "ch2"]
    assert agenda.stale == offsets[:2]
    assert agenda.plan.offsets.tolist() == [-1, -1, offsets[2]]


def test_audio_that_is_there_stays(desk: Desk) -> None:
    desk.speak("ch1", "ch2", "ch3")
    agenda = desk.survey()
    drop_lost(agenda, desk.ledger, desk.out)
    assert (to_speak(agenda), agenda.stale) == ([], [])


def test_lost_audio_is_said_once_for_all(desk: Desk, caplog: pytest.LogCaptureFixture) -> None:
    desk.speak("ch1", "ch2", "ch3")
    for path in desk.out.iterdir():
        path.unlink()
    drop_lost(desk.survey(), desk.ledger, desk.out)
    assert caplog.messages == ["3 finished rows have lost their audio; they are spoken again"]


def test_lost_audio_does_not_come_back_under_a_contested_name(desk: Desk) -> None:
    desk.rows = {"Ahab": "One.", "ahab": "Two."}
    desk.speak("Ahab", "ahab")
    for path in desk.out.iterdir():
        path.unlink()
    agenda = desk.survey()
    drop_lost(agenda, desk.ledger, desk.out)
    assert to_speak(agenda) == ["Ahab", "ahab"]
    assert agenda.contested == {hash("ahab")}
