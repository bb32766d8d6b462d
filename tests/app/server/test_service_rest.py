"""HTTP: pictures that are posted, health, metrics, OpenAPI, the page."""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import cv2
import httpx
import numpy as np
import pytest
from pydantic import BaseModel
from running_service import Running, jpeg, plain, running_service, said

import mien
from mien.app.server import application as application_module
from mien.app.server.openapi import Health, Reading, Refusal
from mien.core.types import LANDMARK_COLUMNS, ByteArray, columns
from mien.engine.explain import WHY_NAMES

SAMPLE = re.compile(r'^(mien_\w+?)(_bucket|_sum|_count)?(\{\w+="[^"]*"\})? (\d+(\.\d+)?(e-?\d+)?)$')


def test_a_picture_is_answered_as_the_library_reads_it(running: Running, person: bytes, tmp_path: Path) -> None:
    (tmp_path / "photo.jpg").write_bytes(person)
    response = running.post(person)
    assert response.status_code == 200
    answer = response.json()
    recognizer = mien.load()
    (face,) = mien.analyze(tmp_path / "photo.jpg").to_dicts()
    start = {"source": "picture", "frame": 0, "time_s": 0.0}
    assert answer == {
        "schema": 1,
        "mien": mien.__version__,
        "model": {"name": "default", "sha256": recognizer.model.sha256},
        "width": 320,
        "height": 256,
        "columns": list(columns(recognizer.card.labels)),
        "rows": [start | face],
    }


def test_columns_are_those_of_what_is_asked_for(running: Running, person: bytes) -> None:
    labels = mien.load().card.labels
    more = running.post(person, "/analyze?landmarks=true&why=true").json()
    assert more["columns"] == list(more["rows"][0]) == list(columns(labels, landmarks=True, feature_names=WHY_NAMES))
    why = running.post(person, "/analyze?why=true").json()
    assert why["columns"] == list(why["rows"][0]) == list(columns(labels, feature_names=WHY_NAMES))
    assert not set(LANDMARK_COLUMNS) & set(why["columns"])


def test_a_picture_without_a_face_has_one_empty_row(running: Running) -> None:
    (row,) = running.post(plain()).json()["rows"]
    assert {name for name, value in row.items() if value is not None} == {"source", "frame", "time_s"}


@pytest.mark.parametrize("extension", [".png", ".webp"])
def test_other_formats_are_read(running: Running, astronaut: ByteArray, extension: str) -> None:
    done, content = cv2.imencode(extension, cv2.cvtColor(astronaut, cv2.COLOR_RGB2BGR))
    assert done
    assert [row["expression"] for row in running.post(content.tobytes()).json()["rows"]] == ["happy"]


def test_a_body_in_chunks_is_read(running: Running, person: bytes) -> None:
    def chunks() -> Iterator[bytes]:
        for start in range(0, len(person), 1000):
            yield person[start : start + 1000]

    assert running.post(chunks()).json()["rows"][0]["expression"] == "happy"


@pytest.mark.parametrize(
    ("content", "status", "code"),
    [
        (b"", 415, "bad_frame"),
        (b"hello", 415, "bad_frame"),
        (b"GIF89a" + bytes(100), 415, "bad_frame"),
        (b"\xff\xd8\xff", 422, "bad_frame"),
        (plain()[:-30], 422, "bad_frame"),
        (plain(6400, 6300), 413, "too_many_pixels"),
        (bytes(20_000_001), 413, "too_large"),
    ],
    ids=["nothing", "text", "gif", "header", "truncated", "pixels", "bytes"],
)
def test_what_is_no_picture_is_refused_in_one_line(running: Running, content: bytes, status: int, code: str) -> None:
    response = running.post(content)
    error = response.json()["error"]
    assert (response.status_code, error["code"]) == (status, code)
    assert "\n" not in error["message"]
    assert response.headers["content-type"] == "application/json"


def test_a_body_that_does_not_tell_its_length_is_cut_off_too() -> None:
    def endless() -> Iterator[bytes]:
        for _ in range(100):
            yield bytes(1000)

    with running_service(detector="whole", picture_bytes=20_000) as running:
        response = running.post(endless())
        assert (response.status_code, response.json()["error"]["code"]) == (413, "too_large")
        assert running.post(plain()).status_code == 200


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [
        ("GET", "/nothing", 404, "not_found"),
        ("GET", "/docs", 404, "not_found"),
        ("GET", "/static/nothing.js", 404, "not_found"),
        ("GET", "/static/%2e%2e/application.py", 404, "not_found"),
        ("GET", "/analyze", 405, "not_allowed"),
        ("POST", "/healthz", 405, "not_allowed"),
        ("POST", "/analyze?why=perhaps", 422, "bad_option"),
    ],
)
def test_what_is_not_there_is_said_as_json(running: Running, method: str, path: str, status: int, code: str) -> None:
    response = httpx.request(method, f"{running.url}{path}", trust_env=False)
    assert (response.status_code, response.json()["error"]["code"]) == (status, code)
    assert ("allow" in response.headers) == (status == 405)


def test_who_posts_too_much_waits() -> None:
    with running_service(detector="whole", pictures_per_second=3.0) as running:
        responses = [running.post(plain(16, 16)) for _ in range(12)]
    refused = [response for response in responses if response.status_code == 429]
    assert [response.status_code for response in responses[:3]] == [200] * 3
    assert refused
    assert refused[0].headers["retry-after"] == "1"
    assert refused[0].json()["error"]["code"] == "too_fast"


def test_health_counts_the_streams(running: Running) -> None:
    with running.stream() as stream:
        said(stream)
        answer = running.get("/healthz").json()
    assert answer.pop("clients") >= 1
    assert answer == {
        "status": "ok",
        "mien": mien.__version__,
        "model": "default",
        "detector": running.get("/healthz").json()["detector"],
        "max_clients": 8,
    }


def test_metrics_are_as_prometheus_reads_them(running: Running, person: bytes) -> None:
    before = running.counts()
    running.post(person)
    running.post(b"no picture")
    response = running.get("/metrics")
    assert response.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
    kinds: dict[str, str] = {}
    for line, following in pairwise(response.text.splitlines()):
        if line.startswith("# HELP "):
            assert following.startswith(f"# TYPE {line.split()[2]} ")
        elif line.startswith("# TYPE "):
            kinds[line.split()[2]] = line.split()[3]
        else:
            sample = SAMPLE.match(line)
            assert sample is not None, line
            assert (sample[2] is not None) == (kinds[sample[1]] == "histogram"), line
    assert response.text.endswith("\n")
    assert set(kinds.values()) == {"counter", "gauge", "histogram"}
    after = running.counts()
    for name, more in {
        'mien_frames_total{by="post"}': 1,
        "mien_faces_total": 1,
        'mien_errors_total{code="bad_frame"}': 1,
        "mien_frame_seconds_count": 1,
        "mien_batch_faces_count": 1,
        "mien_batch_faces_sum": 1,
        'mien_batch_faces_bucket{le="1"}': 1,
        'mien_batch_faces_bucket{le="+Inf"}': 1,
    }.items():
        assert after[name] == before[name] + more, name


def test_openapi_tells_every_route_with_examples(running: Running) -> None:
    told = running.get("/openapi.json").json()
    assert set(told["paths"]) == {"/analyze", "/healthz", "/metrics"}
    analyze = told["paths"]["/analyze"]["post"]
    assert set(analyze["requestBody"]["content"]) == {"image/jpeg", "image/png", "image/webp"}
    assert {parameter["name"] for parameter in analyze["parameters"]} == {"landmarks", "why"}
    assert set(analyze["responses"]) == {"200", "401", "403", "408", "413", "415", "422", "429", "503"}
    shapes: dict[str, type[BaseModel]] = {"Health": Health, "Reading": Reading}
    for name, shape in shapes.items():
        (example,) = told["components"]["schemas"][name]["examples"]
        shape.model_validate(example)
    for status, response in analyze["responses"].items():
        if status != "200":
            Refusal.model_validate(response["content"]["application/json"]["example"])


def test_answers_have_the_shapes_that_openapi_tells(running: Running, person: bytes) -> None:
    Reading.model_validate(running.post(person).json())
    Health.model_validate(running.get("/healthz").json())
    Refusal.model_validate(running.post(b"").json())


def test_the_page_and_its_files_are_served(running: Running, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    response = running.get("/")
    assert response.status_code == 200
    assert response.headers["content-type"] == "text/html; charset=utf-8"
    assert "mien" in response.text
    monkeypatch.setattr(application_module, "STATIC", tmp_path)
    assert "no page" in running.get("/").text


def test_exif_turns_a_posted_picture_upright(running: Running, astronaut: ByteArray) -> None:
    turned = jpeg(np.ascontiguousarray(np.rot90(astronaut)))
    exif = b"Exif\0\0MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0\x06\0\0\0\0\0\0"
    marked = turned[:2] + b"\xff\xe1" + (len(exif) + 2).to_bytes(2) + exif + turned[2:]
    assert [row["expression"] for row in running.post(marked).json()["rows"]] == ["happy"]
