"""The README names everything that there is."""

from pathlib import Path

import click
import pytest

from hosts_mcp.cli import cli
from hosts_mcp.serve.questions import QUESTIONS, Question
from hosts_mcp.settings import KNOBS, Knob

README = (Path(__file__).parent.parent / "README.md").read_text()


@pytest.mark.parametrize("knob", KNOBS, ids=lambda k: k.env)
def test_every_setting_stands_in_the_readme(knob: Knob) -> None:
    assert knob.env in README
    assert (knob.flag or "") in README


@pytest.mark.parametrize("question", QUESTIONS, ids=lambda q: q.tool)
def test_every_tool_and_route_stands_in_the_readme(question: Question) -> None:
    assert f"`{question.tool}`" in README
    assert question.path in README


def test_every_command_stands_in_the_readme() -> None:
    for name in cli.list_commands(click.Context(cli)):
        assert f"`{name}" in README, name
