"""`fairroll demo` in miniature: what a newcomer sees first."""

import re
from pathlib import Path

from tests.support.processes import FAIRROLL, ran


async def test_the_demo_shows_the_main_job_and_stops_what_it_started(tmp_path: Path) -> None:
    folder = tmp_path / "demo"
    folder.mkdir()
    (folder / "mine.txt").write_text("not the demo's")
    command = ("demo", "--folder", str(folder), "--visitors", "20", "--seconds", "3")
    demo = await ran(*FAIRROLL, *command, env={"COLUMNS": "120"})
    text = demo.out
    assert demo.code == 0, demo.err
    for expected in (
        r"an astronaut +face +60 cm, after \d+ ms",
        r"an astronaut +face +4\d\d of 512 +not yet \(quota\): again in 5[34]\d s",
        r"an astronaut +button +60 cm, after \d+ ms",
        r"staff +staff +60 cm, after \d+ ms",
        r"answers +(\d+) \(equal\), \1 decided in InfluxDB",
        r"templates alive +[1-9]\d*, each for 540 s at most",
        r"What Grafana would show, as a page for any browser: \S+/demo/preview\.html",
        r"Everything is stopped",
    ):
        assert re.search(expected, text), (expected, text)
    assert (folder / "mine.txt").exists()
    page = (folder / "preview.html").read_text()
    assert page.count("<section") == 2
    assert "<dd>simulated-1</dd>" in page
