from __future__ import annotations

import struct
from math import inf, log10

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batchtts.audio.pcm import duration_s, peak_dbfs
from batchtts.errors import BadAudio


def pcm(*samples: int) -> bytes:
    return struct.pack(f"<{len(samples)}h", *samples)


def test_a_second_has_as_many_samples_as_its_rate() -> None:
    assert duration_s(bytes(48_000), 24_000) == 1.0
    assert duration_s(pcm(0, 0, 0), 8_000) == 3 / 8_000
    assert duration_s(b"", 24_000) == 0.0


@pytest.mark.parametrize(
    ("samples", "level"),
    [
        ((), -inf),
        ((0, 0, 0), -inf),
        ((-32768,), 0.0),
        ((16384, -1), 20 * log10(1 / 2)),
        ((3, -16384), 20 * log10(1 / 2)),
        ((0, 1), 20 * log10(1 / 32768)),
    ],
)
def test_the_peak_is_the_loudest_sample_of_either_sign(
    samples: tuple[int, ...], level: float
) -> None:
    assert peak_dbfs(pcm(*samples)) == pytest.approx(level)


@given(st.lists(st.integers(-32768, 32767)))
def test_no_peak_is_above_full_scale(samples: list[int]) -> None:
    assert peak_dbfs(pcm(*samples)) <= 0.0
    assert (peak_dbfs(pcm(*samples)) == -inf) == (not any(samples))


@pytest.mark.parametrize("size", [1, 3, 4801])
def test_half_a_sample_has_no_level(size: int) -> None:
    with pytest.raises(BadAudio, match=f"^{size} bytes do not make whole 16-bit samples$"):
        peak_dbfs(bytes(size))
