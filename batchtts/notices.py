"""What rides on a log record beside its sentence. Pure.

    log.warning("%s failed: %s", row.id, error, extra=notice("row_failed", id=row.id))

People read the sentence, machines the event and its facts; who renders a record
decides which of them is told.
"""

from __future__ import annotations

from collections.abc import Mapping

#: A record that says nothing of its kind.
PLAIN = "message"


def notice(
    event: str, place: str = "run", more: Mapping[str, object] = {}, **facts: object
) -> dict[str, object]:
    """Return the ``extra`` of a log record.

    Args:
        event: A stable word in snake case.
        place: Where it happened: ``run``, ``worker-3``, ``on_failure``.
        more, facts: What there is to know of it, in JSON's own types.
    """
    return {"event": event, "place": place, "facts": {**more, **facts}}
