"""House rules for tests that talk over a network.

- Ports are dynamic and on 127.0.0.1; nothing here needs the network or a key.
- What is timed runs in memory on trio's virtual clock, and its times are exact.
  The virtual clock and real sockets, threads or processes do not mix.
- What is real (sockets, processes, files) waits for the thing itself and has a
  hard deadline; nothing sleeps to give something else time.
- One side closes first, always the same one, and whoever opened a socket closes
  it: warnings are errors, that of an unclosed socket too.
- Fakes are ten lines in the test file; nothing is mocked.
"""

from __future__ import annotations

from hypothesis import settings

# A deadline per example fails on a busy machine, and tells nothing but that.
settings.register_profile("house", deadline=None)
settings.load_profile("house")
