from __future__ import annotations

from collections import Counter
from pathlib import PurePosixPath

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from batchtts.record import names

HOSTILE = [
    *(".", "..", "...", "../../etc/passwd", "/etc/passwd", "a/b", "a\\b", "C:\\x", "a\0b", "\0"),
    *(
        " ",
        "a ",
        "a.",
        ".a",
        "-",
        "-rf",
        "~",
        "a~b",
        "%",
        "%2E",
        "a%2Fb",
        "*?<>|:\"'",
        "\n",
        "\x7f",
    ),
    *("con", "CON", "con.wav", "Nul.tar.gz", "com1", "LPT9.x", "console", "aux ", "prn~"),
    *("🎉", "é", "e\u0301", "É", "ß", "SS", "ss", "ı", "I", "i", "İ", "ſ", "K", "\ufeff", "吾輩"),
    *("a" * 120, "a" * 121, "A" * 121, "x" * 300, "X" * 300, "é" * 40, "~" * 120, "~" * 41),
    *("." * 300, "con." + "x" * 300, "%" * 99 + "a", "a" * 120 + ".", "a" * 119 + "."),
]

plain = st.from_regex(r"[A-Za-z0-9_-][A-Za-z0-9._-]{0,10}", fullmatch=True)
ids = st.one_of(
    st.sampled_from(HOSTILE),
    st.text(min_size=1),
    st.text(alphabet="aA.~%/ ", min_size=1, max_size=8),
    st.text(alphabet="aA~é", min_size=110, max_size=300),
    plain,
)


def file_names(*row_ids: str) -> list[str]:
    """What the store would call these rows, all in one output directory."""
    holders = Counter(names.stem(each).casefold() for each in set(row_ids))
    contested = {stem for stem, count in holders.items() if count > 1}
    return [
        names.own_stem(each) if names.stem(each).casefold() in contested else names.stem(each)
        for each in row_ids
    ]


@given(st.lists(ids, min_size=2, max_size=6, unique=True))
@example(["a", "A"])
@example(["a", "A", f"a~{names.digest('a')}"])
@example(["x" * 300, "X" * 300])
@example(["con", "%63on", "CON"])
def test_two_ids_never_share_a_file_even_where_case_is_folded(row_ids: list[str]) -> None:
    folded = [name.casefold() for name in file_names(*row_ids)]
    assert len(set(folded)) == len(row_ids)


def is_safe(name: str) -> bool:
    """Whether every file system takes a name, and none takes it for something else."""
    first = name.partition(".")[0].lower()
    devices = {
        "con",
        "prn",
        "aux",
        "nul",
        *(f"{it}{n}" for it in ("com", "lpt") for n in range(10)),
    }
    return (
        0 < len(name) <= 160
        and name.isascii()
        and name.isprintable()
        and not set(name) & set('/\\:*?"<>| ')
        and not name.startswith(".")
        and not name.endswith((".", " "))
        and first not in devices
    )


@given(ids)
def test_every_file_system_takes_every_name(row_id: str) -> None:
    assert is_safe(names.stem(row_id))
    assert is_safe(names.own_stem(row_id))


@pytest.mark.parametrize("row_id", HOSTILE)
def test_no_id_leaves_the_output_directory(row_id: str) -> None:
    assert len(PurePosixPath(f"wav/{names.stem(row_id)}.wav").parts) == 2
    assert is_safe(names.stem(row_id))


@given(plain.filter(lambda row_id: is_safe(row_id)))
def test_a_plain_id_is_its_own_file_name(row_id: str) -> None:
    assert names.stem(row_id) == row_id


@pytest.mark.parametrize(
    ("row_id", "stem"),
    [
        ("ch001-0007", "ch001-0007"),
        ("a/b", "a%2Fb"),
        ("..", "%2E%2E"),
        (".hidden", "%2Ehidden"),
        ("v1.", "v1%2E"),
        ("con", "%63on"),
        ("aux.1", "%61ux.1"),
        ("a~b", "a%7Eb"),
        ("50%", "50%25"),
        ("é", "%C3%A9"),
        ("a" * 120, "a" * 120),
        ("a" * 121, "a" * 100 + "~" + names.digest("a" * 121)),
        ("é" * 40, "%C3%A9" * 16 + "%C3~" + names.digest("é" * 40)),
    ],
)
def test_what_is_not_plain_is_encoded(row_id: str, stem: str) -> None:
    assert names.stem(row_id) == stem


def test_a_contested_name_gets_a_hash_of_its_id() -> None:
    contested = file_names("Ahab", "ahab", "Ishmael")
    assert contested == ["Ahab~d155203be2cd4151", "ahab~28d62bfa0b96920e", "Ishmael"]


@pytest.mark.parametrize(
    ("rows", "depth"), [(1, 0), (4096, 0), (4097, 1), (1_000_000, 1), (1_000_001, 2)]
)
def test_many_rows_are_spread_over_folders(rows: int, depth: int) -> None:
    spread = names.digest("a")
    assert names.folder("a", rows) == "".join(f"{spread[2 * i :][:2]}/" for i in range(depth))
