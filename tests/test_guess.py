"""A prediction is asked for where somebody can answer, and stands in where nobody can."""

import pytest

from labkit import guess as module
from labkit.errors import ConfigurationError
from labkit.guess import Guess, predict_first


def test_a_stored_answer_stands_in_where_nobody_is(capsys):
    guess = predict_first("How long will it take?", unit="s", stored=1.5)
    assert (guess.value, guess.stored) == (1.5, True)
    assert capsys.readouterr().out == "How long will it take? 1.5 s, a stored prediction.\n"
    assert predict_first("How many?").value is None
    assert capsys.readouterr().out == "How many? No prediction yet.\n"


def test_a_sentence_can_hold_a_guess_that_nobody_has_made():
    assert f"{Guess('How many?', '', 1234.5):,.0f} times" == "1,234 times"
    assert f"{Guess('How many?', ''):,.0f} times" == "nothing times"
    assert f"{Guess('How many?', '', 2.0)}" == "How many? 2, your prediction."


@pytest.fixture
def shown(monkeypatch):
    """What a notebook would display."""
    found = []
    monkeypatch.setattr(module, "audience", lambda: "notebook")
    monkeypatch.setattr("IPython.display.display", found.append)
    return found


def test_a_field_keeps_what_the_learner_writes(shown):
    guess = predict_first("How long will it take?", unit="s", stored=1.5)
    assert guess.value is None           # the stored answer is not the learner's
    question, row = shown[0].children
    field, answer = row.children
    assert question.value == "How long will it take?"
    assert field.description == "s"
    field.value = "2.5"
    assert (guess.value, guess.stored, answer.value) == (2.5, False, "Kept: 2.5 s")
    field.value = "long"
    assert guess.value == 2.5
    assert "A prediction is a number" in answer.value


def test_a_terminal_asks(monkeypatch):
    monkeypatch.setattr(module, "audience", lambda: "terminal")
    monkeypatch.setattr("sys.stdin.isatty", lambda: True, raising=False)
    monkeypatch.setattr("builtins.input", lambda prompt: "3")
    assert repr(predict_first("How many?")) == "How many? 3, your prediction."


@pytest.mark.parametrize("value", ["many", None, float("nan"), "inf", [1, 2]])
def test_what_is_no_number_is_refused(value):
    with pytest.raises(ConfigurationError, match="A prediction is a number"):
        Guess("How many?", "").give(value)
