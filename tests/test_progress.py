"""Progress: a few plain lines in a log, a bar and one line on a terminal."""

from __future__ import annotations

import os
import pty
import re
import subprocess
import sys
import time

from apsam.progress import track


def test_plain_lines_in_a_log(capsys):
    assert list(track(range(100), "cams of valley")) == list(range(100))
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 10
    assert re.fullmatch(r"cams of valley: 10/100, [\d.]+ a second, \d+ s left", lines[0])
    assert re.fullmatch(r"cams of valley: 100 in [\d.]+ s, [\d.]+ a second", lines[-1])


def test_work_without_a_length(capsys):
    assert sum(track((n for n in range(5)), "encode")) == 10
    assert re.fullmatch(r"encode: 5 in [\d.]+ s, [\d.]+ a second\n", capsys.readouterr().err)


def test_slow_work_shows_seconds_per_item(capsys):
    for _ in track(range(2), "encode"):
        time.sleep(1.05)
    last = capsys.readouterr().err.splitlines()[-1]
    assert re.fullmatch(r"encode: 2 in \d\.\d s, 1\.\d s each", last)


def test_progress_without_items(capsys):
    assert list(track([], "masks")) == []
    assert capsys.readouterr().err.startswith("masks: 0 in 0.0 s")


def test_a_bar_and_one_line_on_a_terminal():
    main, terminal = pty.openpty()
    code = "import time; from apsam.progress import track\nfor _ in track(range(30), 'cams'): time.sleep(0.02)"
    environment = {**os.environ, "TERM": "xterm", "COLUMNS": "100"}
    with subprocess.Popen([sys.executable, "-c", code], stderr=terminal, env=environment) as process:
        os.close(terminal)
        shown = b""
        try:
            while piece := os.read(main, 4096):
                shown += piece
        except OSError:
            pass  # The terminal's other end is closed.
        assert process.wait() == 0
    os.close(main)
    text = shown.decode()
    assert "30/30" in text and "a second" in text
    assert re.search(r"cams: 30 in [\d.]+ s, [\d.]+ a second\s*$", text)
