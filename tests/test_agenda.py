from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from hashlib import sha256
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest

from batchtts.errors import SettingsError, UsageError
from batchtts.job.manifest import scan
from batchtts.job.plan import CHANGED, DONE, FAILED, NEW
from batchtts.job.settings import load
from batchtts.job.speaker import Speaker, choose_speaker
from batchtts.model import Refusal, Result, Status, Utterance, Voice
from batchtts.record import names
from batchtts.record.ledger import Ledger
from batchtts.record.lines import VERSION, Damaged, Header
from batchtts.run.agenda import LONGEST_CHARS, Agenda
from batchtts.run.contest import contested_names
from batchtts.run.forecast import GUESSED_CHARS_PER_S, REMEMBERED, duration_s, why_changed
from batchtts.run.memory import recall
from batchtts.run.survey import drop_lost, survey

SIZE_BYTES = 1000


@dataclass
class Desk:
    """A manifest, a ledger and an output directory."""

    root: Path
    rows: dict[str, str] = field(default_factory=dict)
    flags: dict[str, object] = field(default_factory=dict)
    name: str = "books.csv"
    open: ExitStack = field(default_factory=ExitStack)
    speaker: Speaker = field(init=False)

    @property
    def out(self) -> Path:
        return self.root / "out"

    def survey(self, content: str | None = None, **flags: object) -> Agenda:
        """What a run would do with a manifest of id and text, or with this one."""
        agenda = self.look(content, **flags)
        agenda.choose()
        return agenda

    def look(self, content: str | None = None, **flags: object) -> Agenda:
        """The same, before any choice is made."""
        table = "".join(f'{row_id},"{text}"\n' for row_id, text in self.rows.items())
        path = self.root / self.name
        path.write_text(content or f"id,text\n{table}")
        job = load(path, {"out": self.out, "provider": "local", **self.flags, **flags})
        self.speaker = choose_speaker(job, {}, has_hibari=True)
        return survey(job, self.speaker, scan(path), recall(self.ledger))

    @property
    def ledger(self) -> Ledger:
        return self.open.enter_context(Ledger.open(self.root / "ledger.jsonl"))

    def write(self, *lines: Header | Result) -> list[int]:
        return self.ledger.append(lines)

    def speak(self, *row_ids: str, status: Status = "done") -> list[int]:
        """Do what a run would do with some rows of the manifest as it is."""
        agenda = self.look()
        names_in_use = contested(agenda)
        voices = self.speaker.voice
        results = [
            Result(
                id=each.id,
                status=status,
                fingerprint=each.fingerprint,
                script_hash=each.script_hash,
                provider="local",
                model=voices.model,
                voice=voices.name,
                language=voices.language,
                speed=each.speed,
                sample_rate_hz=self.speaker.format.sample_rate_hz,
                text_chars=len(each.script),
                **(self.audio(each.id, names_in_use) if status == "done" else {}),
            )
            for row_id in row_ids
            for each in everything(agenda)
            if each.id == row_id
        ]
        if agenda.memory.manifest is None:
            self.write(Header(ledger=VERSION, manifest=str((self.root / self.name).resolve())))
        return self.write(*results)

    def audio(self, row_id: str, contested: frozenset[int]) -> dict[str, Any]:
        """Write the file of a row where the store would, and say what the ledger does."""
        stem = names.stem(row_id)
        if hash(stem.casefold()) in contested:
            stem = names.own_stem(row_id)
        path = self.out / f"{stem}.wav"
        path.parent.mkdir(exist_ok=True)
        data = row_id.encode().ljust(SIZE_BYTES, b".")
        path.write_bytes(data)
        return {
            "path": path.name,
            "bytes": SIZE_BYTES,
            "mtime_ns": path.stat().st_mtime_ns,
            "sha256": sha256(data).hexdigest(),
        }


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    desk = Desk(tmp_path, {"ch1": "Call me Ishmael.", "ch2": "Some years ago.", "ch3": "Never."})
    with desk.open:
        yield desk


def everything(agenda: Agenda) -> list[Utterance]:
    """Every row of the manifest."""
    whole = replace(agenda, plan=replace(agenda.plan, kinds=np.zeros_like(agenda.plan.kinds)))
    return utterances(whole)


def contested(agenda: Agenda) -> frozenset[int]:
    return contested_names(agenda.manifest, agenda.memory.names())


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
    assert (agenda.refused_count, agenda.left_out, len(agenda.shared)) == (0, 0, 0)
    assert agenda.memory.manifest is None


def test_there_may_be_as_many_segments_as_a_long_script_or_a_dialogue_has_letters(
    desk: Desk,
) -> None:
    desk.rows = {"a": "One.", "b": "Two three."}
    assert desk.survey().segments(10) == 2
    assert desk.survey().segments(9) == 1 + 10
    assert desk.survey(voices={"Alice": "af_heart"}).segments(10) == 4 + 10


def test_what_is_done_is_not_spoken_again(desk: Desk) -> None:
    addresses = desk.speak("ch1", "ch3")
    agenda = desk.survey()
    assert to_speak(agenda) == ["ch2"]
    assert agenda.plan.kinds.tolist() == [DONE, NEW, DONE]
    assert agenda.plan.addresses.tolist() == [addresses[0], -1, addresses[1]]
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


def test_another_script_is_spoken_and_takes_the_place_of_the_old(desk: Desk) -> None:
    _, changed, _ = desk.speak("ch1", "ch2", "ch3")
    desk.rows["ch2"] = "Some days ago."
    agenda = desk.survey()
    assert to_speak(agenda) == ["ch2"]
    assert agenda.plan.kinds.tolist() == [DONE, CHANGED, DONE]
    assert agenda.plan.replaces.tolist() == [-1, changed, -1]
    assert [(it.id, at) for each in agenda.changed() for it, at in each] == [("ch2", changed)]


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


def test_a_row_that_left_the_manifest_is_gone(desk: Desk) -> None:
    _, gone = desk.speak("ch1", "ch2")
    del desk.rows["ch2"]
    assert desk.survey().plan.gone.tolist() == [gone]


def test_without_a_ledger_there_is_no_past() -> None:
    memory = recall(None)
    assert (len(memory.past.addresses), memory.manifest) == (0, None)


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
        "script_rejected", "script has 1,000,001 characters; 1,000,000 is the limit: split the row"
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
    [address] = desk.speak("ch2")
    desk.rows["ch2"] = ""
    agenda = desk.survey()
    assert agenda.plan.replaces.tolist() == [-1, address, -1]
    assert list(refusals(agenda)) == ["ch2"]


# File names


def test_names_that_differ_in_case_only_are_contested(desk: Desk) -> None:
    desk.rows = {"Ahab": "One.", "ahab": "Two.", "AHAB": "Three.", "Ishmael": "Four."}
    assert contested(desk.look()) == {hash("ahab")}


def test_a_name_on_the_disk_is_contested_by_a_new_row_of_that_name(desk: Desk) -> None:
    desk.rows = {"Ahab": "One.", "Ishmael": "Two."}
    desk.speak("Ahab", "Ishmael")
    desk.rows = {"ahab": "One.", "Ishmael": "Two."}
    assert contested(desk.look()) == {hash("ahab")}


def test_a_row_does_not_contest_its_own_file(desk: Desk) -> None:
    desk.speak("ch1", "ch2", status="done")
    assert contested(desk.look()) == frozenset()


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
        " with the same script and settings"
    )
    assert str(refused.value) == told
    assert refused.value.hint == "name another --out"


def test_a_manifest_that_was_moved_is_the_same_manifest(desk: Desk) -> None:
    desk.speak("ch1", "ch2")
    desk.name = "moved.csv"
    agenda = desk.survey()
    assert to_speak(agenda) == ["ch3"]
    assert agenda.memory.manifest == str((desk.root / "books.csv").resolve())


def test_a_manifest_may_be_moved_before_any_of_its_rows_came_to_an_end(desk: Desk) -> None:
    desk.write(Header(ledger=VERSION, manifest="/elsewhere/books.csv"))
    desk.write(Result(id="ch1", status="pending", characters_sent=16, cost_usd=0.1))
    assert to_speak(desk.survey()) == ["ch1", "ch2", "ch3"]


def test_the_ledger_knows_where_its_manifest_was_last(desk: Desk) -> None:
    desk.speak("ch1")
    desk.write(Header(ledger=VERSION, manifest="/elsewhere/books.csv"))
    assert desk.survey().memory.manifest == "/elsewhere/books.csv"


def test_another_content_at_the_same_place_is_the_same_manifest(desk: Desk) -> None:
    desk.speak("ch1", "ch2", "ch3")
    desk.rows = {"f1": "Rosebud."}
    agenda = desk.survey()
    assert (to_speak(agenda), len(agenda.plan.gone)) == (["f1"], 3)


# Audio that is gone


def test_audio_that_is_gone_is_spoken_again(desk: Desk) -> None:
    addresses = desk.speak("ch1", "ch2", "ch3")
    (desk.out / "ch1.wav").unlink()
    (desk.out / "ch2.wav").write_bytes(b"RIFF")
    agenda = desk.look()
    assert to_speak(agenda) == []
    assert drop_lost(agenda, desk.ledger, desk.out) == []
    assert agenda.lost.tolist() == addresses[:2]
    agenda.choose()
    assert to_speak(agenda) == ["ch1", "ch2"]
    assert agenda.plan.kinds.tolist() == [NEW, NEW, DONE]
    assert agenda.plan.replaces.tolist() == [*addresses[:2], -1]
    assert agenda.plan.addresses.tolist() == [-1, -1, addresses[2]]


def test_audio_that_is_there_stays(desk: Desk) -> None:
    desk.speak("ch1", "ch2", "ch3")
    agenda = desk.look()
    assert drop_lost(agenda, desk.ledger, desk.out) == []
    assert (to_speak(agenda), agenda.lost.tolist()) == ([], [])


def test_audio_that_was_touched_stays_and_its_line_is_renewed(desk: Desk) -> None:
    desk.speak("ch1", "ch2", "ch3")
    os.utime(desk.out / "ch2.wav", ns=(5, 5))
    agenda = desk.look()
    [renewed] = drop_lost(agenda, desk.ledger, desk.out)
    assert (renewed.id, renewed.mtime_ns, renewed.status) == ("ch2", 5, "done")
    assert to_speak(agenda) == []
    desk.write(renewed)
    assert drop_lost(desk.look(), desk.ledger, desk.out) == []


def test_where_lines_were_damaged_every_file_is_read(desk: Desk) -> None:
    desk.speak("ch1", "ch2", "ch3")
    path = desk.out / "ch2.wav"
    times = path.stat()
    path.write_bytes(bytes(SIZE_BYTES))
    os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))
    agenda = desk.look()
    drop_lost(agenda, desk.ledger, desk.out)
    assert agenda.lost.tolist() == []
    agenda.memory = replace(agenda.memory, damaged=[Damaged(1, b"", None, is_ours=True)])
    drop_lost(agenda, desk.ledger, desk.out)
    assert len(agenda.lost) == 1
    assert to_speak(agenda) == ["ch2"]


def test_lost_audio_is_said_once_for_all(desk: Desk, caplog: pytest.LogCaptureFixture) -> None:
    desk.speak("ch1", "ch2", "ch3")
    for path in desk.out.iterdir():
        path.unlink()
    drop_lost(desk.look(), desk.ledger, desk.out)
    told = "3 finished rows have lost their audio, or it was changed; they are spoken again"
    assert caplog.messages == [told]


def test_lost_audio_does_not_come_back_under_a_contested_name(desk: Desk) -> None:
    desk.rows = {"Ahab": "One.", "ahab": "Two."}
    desk.speak("Ahab", "ahab")
    for path in desk.out.iterdir():
        path.unlink()
    agenda = desk.look()
    drop_lost(agenda, desk.ledger, desk.out)
    assert to_speak(agenda) == ["Ahab", "ahab"]
    assert contested(agenda) == {hash("ahab")}


# The same script twice

SAME = {"a": "One.", "b": "Two.", "c": "One.", "d": "One.", "e": "Two.", "f": "Three."}


def shares(agenda: Agenda) -> dict[int, int]:
    """The rows for which others are spoken, and which."""
    shared = agenda.shared
    return dict(zip(shared.awaiting.tolist(), shared.speakers.tolist(), strict=True))


def present(agenda: Agenda) -> dict[str, int]:
    """The rows whose audio is there, and the ledger line that tells of it."""
    return {it.id: address for batch in agenda.spoken_before() for it, address in batch}


def test_of_rows_with_the_same_script_one_is_spoken(desk: Desk) -> None:
    desk.rows = SAME
    agenda = desk.survey()
    assert to_speak(agenda) == ["a", "b", "f"]
    assert shares(agenda) == {2: 0, 3: 0, 4: 1}
    assert (agenda.characters_to_speak, len(agenda.shared)) == (4 + 4 + 6, 3)
    assert list(agenda.spoken_for()) == []


def test_the_others_follow_when_one_has_been_spoken(desk: Desk) -> None:
    desk.rows = SAME
    agenda = desk.survey()
    agenda.plan.settle(0, DONE, 700)
    told = [(it.id, address) for batch in agenda.spoken_for() for it, address in batch]
    assert told == [("c", 700), ("d", 700)]


def test_one_that_failed_before_and_is_not_reached_fails_nobody(desk: Desk) -> None:
    desk.rows = SAME
    desk.speak("a", status="failed")
    agenda = desk.survey()
    assert shares(agenda) == {2: 0, 3: 0, 4: 1}
    assert list(agenda.spoken_for()) == []
    agenda.plan.restate(0, 700, 4, 0.5)  # it was dropped in flight
    assert list(agenda.spoken_for()) == []


def test_another_voice_or_speed_is_another_sound(desk: Desk) -> None:
    table = "id,text,voice,speed\na,One.,,\nb,One.,bm_george,\nc,One.,,2\nd,One.,af_heart,1\n"
    agenda = desk.survey(table)
    assert to_speak(agenda) == ["a", "b", "c"]
    assert shares(agenda) == {3: 0}


def test_without_dedup_every_row_is_spoken(desk: Desk) -> None:
    desk.rows = SAME
    desk.speak("a")
    agenda = desk.survey(dedup=False)
    assert to_speak(agenda) == ["b", "c", "d", "e", "f"]
    assert len(agenda.shared) == 0


def test_rows_that_were_renamed_get_the_audio_that_is_there(desk: Desk) -> None:
    addresses = desk.speak("ch1", "ch2", "ch3")
    desk.rows = {f"new-{row_id}": text for row_id, text in desk.rows.items()}
    agenda = desk.survey()
    assert (to_speak(agenda), agenda.characters_to_speak) == ([], 0)
    assert present(agenda) == dict(zip(desk.rows, addresses, strict=True))
    assert agenda.plan.gone.tolist() == addresses


def test_a_row_whose_text_is_now_that_of_another_gets_its_audio(desk: Desk) -> None:
    _, second, _ = desk.speak("ch1", "ch2", "ch3")
    desk.rows["ch1"] = desk.rows["ch2"]
    agenda = desk.survey()
    assert (to_speak(agenda), present(agenda)) == ([], {"ch1": second})


def test_lost_audio_is_no_source(desk: Desk) -> None:
    desk.speak("ch1")
    (desk.out / "ch1.wav").unlink()
    desk.rows = {"ch1": desk.rows["ch1"], "ch7": desk.rows["ch1"]}
    agenda = desk.look()
    drop_lost(agenda, desk.ledger, desk.out)
    agenda.choose()
    assert to_speak(agenda) == ["ch1"]
    assert (present(agenda), shares(agenda)) == ({}, {1: 0})


def test_what_failed_is_no_source(desk: Desk) -> None:
    desk.speak("ch1", status="failed")
    desk.rows = {"ch7": desk.rows["ch1"], "ch1": desk.rows["ch1"]}
    agenda = desk.survey()
    assert (to_speak(agenda), present(agenda), shares(agenda)) == (["ch7"], {}, {1: 0})


def test_audio_that_is_not_there_after_all_is_spoken(desk: Desk) -> None:
    desk.rows = {"a": "One.", "b": "Two."}
    desk.speak("a", "b")
    desk.rows = {"c": "One.", "d": "One.", "e": "Two."}
    agenda = desk.survey()
    assert present(agenda).keys() == {"c", "d", "e"}
    agenda.not_there(np.array([0, 1]))
    assert to_speak(agenda) == ["c"]
    assert present(agenda).keys() == {"e"}
    assert shares(agenda) == {1: 0}


def test_refused_rows_share_nothing(desk: Desk) -> None:
    desk.rows = {"a": "…", "b": "…", "c": "One."}
    agenda = desk.survey()
    assert (to_speak(agenda), len(agenda.shared)) == (["c"], 0)
    assert refusals(agenda).keys() == {"a", "b"}


# Which rows a run is about


def test_a_limit_leaves_the_later_rows(desk: Desk) -> None:
    desk.rows = SAME
    agenda = desk.survey(limit=2)
    assert to_speak(agenda) == ["a", "b"]
    assert (agenda.left_out, agenda.is_cut) == (1, True)
    whole = desk.survey(limit=3)
    assert (whole.left_out, whole.is_cut) == (0, False)


def test_a_sample_that_the_limit_has_room_for_is_not_cut(desk: Desk) -> None:
    desk.rows = {name: f"Number {name}." for name in "abcd"}
    assert [desk.survey(sample=2, limit=n).is_cut for n in (1, 2, 3)] == [True, False, False]


def test_rows_that_get_the_audio_of_others_do_not_count_for_the_limit(desk: Desk) -> None:
    desk.rows = SAME
    desk.speak("a")
    agenda = desk.survey(limit=1)
    assert to_speak(agenda) == ["b"]
    assert present(agenda).keys() == {"c", "d"}


def test_what_is_not_there_after_all_is_spoken_within_the_limit(desk: Desk) -> None:
    desk.rows = SAME
    desk.speak("a")
    agenda = desk.survey(limit=1)
    agenda.not_there(np.array([2, 3]))
    assert len(to_speak(agenda)) == 1


def sampled(desk: Desk, rows: int, seed: int = 0) -> set[str]:
    return set(to_speak(desk.survey(sample=rows, seed=seed)))


MANY = {f"r{n}": f"Sentence {n}." for n in range(200)}


def test_a_sample_has_so_many_rows_and_says_what_is_left(desk: Desk) -> None:
    desk.rows = MANY
    agenda = desk.survey(sample=20)
    assert (agenda.to_speak, agenda.left_out) == (20, 180)
    assert to_speak(agenda) == [row_id for row_id in MANY if row_id in sampled(desk, 20)]


def test_a_sample_is_the_same_every_time_and_another_with_another_seed(desk: Desk) -> None:
    desk.rows = MANY
    assert sampled(desk, 20) == sampled(desk, 20)
    assert sampled(desk, 20, seed=1) != sampled(desk, 20)
    assert sampled(desk, 10) < sampled(desk, 20)


def test_a_sample_does_not_depend_on_the_order_of_the_rows(desk: Desk) -> None:
    desk.rows = MANY
    before = sampled(desk, 20)
    desk.rows = dict(reversed(MANY.items()))
    assert sampled(desk, 20) == before


def test_rows_that_are_added_take_the_place_of_some_in_a_sample_and_move_no_other(
    desk: Desk,
) -> None:
    desk.rows = MANY
    before = sampled(desk, 50)
    desk.rows = {f"s{n}": f"Another {n}." for n in range(40)} | MANY
    after = sampled(desk, 50)
    assert {row_id for row_id in after if row_id in MANY} < before
    assert len(before & after) > 25


def test_a_sample_larger_than_the_manifest_is_all_of_it(desk: Desk) -> None:
    assert sampled(desk, 1000) == set(desk.rows)


def test_what_is_done_is_a_part_of_the_sample_all_the_same(desk: Desk) -> None:
    desk.rows = MANY
    chosen = sampled(desk, 20)
    first = min(chosen)
    desk.speak(first)
    assert sampled(desk, 20) == chosen - {first}


# Again


def test_failed_rows_alone_are_spoken_again(desk: Desk) -> None:
    desk.speak("ch1")
    desk.speak("ch2", status="failed")
    agenda = desk.survey(again=("failed",))
    assert to_speak(agenda) == ["ch2"]
    assert agenda.left_out == 1


def test_all_rows_are_spoken_again_and_keep_their_audio_meanwhile(desk: Desk) -> None:
    first, _ = desk.speak("ch1", "ch2")
    agenda = desk.survey(again=("all",))
    assert to_speak(agenda) == ["ch1", "ch2", "ch3"]
    assert agenda.plan.kinds.tolist() == [CHANGED, CHANGED, NEW]
    assert agenda.plan.replaces.tolist()[0] == first


def test_rows_are_spoken_again_by_their_ids(desk: Desk) -> None:
    desk.speak("ch1", "ch2", "ch3")
    assert to_speak(desk.survey(again=("ch3", "ch1"))) == ["ch1", "ch3"]


def test_a_row_that_is_spoken_again_is_not_given_the_audio_of_another(desk: Desk) -> None:
    desk.rows = {"a": "One.", "b": "One."}
    desk.speak("a", "b")
    agenda = desk.survey(again=("b",))
    assert (to_speak(agenda), len(agenda.shared)) == (["b"], 0)


def test_rows_that_are_spoken_again_speak_for_each_other(desk: Desk) -> None:
    desk.rows = SAME
    desk.speak(*SAME)
    agenda = desk.survey(again=("all",))
    assert to_speak(agenda) == ["a", "b", "f"]
    assert shares(agenda) == {2: 0, 3: 0, 4: 1}


def test_ids_that_are_words_of_the_command_are_named_with_a_mark(desk: Desk) -> None:
    desk.rows = {"failed": "One.", "all": "Two.", "id:all": "Three.", "other": "Four."}
    desk.speak(*desk.rows)
    assert to_speak(desk.survey(again=("id:failed",))) == ["failed"]
    assert to_speak(desk.survey(again=("id:all",))) == ["all"]
    assert to_speak(desk.survey(again=("id:id:all",))) == ["id:all"]
    assert to_speak(desk.survey(again=("failed",))) == []


def test_a_row_that_nobody_has_cannot_be_spoken_again(desk: Desk) -> None:
    with pytest.raises(SettingsError, match=r"again: no row of .*books\.csv has the id 'ch9'"):
        desk.survey(again=("ch1", "ch9"))


def test_what_a_run_is_not_about_stays_done(desk: Desk) -> None:
    """It is neither spoken nor told as pending."""
    desk.rows = MANY
    desk.speak(*MANY)
    for agenda in (desk.survey(again=("all",), sample=20), desk.survey(again=("all",), limit=20)):
        assert agenda.to_speak == 20
        assert agenda.plan.count(DONE) == 180
        assert np.count_nonzero(agenda.plan.addresses >= 0) == 180
        assert np.count_nonzero(agenda.plan.replaces >= 0) == 20


def test_rows_that_share_with_one_beyond_the_limit_stay_done_with_it(desk: Desk) -> None:
    desk.rows = SAME
    desk.speak(*SAME)
    agenda = desk.survey(again=("all",), limit=1)
    assert agenda.plan.kinds.tolist() == [CHANGED, DONE, CHANGED, CHANGED, DONE, DONE]
    agenda.plan.settle(0, DONE, 700)
    assert [it.id for batch in agenda.spoken_for() for it, _ in batch] == ["c", "d"]


# Why, and for how long


def reasons(desk: Desk, **flags: object) -> dict[str, int]:
    agenda = desk.survey(None, **flags)
    return dict(why_changed(agenda, desk.speaker, desk.ledger))


@pytest.mark.parametrize(
    ("flags", "reason"),
    [
        ({"voice": "bm_george"}, "model"),
        ({"voice": "af_sky"}, "voice"),
        ({"language": "de"}, "model"),
        ({"speed": 1.5}, "speed"),
        ({"format": "flac"}, "format"),
        ({"sample_rate_hz": 16_000}, "format"),
        ({"again": ("all",)}, "again"),
    ],
)
def test_a_plan_says_which_setting_has_changed(
    desk: Desk, flags: dict[str, object], reason: str
) -> None:
    desk.speak("ch1", "ch2")
    assert reasons(desk, **flags) == {reason: 2}


def test_another_text_is_told_before_any_setting(desk: Desk) -> None:
    desk.speak("ch1", "ch2")
    desk.rows["ch1"] = "Call me."
    assert reasons(desk) == {"text": 1}
    assert reasons(desk, speed=2.0) == {"text": 1, "speed": 1}


@pytest.mark.parametrize(
    ("told", "reason"),
    [
        ({"provider": "together"}, "provider"),
        ({"language": "en-gb"}, "language"),
        ({}, "options"),
        ({"provider": "together", "voice": "x", "language": "y"}, "provider"),
    ],
)
def test_the_first_thing_that_differs_is_told(
    desk: Desk, told: dict[str, Any], reason: str
) -> None:
    [at] = desk.speak("ch1")
    [result] = desk.ledger.results([at])
    assert result is not None
    desk.write(msgspec.structs.replace(result, fingerprint="ab" * 16, **told))
    assert reasons(desk) == {reason: 1}


def test_what_has_not_changed_has_no_reason(desk: Desk) -> None:
    desk.speak("ch1")
    assert reasons(desk) == {}


def paced(row_id: str, characters: int, wall_s: float, queue_s: float = 0.0) -> Result:
    return Result(id=row_id, status="done", text_chars=characters, wall_s=wall_s, queue_s=queue_s)


def guessed_s(desk: Desk, **flags: object) -> float:
    return duration_s(desk.survey(None, **flags), desk.speaker, desk.ledger)


def test_where_there_is_no_past_the_duration_is_a_guess(desk: Desk) -> None:
    assert guessed_s(desk, workers=1) == pytest.approx(37 / GUESSED_CHARS_PER_S)
    assert duration_s(desk.survey(workers=1), desk.speaker, None) == guessed_s(desk, workers=1)


def test_the_pace_is_that_of_rows_that_are_done(desk: Desk) -> None:
    desk.write(paced("x", 10, 2.0, 1.0), paced("y", 50, 5.0), paced("z", 0, 0.0))
    desk.write(msgspec.structs.replace(paced("w", 1000, 1.0), status="failed"))
    assert guessed_s(desk, workers=1) == pytest.approx(37 / 10.0)


def test_many_workers_are_so_much_quicker_and_no_quicker_than_there_are_rows(desk: Desk) -> None:
    one = guessed_s(desk, workers=1)
    assert guessed_s(desk, workers=2) == pytest.approx(one / 2)
    assert guessed_s(desk, workers=50) == pytest.approx(one / 3)
    assert guessed_s(desk, workers=50, in_flight=2) == pytest.approx(one / 2)


def test_rows_that_got_their_audio_from_others_have_no_pace(desk: Desk) -> None:
    desk.write(
        paced("x", 10, 1.0),
        Result(id="y", status="done", text_chars=9000, same_as="x", wall_s=None),
    )
    assert guessed_s(desk, workers=1) == pytest.approx(37 / 10.0)


def test_the_pace_is_that_of_the_latest_rows(desk: Desk) -> None:
    desk.write(*(paced(f"old{n}", 1000, 1.0) for n in range(50)))
    desk.write(*(paced(f"new{n}", 10, 1.0) for n in range(REMEMBERED)))
    assert guessed_s(desk, workers=1) == pytest.approx(37 / 10.0)


def test_where_all_is_done_nothing_takes_any_time(desk: Desk) -> None:
    desk.speak("ch1", "ch2", "ch3")
    assert guessed_s(desk, workers=1) == 0.0
