"""A finished job that nobody had to speak: the files and the ledger that a run leaves.

Everything but the speaking is batchtts itself: rows, fingerprints and names come
from its own plan, lines from its own ledger. Only the files are not synced one by
one. If this strayed from what a run writes, the next run would speak, and fail.
"""

from __future__ import annotations

import argparse
import os
import time
from hashlib import sha256
from itertools import islice
from pathlib import Path

from batchtts import __version__
from batchtts.audio.write import encode
from batchtts.job.manifest import scan
from batchtts.job.settings import Job
from batchtts.job.speaker import choose_speaker
from batchtts.model import Result, Utterance
from batchtts.record.ledger import Ledger
from batchtts.record.lines import VERSION, Header
from batchtts.record.store import Store, occupy
from batchtts.run.memory import recall
from batchtts.run.survey import survey
from benchmarks.frames import noise

LINES = 10_000  # that become durable together
FRAMES = 1200  # of audio a row, 50 ms


def finish(manifest: Path, out: Path) -> None:
    """Leave *out* as a run over *manifest* would."""
    job = Job(manifest=manifest, out=out, provider="local", endpoint="ws://127.0.0.1:9")
    speaker = choose_speaker(job, os.environ, has_hibari=True)
    rows = scan(manifest)
    with occupy(out) as layout:
        ledger = Ledger.open(layout.ledger)
        store = Store(layout, speaker.format, rows.rows)
        samples = noise(FRAMES / speaker.format.sample_rate_hz)
        audio = b"".join(encode(samples, speaker.format))
        manifest_path = str(manifest.resolve())
        ledger.append([Header(ledger=VERSION, manifest=manifest_path, batchtts=__version__)])
        results = (
            _place(utterance, store, audio)
            for batch in survey(job, speaker, rows, recall(ledger)).batches()
            for utterance in batch
        )
        while lines := list(islice(results, LINES)):
            ledger.append(lines)
        ledger.close()


def _place(utterance: Utterance, store: Store, audio: bytes) -> Result:
    path = store.path_of(utterance.id)
    target = store.layout.root / path
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_bytes(audio)
    now = round(time.time(), 6)
    return Result(
        id=utterance.id,
        status="done",
        fingerprint=utterance.fingerprint,
        script_hash=utterance.script_hash,
        path=path,
        text_chars=len(utterance.script),
        provider="local",
        model=utterance.voice.model,
        voice=utterance.voice.name,
        language=utterance.voice.language,
        sample_rate_hz=store.format.sample_rate_hz,
        frames=FRAMES,
        bytes=len(audio),
        sha256=sha256(audio).hexdigest(),
        mtime_ns=target.stat().st_mtime_ns,
        peak_dbfs=-12.042,
        segments=1,
        attempts=1,
        started_at=now,
        finished_at=now,
        queue_s=0.000012,
        connect_s=0.0,
        ttfa_s=0.213457,
        synth_s=0.402118,
        wall_s=0.425331,
        cost_usd=0.0,
        context=f"5a2f90b1-{utterance.row}-0-0",
    )


def main() -> None:
    """Finish a manifest."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.finished", description=__doc__)
    parser.add_argument("manifest", type=Path)
    parser.add_argument("out", type=Path)
    options = parser.parse_args()
    finish(options.manifest, options.out)


if __name__ == "__main__":
    main()
