"""`elinvar carbon`: plans, reports and the grid, in words and as JSON."""

import json
import time

import pytest

import elinvar as el
from tests.test_carbon_forecast import NOON, Server, iso
from tests.test_cli_training import run
from tests.test_trainer import made, task

pytestmark = pytest.mark.any_level
HOUR = 3600.0


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    rows = [f"{iso(NOON + h * HOUR)},{300 if h % 24 < 12 else 90}" for h in range(48)]
    (tmp_path / "grid.csv").write_text("\n".join(["time,intensity", *rows]))
    monkeypatch.chdir(tmp_path)
    return tmp_path


PLAN = ("carbon", "plan", "--forecast", "grid.csv", "--hours", "5", "--start", iso(NOON))


def test_a_plan_in_words_json_and_as_a_picture(capsys, folder) -> None:
    code, out, error = run(capsys, *PLAN, "--deadline", "+24h", "--timezone", "UTC", "--plot", "plan.png")
    assert code == 0 and not error
    lines = out.splitlines()
    assert lines[0] == "5:00 h of work at 100 W, by grid.csv"
    assert lines[1] == "  wait 12:00 h" and lines[2].startswith("  run  Mon 30 Nov 2026 00:00 UTC – Mon 30 Nov 2026 05:0")
    assert "45.1 g CO₂e; at once it would be 150 g CO₂e (70 % less)" in out and "kept with" in lines[-1]
    assert (folder / "plan.png").stat().st_size > 5000
    code, out, _ = run(capsys, *PLAN, "--deadline", "+24h", "--json")
    found = json.loads(out)
    assert code == 0 and found["blocks"][0][0] == pytest.approx(NOON + 12 * HOUR, abs=300) and found["keeps_deadline"]
    code, out, _ = run(capsys, *PLAN, "--budget", "100", "--watts", "100")
    assert code == 0 and "earliest end in budget" in out


def test_plans_that_keep_not_everything(capsys) -> None:
    code, out, _ = run(capsys, *PLAN, "--deadline", "+4h")
    assert code == 3 and "missed" in out and "no time to wait" in out
    code, out, _ = run(capsys, *PLAN, "--budget", "1")
    assert code == 3 and "the budget cannot be kept" in out


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (PLAN, "needs a deadline or a budget"),
        ((*PLAN, "--deadline", "soon"), "deadline 'soon' is no time"),
        ((*PLAN, "--deadline", "+9h", "--timezone", "Mars"), "there is no time zone 'Mars'"),
        (("carbon", "plan", "--forecast", "none.csv", "--hours", "1", "--deadline", "+1h"), "none.csv"),
        (("carbon", "plan", "--watttime", "X", "--hours", "1", "--deadline", "+1h"), "a provider wants a token"),
        (("carbon", "grid", "1e9"), "lies between 0 and 5000"),
        (("carbon", "report", "nothing"), "nothing"),
    ],
)
def test_what_goes_wrong_is_one_line(capsys, words, text) -> None:
    code, out, error = run(capsys, *words)
    assert code == 1 and not out and len(error.splitlines()) == 1 and text in error, error


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (("carbon", "plan", "--hours", "5"), "one of the arguments --forecast"),
        ((*PLAN[:4], "--hours", "-5", "--deadline", "+1h"), "expected a number above 0, received '-5'"),
        ((*PLAN[:4], "--deadline", "+1h"), "required: --hours"),
        (("carbon", "plon"), "did you mean 'plan'"),
    ],
)
def test_words_that_are_not_understood(capsys, words, text) -> None:
    code, _, error = run(capsys, *words)
    assert code == 2 and text in error


def test_providers_are_asked_with_a_token_from_a_file(capsys, folder) -> None:
    server = Server()
    try:
        (folder / "token").write_text("good\n")
        server.clock = time.time
        ask = ("--url", server.url, "--token-file", "token", "--hours", "0.5", "--deadline", "+3h")
        code, out, _ = run(capsys, "carbon", "plan", "--electricity-maps", "FR", *ask)
        assert code == 0 and "by Electricity Maps, FR, average" in out
        (folder / "token").write_text("me\nsecret\n")
        code, out, _ = run(capsys, "carbon", "plan", "--watttime", "CAISO_NORTH", *ask)
        assert code == 0 and "by WattTime, CAISO_NORTH, marginal" in out
        (folder / "token").write_text("bad")
        code, _, error = run(capsys, "carbon", "plan", "--electricity-maps", "FR", *ask)
        assert code == 1 and "does not know who asks (401)" in error
        (folder / "token").write_text("a b c")
        assert "has 3 words" in run(capsys, "carbon", "plan", "--electricity-maps", "FR", *ask)[2]
    finally:
        server.close()


def test_what_runs_have_cost(capsys, folder) -> None:
    assert run(capsys, "carbon", "report", "--folder", "runs")[1].startswith("there is no run in runs")
    for name in ("one", "two"):
        made(record=el.train.Recording(folder / "runs", name)).fit(task(32), epochs=1)
    capsys.readouterr()
    code, out, _ = run(capsys, "carbon", "report", "--folder", "runs")
    assert code == 0 and "one" in out and "two" in out and "2 together" in out and "CO₂e" in out
    code, out, _ = run(capsys, "carbon", "report", "one", "--folder", "runs", "--json")
    found = json.loads(out)
    assert found["total"]["energy_joules"] == pytest.approx(found["runs"][0]["energy"]["energy_joules"]) and len(found["runs"]) == 1


DIRTY = """
[model]
name = "mlp"
args = {hidden = [4]}
[data]
name = "digits"
limit = 64
[carbon]
forecast = "now.csv"
deadline = "+20h"
hours = 2
exit_when_paused = true
"""


def test_a_configuration_can_wait_for_a_cleaner_grid(capsys, folder) -> None:
    now = time.time() // HOUR * HOUR
    rows = [f"{iso(now + h * HOUR)},{{}}".format(300 if h < 6 else 50) for h in range(24)]
    (folder / "now.csv").write_text("\n".join(["time,intensity", *rows]))
    (folder / "dirty.toml").write_text(DIRTY)
    code, _, error = run(capsys, "train", "dirty.toml")
    assert code == 75 and "paused after step 0 until" in error and "go on then with" in error, error
    code, _, error = run(capsys, "train", "dirty.toml", "carbon.deadline=+1h")
    assert code == 0 and "at once, for there is no time to wait" in error, error
    for words, text in (
        (("carbon.forecast=none.csv",), "none.csv"),
        (("carbon.deadline=soon",), "'soon' is no time"),
        (("carbon.hours=-1",), "hours must be above 0"),
    ):
        code, _, error = run(capsys, "train", "dirty.toml", *words)
        assert code == 1 and text in error, error


def test_the_grid(capsys) -> None:
    assert run(capsys, "carbon", "grid", "56")[1] == "56 g CO₂e/kWh: as given\n"
    assert json.loads(run(capsys, "carbon", "grid", "--json")[1])["grams_per_kwh"] > 0
