"""Every example in docs/ that can be run is run, page by page, and prints what the page says."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import pytest

from support.pages import File, fits, steps

_DOCS: Final = Path(__file__).parents[2] / "docs"
_PAGES: Final = [page for page in sorted(_DOCS.rglob("*.md")) if steps(page)]


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("page", _PAGES, ids=lambda page: str(page.relative_to(_DOCS)))
def test_a_page_tells_the_truth(page: Path, shell: Any) -> None:
    shell.follow(page)


def _page(tmp_path: Path, text: str) -> Path:
    page = tmp_path / "docs" / "page.md"
    page.parent.mkdir()
    page.write_text(text, encoding="utf-8")
    return page


def test_what_a_page_has_to_be_run(tmp_path: Path) -> None:
    page = _page(
        tmp_path,
        "```python\n# file: alone.py\nprint(1)\n```\n"
        "```python\n# file: app/jobs.py\n```\n```python\njust_a_part()\n```\n```sh\nnot run\n```\n"
        "```python\n# file: send.py\n```\n"
        '```console\n$ jobyard worker jobs &\n$ python send.py\nsent …\nfor sure\n$ python -c "import app.jobs"\n```\n',
    )
    assert [
        step.name if isinstance(step, File) else (step.line, step.background, step.output) for step in steps(page)
    ] == [
        "alone.py",
        ("python alone.py", False, ""),
        "app/jobs.py",
        ("python app/jobs.py", False, ""),
        "send.py",
        ("jobyard worker jobs", True, ""),
        ("python send.py", False, "sent …\nfor sure\n"),
        ('python -c "import app.jobs"', False, ""),
    ]


def test_a_console_block_without_a_command_is_a_mistake(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"page\.md, line 2: a console block begins with"):
        steps(_page(tmp_path, "```console\npython x.py\n```\n"))


def test_an_ellipsis_stands_for_anything() -> None:
    assert fits("a … c\n", "a b\nb c\n")
    assert fits("[1]", "[1]\n")
    assert not fits("a … c", "a b")
    assert not fits("a", "a b")


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("```python\n# file: bad.py\nraise SystemExit(3)\n```\n", "page.md, bad.py: `python bad.py` ended with 3"),
        ("```console\n$ echo one\ntwo\n```\n", "page.md, line 2: `echo one` printed something else:\none"),
        (
            "```python\n# file: worker.py\nimport pathlib, signal\nsignal.signal(signal.SIGTERM, lambda *_: exit(3))\n"
            "pathlib.Path('up').touch()\nwhile True: signal.pause()\n```\n"
            "```console\n$ python worker.py &\n$ until [ -e up ]; do sleep 0.01; done\n```\n",
            "page.md, line 9: `python worker.py &` ended with 3",
        ),
    ],
)
def test_an_example_that_fails_fails_the_test(text: str, complaint: str, tmp_path: Path, shell: Any) -> None:
    with pytest.raises(AssertionError) as failure:
        shell.follow(_page(tmp_path, text))
    assert complaint in str(failure.value)


def test_a_page_whose_example_works(tmp_path: Path, shell: Any) -> None:
    shell.follow(_page(tmp_path, "```console\n$ echo $JOBYARD_REDIS_URL\nredis://…\n$ sleep 100 &\n```\n"))
