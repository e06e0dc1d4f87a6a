"""What the server answers: to the page, to other web pages, to too much and to rubbish."""

import http.client
import json
import socket
import tempfile
import time

import pytest
from starlette.datastructures import Headers

from src.evaluation.app.loading import Checkpoint, load_in_thread
from src.evaluation.app.server import MOST_BYTES, PAGE, SHARED, foreign, listen


@pytest.fixture(autouse=True)
def scratch(tmp_path, monkeypatch):
    """The folder for temporary files, which must be empty after each request."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    yield
    assert not list(tmp_path.iterdir())


def ask(served, method, path, body=b"", **headers):
    """Return the status, the headers and the body of an answer; `headers` replace those that a browser sends."""
    connection = http.client.HTTPConnection("127.0.0.1", served.port, timeout=60)
    given = {"Host": f"127.0.0.1:{served.port}"} | {name.replace("_", "-"): value for name, value in headers.items()}
    connection.putrequest(method, path, skip_host=True)
    for name, value in (given | {"Content-Length": str(len(body))}).items():
        connection.putheader(name, value)
    connection.endheaders(body)
    reply = connection.getresponse()
    content = reply.read()
    connection.close()
    return reply.status, reply.headers, content


def fault(reply):
    """Return the one sentence of a refusal."""
    text = json.loads(reply[2])["error"]
    assert text and "\n" not in text
    return text


def test_the_page_and_its_files_are_small_and_name_no_other_host(served):
    total = 0
    for name in ["", *(path.name for path in [*PAGE.iterdir(), *SHARED])]:
        status, headers, content = ask(served, "GET", f"/{name}")
        assert status == 200 and "default-src 'none'" in headers["content-security-policy"]
        assert headers["cache-control"] == "no-store" and headers["x-content-type-options"] == "nosniff"
        assert b"http://" not in content and b"https://" not in content
        total += len(content) if name else 0
    assert total <= 60_000


def test_models_are_listed_with_their_state(served):
    models = json.loads(ask(served, "GET", "/models")[2])
    assert [(one["name"], one["ready"], one["fault"]) for one in models] == [
        ("first", True, ""),
        ("damaged", False, "ckpt_path: not a checkpoint"),
        ("slow", False, ""),
    ]
    assert "parameters" in models[0] and "parameters" not in models[1]


def test_a_sound_is_answered_and_its_values_are_rendered_and_heard(served, clip):
    status, _, content = ask(served, "POST", "/predict?model=0&channel=mix", clip)
    found = json.loads(content)
    assert status == 200 and found == json.loads(json.dumps(served.session.predict(clip, "mix")))
    body = json.dumps({"values": found["values"]}).encode()
    status, headers, sound = ask(served, "POST", "/render?model=0", body)
    assert (status, headers["content-type"]) == (200, "audio/wav") and sound == served.session.render(found["values"])
    status, _, content = ask(served, "POST", "/hear?model=0", body)
    assert status == 200 and json.loads(content)["values"] == served.session.hear(found["values"])["values"]


def test_a_sound_is_refined_explained_and_cut(served, clip):
    assert len(json.loads(ask(served, "POST", "/explain", clip)[2])["bands"]) == len(served.session.model.spec.space)
    assert "refinement" in json.loads(ask(served, "POST", "/refine", clip)[2])
    assert len(json.loads(ask(served, "POST", "/segment?segment=fixed", clip)[2])["segments"]) == 1


@pytest.mark.parametrize(
    "headers",
    [
        {"Host": "evil.example"},
        {"Host": "127.0.0.1"},
        {"Host": "127.0.0.1:1"},
        {"Host": "127.0.0.1.evil.example:{port}"},
        {"Host": ""},
        {"Origin": "http://evil.example"},
        {"Origin": "null"},
        {"Origin": "http://127.0.0.1:1"},
        {"Origin": "https://127.0.0.1:{port}"},
        {"Sec_Fetch_Site": "cross-site"},
        {"Sec_Fetch_Site": "same-site"},
    ],
)
@pytest.mark.parametrize(("method", "path"), [("GET", "/"), ("GET", "/models"), ("POST", "/predict"), ("GET", "/none")])
def test_other_sites_are_refused(served, clip, headers, method, path):
    forged = {name: value.format(port=served.port) for name, value in headers.items()}
    reply = ask(served, method, path, clip, **forged)
    assert reply[0] == 403 and fault(reply).endswith(f"; open {served.url}")
    assert "access-control-allow-origin" not in reply[1]


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "LOCALHOST", "[::1]"])
def test_the_page_itself_is_answered(served, host):
    own = f"{host}:{served.port}"
    reply = ask(served, "GET", "/models", Host=own, Origin=f"http://{own.lower()}", Sec_Fetch_Site="same-origin")
    assert reply[0] == 200
    assert ask(served, "GET", "/", Host=own, Sec_Fetch_Site="none")[0] == 200


def test_an_answer_does_not_wait_for_an_acknowledgement():
    with listen(0) as listener:
        assert listener.proto == socket.IPPROTO_TCP  # asyncio sets TCP_NODELAY only on such sockets
        assert listener.getsockname()[0] == "127.0.0.1"


def test_two_hosts_are_none():
    assert foreign(Headers(raw=[(b"host", b"127.0.0.1:80"), (b"host", b"evil.example")]), 80)
    assert not foreign(Headers(raw=[(b"host", b"127.0.0.1:80")]), 80)


def test_one_byte_too_much_is_refused_and_the_most_is_read(served):
    for path in ("/predict", "/refine"):
        reply = ask(served, "POST", path, bytes(MOST_BYTES + 1))
        assert reply[0] == 413 and fault(reply) == "more than 5 MB; cut the sound"
        assert ask(served, "POST", path, bytes(MOST_BYTES))[0] == 422
    assert ask(served, "POST", "/segment", bytes(50_000_001))[0] == 413
    assert ask(served, "POST", "/render", bytes(100_001))[0] == 413


def test_too_much_without_a_stated_length_is_refused_while_it_is_received(served):
    connection = http.client.HTTPConnection("127.0.0.1", served.port, timeout=60)
    chunks = (bytes(1_000_000) for _ in range(6))
    connection.request("POST", "/predict", chunks, encode_chunked=True, headers={"Transfer-Encoding": "chunked"})
    assert connection.getresponse().status == 413
    connection.close()


def test_bad_files_are_one_sentence_each_and_the_server_stays(served, clip):
    bad = [b"", b"x", b"RIFF", b"not a sound" * 1000, bytes(10_000), b"<html></html>", b"\x89PNG" + bytes(100)]
    bad += [b"fLaC" + bytes(50), b"OggS" + bytes(50), b"ID3" + bytes(50), b"FORM" + bytes(60), b"MZ" + bytes(50)]
    bad += [*(clip[:at] for at in (4, 12, 20, 30, 40)), b"RIFF" + clip[8:], b"PK\x03\x04" + clip, clip[::-1]]
    assert len(bad) == 20
    for path in ("/predict", "/segment"):
        for content in bad:
            reply = ask(served, "POST", path, content)
            assert reply[0] == 422 and fault(reply).startswith("sound: "), (path, content[:20])
    assert ask(served, "POST", "/predict", clip)[0] == 200


@pytest.mark.parametrize(
    "path", ["/../server.py", "/page/app.js", "/%2e%2e/server.py", "//etc/passwd", "/app.js/..", "/index.html.bak"]
)
def test_no_other_file_is_served(served, path):
    assert ask(served, "GET", path)[0] == 404


@pytest.mark.parametrize("model", ["3", "-1", "best", "../../best.ckpt", "00", "", "0%00"])
def test_only_listed_checkpoints_are_asked(served, clip, model):
    reply = ask(served, "POST", f"/predict?model={model}", clip)
    assert reply[0] == 404 and fault(reply).startswith("model: ")


def test_a_checkpoint_that_failed_or_still_loads_says_so(served, clip):
    reply = ask(served, "POST", "/predict?model=1", clip)
    assert reply[0] == 409 and fault(reply) == "ckpt_path: not a checkpoint"
    reply = ask(served, "POST", "/predict?model=2", clip)
    assert reply[0] == 503 and fault(reply).startswith("the model is still loading")


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b"", "values: give "),
        (b"[" * 90_000, "values: give "),
        (b'{"values": {"note_velocity": true}}', "values: give "),
        (b'{"values": {"note_velocity": 1e999}}', "values: "),
        (b'{"values": {"note_velocity": NaN}}', "values: "),
        (b'{"values": {}}', "values: note_velocity is missing"),
        (b'{"values": {"note_velocity": 100, "log10_decay_time": 9}}', "values: log10_decay_time is 9.0; give "),
        (b'{"values": {"note_velocity": 100, "log10_decay_time": -0.5, "x": 1}}', "values: 'x' is no parameter"),
    ],
)
def test_values_that_cannot_be_rendered_are_one_sentence(served, body, words):
    for path in ("/render", "/hear"):
        reply = ask(served, "POST", path, body)
        assert reply[0] == 422 and fault(reply).startswith(words)


def test_other_options_and_methods_are_refused(served, clip):
    assert ask(served, "POST", "/predict?channel=all", clip)[0] == 422
    for given in ("often", "${oc.env:HOME}", "null"):  # a config would resolve the second
        assert fault(ask(served, "POST", f"/segment?segment={given}", clip)) == "segment: give onsets, fixed"
    assert ask(served, "GET", "/predict")[0] == 405
    assert ask(served, "POST", "/models")[0] == 405


def test_checkpoints_load_in_order_and_one_that_fails_stops_no_other(trained, tmp_path):
    damaged = tmp_path.parent / f"{tmp_path.name}.ckpt"
    damaged.write_bytes(b"no checkpoint")
    checkpoints = [Checkpoint("damaged", damaged), Checkpoint("good", trained.best)]
    load_in_thread(checkpoints, ())
    while checkpoints[1].session is None:
        assert not checkpoints[1].fault
        time.sleep(0.01)
    assert checkpoints[0].session is None and checkpoints[0].fault.startswith("ckpt_path: ")
