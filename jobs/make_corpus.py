"""Write a small Parquet manifest: python jobs/make_corpus.py corpus.parquet"""

import sys

import pyarrow as pa
import pyarrow.parquet as pq

SENTENCES = {
    "train": [
        "The ferry leaves at a quarter to six, unless the harbor master oversleeps.",
        "Seven pears and a loaf of bread cost less than one cup of coffee.",
        "She folded the map along the wrong crease and found a better road.",
        "Nobody had told the orchestra that the piano was only painted on.",
        "Turn left at the bakery, then follow the smell of fresh paint.",
        "A heron stood in the shallow water and pretended to be a branch.",
    ],
    "test": [
        "My grandfather repaired clocks, but he was always late for dinner.",
        "The third window from the left has been open since March.",
    ],
}

rows = [(split, text) for split, texts in SENTENCES.items() for text in texts]
table = pa.table(
    {
        "utt_id": [f"corpus-{n:04d}" for n in range(len(rows))],
        "script": [text for _, text in rows],
        "split": pa.array([split for split, _ in rows]).dictionary_encode(),
        "speaker_id": pa.array([7] * len(rows), pa.int16()),
        "words": [text.split() for _, text in rows],
    }
)
pq.write_table(table, sys.argv[1])
