"""Forecasts: CSV files, and two providers' answers from a server on this machine that speaks them."""

import json
import threading
import time
from datetime import UTC, datetime
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as some

import elinvar as el
from elinvar.carbon import Forecast, Patience
from elinvar.carbon.providers import electricity_maps_answer, watttime_answer
from elinvar.carbon.times import length, moment, parsed, shown, zone_named
from elinvar.core.errors import DataError, DTypeError, RemoteError, ValueRangeError

pytestmark = pytest.mark.any_level
HOUR = 3600.0
NOON = datetime(2026, 11, 29, 12, tzinfo=UTC).timestamp()


def iso(seconds: float, tail: str = "+00:00") -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S") + tail


# ---- points ------------------------------------------------------------------------------------


def test_values_hold_until_the_next_and_gaps_are_gaps() -> None:
    points = [(2 * HOUR, 30.0), (0.0, 10.0), (HOUR, 20.0), (6 * HOUR, 60.0), (3 * HOUR, float("nan")), (4 * HOUR, None)]
    forecast = Forecast.of(points)
    assert forecast.starts == (0.0, HOUR, 2 * HOUR, 6 * HOUR) and forecast.end == 7 * HOUR
    assert [forecast.at(h * HOUR) for h in (-1, 0, 0.99, 2.5, 3.5, 5.5, 6, 7)] == [None, 10.0, 10.0, 30.0, None, None, 60.0, None]
    assert forecast.mean == 30.0 and forecast.average(0, 2 * HOUR) == 15.0
    assert forecast.average(2 * HOUR, 4 * HOUR, 50.0) == 40.0 and forecast.average(100 * HOUR, 101 * HOUR) == 30.0
    assert Forecast.of([(5.0, 7.0)]).end == 5.0 + HOUR


@pytest.mark.parametrize(
    ("points", "text"),
    [
        ([], "no value"),
        ([(0.0, float("nan")), (1.0, None)], "no value"),
        ([(0.0, -0.1)], "-0.1 g CO₂e/kWh at 0 is no intensity"),
        ([(0.0, 5001.0)], "another unit"),
        ([(0.0, float("inf"))], "no intensity"),
        ([(0.0, 1.0), (0.0, 2.0)], "comes twice"),
    ],
)
def test_points_that_are_no_forecast(points, text) -> None:
    with pytest.raises(DataError, match=text):
        Forecast.of(points)


def test_a_newer_forecast_follows_the_older() -> None:
    older = Forecast.of([(h * HOUR, float(h)) for h in range(6)])
    newer = Forecast.of([(h * HOUR + 1800, 100.0 + h) for h in range(3, 9)])
    both = older.followed_by(newer)
    assert both.at(2 * HOUR) == 2.0 and both.at(3.4 * HOUR) == 3.0 and both.at(3.6 * HOUR) == 103.0 and both.end == newer.end
    assert newer.followed_by(older) == older


# ---- times -------------------------------------------------------------------------------------


def test_times_in_many_spellings() -> None:
    assert parsed("2026-11-29T12:00Z", None) == parsed("2026-11-29 13:00:00.000+01:00", None) == parsed(str(int(NOON)), None) == NOON
    paris = zone_named("Europe/Paris", "t")
    assert parsed("2026-11-29T13:00", paris) == NOON
    for text, why in (
        ("tomorrow", "is no time"), ("2026-13-01T00:00Z", "is no time"), ("nan", "between 1970 and 2100"), ("1e30", "between 1970"),
        ("9999-12-31T23:59Z", "between 1970"), ("2026-11-29T12:00", "no offset"), ("", "is no time"),
    ):  # fmt: skip
        with pytest.raises(DataError, match=why):
            parsed(text, None)
    with pytest.raises(DataError, match="set forward over it"):
        parsed("2026-03-29T02:30", paris)
    with pytest.raises(ValueRangeError, match="no time zone 'Mars'"):
        zone_named("Mars", "t")
    with pytest.raises(ValueRangeError, match="no time zone"):
        zone_named("../../etc/passwd", "t")


def test_moments_that_users_mean() -> None:
    assert moment("+90 m", 0.0, "t") == 5400.0 and moment("+2d", 1.0, "t") == 172801.0
    assert moment("2026-11-29T12:00+00:00", 0.0, "t") == moment(datetime(2026, 11, 29, 12, tzinfo=UTC), 0.0, "t") == NOON
    local = datetime(2026, 11, 29, 12)
    assert moment(local, 0.0, "t") == moment(local.isoformat(), 0.0, "t") == local.timestamp()
    with pytest.raises(ValueRangeError, match="'soon' is no time"):
        moment("soon", 0.0, "t")
    with pytest.raises(DTypeError, match="received list"):
        moment([], 0.0, "t")
    assert length(59.4) == "59 s" and length(3599) == "1:00 h" and "2026" in shown(NOON)


# ---- CSV ---------------------------------------------------------------------------------------


def test_csv_files_as_people_have_them(tmp_path) -> None:
    file = tmp_path / "grid.csv"
    file.write_text("\ufeffDatetime (UTC),Country,Carbon Intensity gCO₂eq/kWh (direct)\n2026-11-29 13:00:00,FR,50\n\n2026-11-29 12:00:00,FR,40.5\n2026-11-29 14:00:00,FR,\n2026-11-29 15:00:00,FR,nan\n2026-11-29 16:00:00,FR,60\n")
    forecast = Forecast.from_csv(file, timezone="UTC")
    assert forecast.starts == (NOON, NOON + HOUR, NOON + 4 * HOUR) and forecast.grams == (40.5, 50.0, 60.0)
    assert forecast.source == "grid.csv"
    file.write_text("when;x\n", "utf-8")
    with pytest.raises(DataError, match=r"no column of times; its columns are when;x"):
        Forecast.from_csv(file)
    file.write_text("t,lbs\n2026-11-29T12:00Z,1000\n")
    assert Forecast.from_csv(file, time="t", intensity="lbs", units="lb/MWh").grams[0] == pytest.approx(453.59237)
    file.write_text("time,grams\n2026-11-29T12:00Z,7\n")
    forecast = Forecast.from_csv(file)
    file.write_text("time,grams\n2026-11-29T12:00Z,8\n")
    assert forecast.renewed().grams == (8.0,) and forecast.grams == (7.0,)


def test_the_hour_that_comes_twice_and_the_one_that_never_comes(tmp_path) -> None:
    file = tmp_path / "grid.csv"
    file.write_text("time,grams\n" + "".join(f"2026-10-25T{h:02}:00,{v}\n" for h, v in ((1, 10), (2, 20), (2, 21), (3, 30))))
    forecast = Forecast.from_csv(file, timezone="Europe/Paris")
    assert [b - a for a, b in zip(forecast.starts, forecast.ends)] == [HOUR] * 4 and forecast.grams == (10, 20, 21, 30)
    file.write_text("time,grams\n2026-03-29T01:00,1\n2026-03-29T02:00,2\n")
    with pytest.raises(DataError, match="line 3: no clock in Europe/Paris shows"):
        Forecast.from_csv(file, timezone="Europe/Paris")


@pytest.mark.parametrize("zone", ["Europe/Paris", "America/New_York", "Australia/Sydney", "Asia/Kolkata", "UTC"])
def test_a_year_of_local_times_without_offsets(tmp_path, zone) -> None:
    """8784 hours, over both changes of the clocks: each is read as the hour that it is."""
    first = datetime(2027, 12, 31, 22, tzinfo=UTC).timestamp()
    starts = [first + h * HOUR for h in range(8784)]
    local = [datetime.fromtimestamp(t, zone_named(zone, "t")).strftime("%Y-%m-%d %H:%M") for t in starts]
    file = tmp_path / "grid.csv"
    file.write_text("time,grams\n" + "".join(f"{t},{i % 500}\n" for i, t in enumerate(local)))
    assert list(Forecast.from_csv(file, timezone=zone).starts) == starts


@given(some.permutations(range(12)))
def test_the_order_of_points_does_not_matter(order) -> None:
    points = [(h * HOUR, float(h * 7 % 5) if h % 4 else None) for h in range(12)]
    assert Forecast.of(points[i] for i in order) == Forecast.of(points)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "is empty"),
        ("time,grams\n", "no value"),
        ("time,grams\n2026-11-29T12:00Z\n", "line 2: too few cells"),
        ("time,grams\n2026-11-29T12:00Z,many\n", "line 2: could not convert"),
        ("time,grams\n2026-11-29T12:00,5\n", "line 2: the time '2026-11-29T12:00' says no offset"),
        ("time,grams\n2026-11-29T12:00Z,5\n2026-11-29T12:00Z,5\n", "comes twice"),
        ("time,grams\n2026-11-29T12:00Z,-5\n", "is no intensity"),
        ("time,grams\nx,5\n", "line 2: 'x' is no time"),
        ("a,b\n1,2\n", "no column of times"),
        ("time,b\n1,2\n", "no column of intensities"),
    ],
)
def test_csv_files_that_are_none(tmp_path, text, why) -> None:
    file = tmp_path / "grid.csv"
    file.write_text(text)
    with pytest.raises(DataError, match=why):
        Forecast.from_csv(file)


def test_csv_files_of_bytes_and_wrong_wishes(tmp_path) -> None:
    file = tmp_path / "grid.csv"
    file.write_bytes(b"time,grams\n\xff\xfe\x00,1\n")
    with pytest.raises(DataError, match="no CSV file in UTF-8"):
        Forecast.from_csv(file)
    with pytest.raises(ValueRangeError, match="units must be one of"):
        Forecast.from_csv(file, units="tons")
    with pytest.raises(FileNotFoundError):
        Forecast.from_csv(tmp_path / "none.csv")
    file.write_text("time,grams\n1,2\n")
    with pytest.raises(DataError, match="no column 'x'"):
        Forecast.from_csv(file, intensity="x")


# ---- answers -----------------------------------------------------------------------------------


def watttime(start: float, values, **meta):
    """An answer of WattTime's /v3/forecast, in the shape of its documentation."""
    about = {
        "region": "CAISO_NORTH", "signal_type": "co2_moer", "units": "lbs_co2_per_mwh", "data_point_period_seconds": 300,
        "warnings": [], "model": {"date": "2026-03-01"}, "generated_at": iso(start), "generated_at_period_seconds": 300, **meta,
    }  # fmt: skip
    return {"data": [{"point_time": iso(start + i * 300), "value": v} for i, v in enumerate(values)], "meta": about}


def electricity_maps(start: float, values, **more):
    """An answer of Electricity Maps' /v3/carbon-intensity/forecast, in the shape of its documentation."""
    rows = [{"carbonIntensity": v, "datetime": iso(start + i * HOUR, ".000Z")} for i, v in enumerate(values)]
    return {"zone": "FR", "forecast": rows, "updatedAt": iso(start, ".123Z"), "temporalGranularity": "hourly", **more}


def test_answers_of_both_providers() -> None:
    series = watttime_answer(watttime(NOON, [1000.0, 500.0]), "CAISO_NORTH")
    assert series.points == [(NOON, pytest.approx(453.59237)), (NOON + 300, pytest.approx(226.796185))]
    assert series.step == 300 and series.made_at == NOON and "marginal" in series.source
    series = electricity_maps_answer(electricity_maps(NOON, [56, None, 60.5]), "FR")
    assert series.points == [(NOON, 56.0), (NOON + HOUR, None), (NOON + 2 * HOUR, 60.5)] and "average" in series.source


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        (watttime(NOON, [1.0], units="percentile"), "(?s)in 'percentile'.*signal index is a rank"),
        (watttime(NOON, [1.0], units=["lbs_co2_per_mwh"]), "not in lbs"),
        (watttime(NOON, [1.0], region="PJM"), "for region 'PJM', not 'CAISO_NORTH'"),
        (watttime(NOON, [1.0], signal_type="health_damage"), "for signal_type"),
        (watttime(NOON, [1.0], data_point_period_seconds=-300), "not a length of time"),
        (watttime(NOON, ["1.0"]), "value of point 0 is no number"),
        (watttime(NOON, [True]), "is no number"),
        (watttime(NOON, [1e300]), "is no number"),
        ({"data": [{"value": 1}], "meta": watttime(NOON, [])["meta"]}, "point 0 has no point_time"),
        ({"data": {}, "meta": watttime(NOON, [])["meta"]}, "no 'data'"),
        ({"data": []}, "no 'meta'"),
        ([], "no 'meta'"),
        (None, "no 'meta'"),
        ("hello", "no 'meta'"),
    ],
)
def test_answers_that_are_no_forecast_of_watttime(answer, why) -> None:
    with pytest.raises(DataError, match=why):
        watttime_answer(answer, "CAISO_NORTH")


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        ({"zone": "FR", "forecast": None}, "no 'forecast'"),
        (electricity_maps(NOON, [5], zone="DE"), "for zone 'DE', not 'FR'"),
        ({"zone": "FR", "forecast": [{"datetime": "soon", "carbonIntensity": 1}]}, "'soon' is no time"),
        ({"zone": "FR", "forecast": [[1, 2]]}, "point 0 has no datetime"),
        ({"error": "x"}, "no 'forecast'; received error"),
    ],
)
def test_answers_that_are_no_forecast_of_electricity_maps(answer, why) -> None:
    with pytest.raises(DataError, match=why):
        electricity_maps_answer(answer, "FR")


JSON = some.recursive(
    some.none() | some.booleans() | some.integers() | some.floats() | some.text(max_size=5),
    lambda inner: some.lists(inner, max_size=3) | some.dictionaries(some.sampled_from(["data", "meta", "forecast", "zone", "units", "value", "datetime", "carbonIntensity", "point_time"]), inner, max_size=4),
    max_leaves=12,
)


@given(JSON)
def test_any_json_is_a_forecast_or_an_error_of_ours(answer) -> None:
    for read in (watttime_answer, electricity_maps_answer):
        try:
            Forecast.of(read(answer).points)
        except (DataError, ValueRangeError):
            pass


# ---- a server ----------------------------------------------------------------------------------


class Server:
    """Speaks both providers' formats; `script` is what it does first: functions of a handler."""

    def __init__(self) -> None:
        self.script: list = []
        self.seen: list = []
        self.tokens = {"good"}
        self.clock = lambda: NOON
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def log_message(self, *arguments) -> None:
                pass

            def date_time_string(self, timestamp=None) -> str:
                return formatdate(outer.clock(), usegmt=True)

            def do_GET(self) -> None:
                outer.seen.append((self.path, dict(self.headers)))
                if outer.script:
                    outer.script.pop(0)(self)
                else:
                    outer.answer(self)

            def say(self, status: int, body, headers=()) -> None:
                raw = body if isinstance(body, bytes) else json.dumps(body).encode()
                self.send_response(status)
                for name, value in headers:
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(raw)))
                self.end_headers()
                self.wfile.write(raw)

        self.http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.http.daemon_threads = True
        self.url = f"http://127.0.0.1:{self.http.server_address[1]}"
        self.thread = threading.Thread(target=self.http.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
        self.thread.start()

    def answer(self, handler) -> None:
        path, query = urlsplit(handler.path).path, parse_qs(urlsplit(handler.path).query)
        if path == "/login":
            if handler.headers.get("Authorization") != "Basic bWU6c2VjcmV0":  # me:secret
                return handler.say(401, {"error": "Invalid credentials"})
            self.tokens = {f"token{len(self.seen)}"}
            return handler.say(200, {"token": next(iter(self.tokens))})
        if path == "/v3/forecast":
            if handler.headers.get("Authorization", "").removeprefix("Bearer ") not in self.tokens:
                return handler.say(401, {"error": "Invalid authorization token"})
            if query["region"] != ["CAISO_NORTH"]:
                return handler.say(403, {"error": "forbidden", "message": "Your plan has no access to this region"})
            return handler.say(200, watttime(self.clock(), [1000.0, 400.0]))
        if path == "/v3/carbon-intensity/forecast":
            if handler.headers.get("auth-token") not in self.tokens:
                return handler.say(401, {"status": "error", "message": "Invalid auth-token"})
            if query["zone"] != ["FR"]:
                return handler.say(404, {"error": "No data for zone"})
            return handler.say(200, electricity_maps(self.clock(), [56, 40, 70]))
        return handler.say(404, b"<html>nothing here</html>")

    def close(self) -> None:
        self.http.shutdown()
        self.http.server_close()
        self.thread.join()


@pytest.fixture
def server():
    found = Server()
    yield found
    found.close()


class Naps(list):
    """Sleeps that take no time."""

    def patience(self, **options) -> Patience:
        return Patience(**{"timeout": 5.0, "sleep": self.append, "clock": lambda: NOON, **options})


def maps(server, naps=None, **options) -> Forecast:
    patience = (Naps() if naps is None else naps).patience(**options.pop("patience", {}))
    return Forecast.from_electricity_maps(options.pop("zone", "FR"), token=options.pop("token", "good"), url=server.url, patience=patience, **options)


def test_both_providers_from_a_server(server) -> None:
    forecast = maps(server, hours=48)
    assert forecast.grams == (56.0, 40.0, 70.0) and forecast.start == NOON and forecast.made_at == pytest.approx(NOON, abs=1)
    path, headers = server.seen[-1]
    assert path == "/v3/carbon-intensity/forecast?zone=FR&horizonHours=48"
    assert {n.lower(): v for n, v in headers.items()}["auth-token"] == "good"
    server.clock = lambda: NOON + HOUR
    assert maps(server, patience={"clock": lambda: NOON + HOUR}).start == NOON + HOUR
    server.clock = lambda: NOON
    forecast = Forecast.from_watttime("CAISO_NORTH", token="good", url=server.url + "/", patience=Naps().patience())
    assert forecast.grams == (pytest.approx(453.59237), pytest.approx(181.436948)) and forecast.ends[-1] - forecast.starts[-1] == 300
    assert server.seen[-1][0] == "/v3/forecast?region=CAISO_NORTH&signal_type=co2_moer&horizon_hours=24"
    assert forecast.renewed() == forecast


def test_a_login_whose_token_expires_is_made_anew(server) -> None:
    forecast = Forecast.from_watttime("CAISO_NORTH", username="me", password="secret", url=server.url, patience=Naps().patience())
    assert [path.partition("?")[0] for path, _ in server.seen] == ["/login", "/v3/forecast"]
    forecast.renewed()
    assert [path.partition("?")[0] for path, _ in server.seen[2:]] == ["/v3/forecast"]
    server.tokens = {"another"}
    forecast.renewed()
    assert [path.partition("?")[0] for path, _ in server.seen[3:]] == ["/v3/forecast", "/login", "/v3/forecast"]
    with pytest.raises(RemoteError, match=r"does not know who asks \(401\): Invalid credentials"):
        Forecast.from_watttime("CAISO_NORTH", username="me", password="wrong", url=server.url, patience=Naps().patience())


def test_refusals_are_not_repeated_and_keep_the_secret(server) -> None:
    naps = Naps()
    with pytest.raises(RemoteError, match=r"(?s)401\): Invalid auth-token.*wrong, or has expired") as caught:
        maps(server, naps, token="my-secret-token")
    assert "my-secret" not in str(caught.value) and caught.value.status == 401
    with pytest.raises(RemoteError, match=r"403\): Your plan has no access"):
        Forecast.from_watttime("PJM", token="good", url=server.url, patience=naps.patience())
    with pytest.raises(RemoteError, match=r"(?s)404\): No data for zone.*region or zone right"):
        maps(server, naps, zone="XX")
    assert not naps and len(server.seen) == 3
    with pytest.raises(RemoteError) as caught:
        Forecast.from_electricity_maps("FR", token="written-here", url=server.url, patience=naps.patience())
    assert "written-here" not in str(caught.value) and caught.value.__cause__ is None
    with pytest.raises(ValueRangeError) as caught:
        Forecast.from_electricity_maps("FR", token="written-here\t", url=server.url)
    assert "written-here" not in str(caught.value)
    assert "good" not in repr(maps(server))


def test_outages_are_waited_out(server) -> None:
    naps = Naps()
    server.script = [lambda h: h.say(503, b"<html>down</html>"), lambda h: h.say(500, {"message": "oops"})]
    assert maps(server, naps).grams[0] == 56.0 and naps == [1.0, 2.0]
    naps.clear()
    server.script = [lambda h: h.say(502, {})] * 4
    with pytest.raises(RemoteError, match=r"out of order \(502\)"):
        maps(server, naps)
    assert naps == [1.0, 2.0, 4.0]
    server.script = [lambda h: h.connection.close()]  # no word
    assert maps(server, naps).grams[0] == 56.0


def test_rate_limits_are_kept(server) -> None:
    naps = Naps()
    server.script = [
        lambda h: h.say(429, {"error": "slow down"}, [("Retry-After", "7")]),
        lambda h: h.say(429, {}, [("Retry-After", formatdate(NOON + 20, usegmt=True))]),
        lambda h: h.say(429, {}, [("Retry-After", "soon")]),
    ]
    assert maps(server, naps).grams[0] == 56.0 and naps == [7.0, 20.0, 4.0]
    server.script = [lambda h: h.say(429, {}, [("Retry-After", "3600")])]
    with pytest.raises(RemoteError, match=r"asked too often \(429\); it wants to be asked again in 3600 s") as caught:
        maps(server, naps)
    assert caught.value.wait == 3600.0 and len(naps) == 3


def test_servers_that_hang_drip_or_are_not_there(server) -> None:
    gone = threading.Event()
    server.script = [lambda h: gone.wait(20)]
    start = time.monotonic()
    with pytest.raises(RemoteError, match=r"did not answer: nothing within 0\.2 s"):
        maps(server, patience={"timeout": 0.2, "tries": 1})
    assert time.monotonic() - start < 5

    def drip(handler) -> None:
        handler.send_response(200)
        handler.end_headers()
        try:
            while not gone.wait(0.05):
                handler.wfile.write(b" ")
                handler.wfile.flush()
        except OSError:
            pass

    server.script = [drip]
    with pytest.raises(RemoteError, match="it took more than"):
        maps(server, patience={"timeout": 0.2, "tries": 1})
    gone.set()
    server.script = [lambda h: (h.send_response(200), h.send_header("Content-Length", "999"), h.end_headers(), h.wfile.write(b"{}"))]
    with pytest.raises(RemoteError, match=r"broke off: 2 of 999 bytes|did not answer"):
        maps(server, patience={"tries": 1})
    with pytest.raises(RemoteError, match="did not answer"):
        Forecast.from_electricity_maps("FR", token="t", url="http://127.0.0.1:9", patience=Naps().patience(tries=2))


@pytest.mark.parametrize(
    ("body", "why"),
    [
        (b"<html>login</html>", "not JSON"),
        (b"", "not JSON"),
        (b'{"zone": "FR", "forecast": [', "not JSON"),
        (b'{"zone": "FR", "forecast": NaN}', "NaN is no number"),
        (b"[" * 200_000, "not JSON: it is nested too deeply"),
        (b"\xff\xfe\xfd", "not JSON"),
        (b'{"zone":"FR","forecast":[{"datetime":"2026-11-29T12:00Z","carbonIntensity":-5}]}', "no intensity"),
        (b'{"zone":"FR","forecast":[{"datetime":"2026-11-29T12:00Z","carbonIntensity":1e999}]}', "no number"),
        (b'{"zone":"FR","forecast":[]}', "no value"),
        (b" " * (17 << 20), "more than 16 MB"),
    ],
)
def test_hostile_answers_are_errors(server, body, why) -> None:
    server.script = [lambda h: h.say(200, body)]
    try:
        with pytest.raises(DataError, match=why):
            maps(server)
    finally:
        server.script = []


def test_words_of_a_server_do_not_move_the_cursor(server) -> None:
    server.script = [lambda h: h.say(403, {"message": "\x1b[2J" + "no\n" * 500})]
    with pytest.raises(RemoteError) as caught:
        maps(server)
    assert "\x1b" not in str(caught.value) and len(str(caught.value)) < 500


def test_the_token_goes_nowhere_else(server) -> None:
    other = Server()
    try:
        server.script = [lambda h: h.say(302, {}, [("Location", other.url + "/v3/carbon-intensity/forecast?zone=FR")])]
        with pytest.raises(RemoteError, match=r"sends elsewhere \(302\)"):
            maps(server)
        assert not other.seen
    finally:
        other.close()
    with pytest.raises(ValueRangeError, match="over http, where others can read it"):
        Forecast.from_electricity_maps("FR", token="t", url="http://example.org")
    for url in ("ftp://x", "file:///etc/passwd", "", "https://"):
        with pytest.raises(ValueRangeError, match="must begin with https"):
            Forecast.from_electricity_maps("FR", token="t", url=url)
    with pytest.raises(ValueRangeError, match="characters that no token has"):
        Forecast.from_electricity_maps("FR", token="a\r\nX-Evil: 1", url="https://example.org")


def test_clocks_that_differ_and_providers_that_stand_still(server) -> None:
    with pytest.raises(DataError, match=r"(?s)clock is 120 minutes ahead of 127\.0\.0\.1:\d+'s.*set the clock"):
        maps(server, patience={"clock": lambda: NOON + 2 * HOUR})
    with pytest.raises(DataError, match="60 minutes behind"):
        maps(server, patience={"clock": lambda: NOON - HOUR})
    assert maps(server, patience={"clock": lambda: NOON + 300})
    server.clock = lambda: NOON + 24 * HOUR
    server.script = [lambda h: h.say(200, electricity_maps(NOON, [1, 2]))]
    with pytest.raises(DataError, match="the newest forecast ended 22 hours ago"):
        maps(server, patience={"clock": lambda: NOON + 24 * HOUR})


def test_wrong_wishes_are_refused_before_anybody_is_asked(server) -> None:
    with pytest.raises(ValueRangeError, match="hours must be 6, 24, 48, 72, received 12"):
        maps(server, hours=12)
    with pytest.raises(ValueRangeError, match="hours must be 1 to 72"):
        Forecast.from_watttime("X", token="t", hours=100, url=server.url)
    with pytest.raises(ValueRangeError, match="a username and a password, or a token"):
        Forecast.from_watttime("X", username="me", url=server.url)
    assert not server.seen and el.carbon.Forecast is Forecast
