import hashlib
import http.server
import io
import re
import threading
from dataclasses import replace

import pytest
import torch

from apsam import weights
from apsam.backbones.build import build_backbone
from apsam.errors import ApsamError, InputError
from apsam.weights import PUBLISHED, Weights, cache_folder, fetch, fetch_weights

import timm  # isort: skip  (after the package's guard for torchvision)

CONTENT = bytes(range(256)) * 20_000  # 5 MB: several blocks
BREAK = 2_500_000


class Server(http.server.ThreadingHTTPServer):
    """Sends `CONTENT`, with the faults asked for; remembers the ranges it was asked for."""

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.content = CONTENT
        self.breaks = 0  # answers that end after BREAK bytes
        self.ranges = True
        self.lie = 1.0  # factor on Content-Length
        self.status = None
        self.shift = 0  # added to the start of ranges
        self.asked = []

    def handle_error(self, *_):
        """A client that has enough hangs up: no news."""


class Handler(http.server.BaseHTTPRequestHandler):
    def log_message(self, *_):
        pass

    def do_GET(self):
        server = self.server
        asked = self.headers.get("Range")
        server.asked.append(asked)
        if server.status:
            self.send_error(server.status)
            return
        start = 0
        if asked and server.ranges:
            start = int(re.fullmatch(r"bytes=(\d+)-", asked).group(1)) + server.shift
            if start >= len(server.content):
                self.send_error(416)
                return
        body = server.content[start:]
        self.send_response(206 if start else 200)
        self.send_header("Content-Length", str(max(1, int(len(body) * server.lie))))
        if start:
            self.send_header("Content-Range", f"bytes {start}-{len(server.content) - 1}/{len(server.content)}")
        self.end_headers()
        if server.breaks:
            server.breaks -= 1
            body = body[:BREAK]
        self.wfile.write(body)


@pytest.fixture
def server():
    with Server() as running:
        thread = threading.Thread(target=running.serve_forever, args=(0.01,), daemon=True)
        thread.start()
        yield running
        running.shutdown()


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("APSAM_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("APSAM_OFFLINE", raising=False)
    monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    return tmp_path / "cache"


def published(server, content=CONTENT):
    url = f"http://127.0.0.1:{server.server_port}/some/sam.pth"
    return Weights("sam_test", url, len(content), hashlib.sha256(content).hexdigest(), "sam.checkpoint")


def get(file):
    waits = []
    path = fetch_weights(file, pause=waits.append)
    return path, waits


def leftovers(cache):
    return sorted(path.name for path in cache.iterdir() if path.suffix == ".part")


def test_downloaded_once(server, cache):
    path, waits = get(published(server))
    assert path == cache / "sam.pth" and path.read_bytes() == CONTENT
    assert get(published(server))[0] == path
    assert server.asked == [None] and not waits and not leftovers(cache)


def test_interrupted_download_resumes(server):
    server.breaks = 1
    path, waits = get(published(server))
    assert path.read_bytes() == CONTENT
    assert server.asked == [None, f"bytes={BREAK}-"] and len(waits) == 1


def test_download_resumes_in_the_next_process(server, cache):
    cache.mkdir()
    (cache / ".sam.pth.part").write_bytes(CONTENT[:1_000_000])
    assert get(published(server))[0].read_bytes() == CONTENT
    assert server.asked == ["bytes=1000000-"]


def test_a_server_without_ranges(server):
    server.breaks, server.ranges = 1, False
    assert get(published(server))[0].read_bytes() == CONTENT
    assert len(server.asked) == 2


def test_a_server_that_sends_another_range(server, cache):
    cache.mkdir()
    (cache / ".sam.pth.part").write_bytes(CONTENT[:1_000_000])
    server.shift = 5
    with pytest.raises(ApsamError, match="asked for bytes from 1000000"):
        get(published(server))
    assert not (cache / "sam.pth").exists()


@pytest.mark.parametrize("lie", [0.5, 2.0])
def test_server_with_a_wrong_content_length(server, lie):
    server.lie = lie
    assert get(published(server))[0].read_bytes() == CONTENT


def test_repeatedly_interrupted_download_completes(server):
    server.breaks = 100
    assert get(published(server))[0].read_bytes() == CONTENT


def test_download_without_progress_fails(server, cache):
    server.breaks, server.ranges = 100, False
    with pytest.raises(ApsamError, match="the connection ended early"):
        get(published(server))
    assert len(server.asked) == weights.PATIENCE + 1
    assert leftovers(cache), "what came is kept for the next time"


@pytest.mark.parametrize("content", [CONTENT[::-1], CONTENT + b"more"], ids=["other", "longer"])
def test_a_wrong_file_is_refused_and_removed(server, cache, content):
    server.content = content
    with pytest.raises(InputError, match="the server sent another file"):
        get(published(server))
    assert not (cache / "sam.pth").exists() and not leftovers(cache)
    server.content = CONTENT
    assert get(published(server))[0].read_bytes() == CONTENT


def test_a_file_that_is_too_short_ends(server, cache):
    server.content = b"<html>please log in</html>"
    with pytest.raises(ApsamError):
        get(published(server))
    assert not (cache / "sam.pth").exists()


def test_missing_file_is_not_requested_again(server):
    server.status = 404
    with pytest.raises(ApsamError, match="answers 404"):
        get(published(server))
    assert len(server.asked) == 1


def test_busy_server_is_retried(server):
    server.status = 503

    def pause(_):
        server.status = None

    assert fetch_weights(published(server), pause).read_bytes() == CONTENT


def test_without_network_error_names_url_and_path(cache):
    file = Weights("sam_test", "http://127.0.0.1:9/sam.pth", 123_456_789, "ab" * 32, "sam.checkpoint")
    with pytest.raises(ApsamError) as caught:
        get(file)
    for needed in (
        file.url,
        "123456789",
        "123 MB",
        file.sha256,
        str(cache / "sam.pth"),
        "APSAM_CACHE",
        "sam.checkpoint",
    ):
        assert needed in str(caught.value)


@pytest.mark.parametrize("name", ["APSAM_OFFLINE", "HF_HUB_OFFLINE"])
def test_offline_makes_no_request(server, cache, monkeypatch, name):
    monkeypatch.setenv(name, "1")
    with pytest.raises(ApsamError, match="switched off"):
        get(published(server))
    assert not server.asked
    cache.mkdir()
    (cache / "sam.pth").write_bytes(CONTENT)
    assert get(published(server))[0].read_bytes() == CONTENT


def test_a_file_put_there_by_hand_is_checked(server, cache):
    cache.mkdir()
    (cache / "sam.pth").write_bytes(CONTENT[:-1])
    with pytest.raises(InputError, match="not the published sam_test"):
        get(published(server))
    (cache / "sam.pth").write_bytes(CONTENT)
    get(published(server))
    assert not server.asked


def test_a_checked_file_is_not_hashed_again_unless_it_changed(server, cache, monkeypatch):
    path, _ = get(published(server))
    hashed = []
    monkeypatch.setattr(weights, "sha256_file", lambda file: hashed.append(file) or published(server).sha256)
    get(published(server))
    assert not hashed
    path.write_bytes(CONTENT[:-1])
    get(published(server))
    assert hashed == [path]


def test_two_at_once_download_once(server):
    found = []
    threads = [threading.Thread(target=lambda: found.append(get(published(server))[0])) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 4 and server.asked == [None]


def test_a_folder_that_cannot_be_written(server, tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("APSAM_CACHE", str(tmp_path / "file" / "below"))
    with pytest.raises(ApsamError, match="point APSAM_CACHE at"):
        get(published(server))


def test_cache_folder(monkeypatch, tmp_path):
    assert cache_folder() == tmp_path / "cache"
    monkeypatch.delenv("APSAM_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert cache_folder() == tmp_path / "xdg" / "apsam"
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    assert cache_folder() == tmp_path / "home" / ".cache" / "apsam"


def test_resnet50_takes_its_imagenet_weights_by_name(server, cache, monkeypatch):
    torch.manual_seed(0)
    state = timm.create_model("resnet50").state_dict()
    stored = io.BytesIO()
    torch.save(state, stored)
    server.content = stored.getvalue()
    file = replace(published(server, server.content), name="resnet50_imagenet", setting="localizer.weights")
    monkeypatch.setitem(PUBLISHED, "resnet50_imagenet", file)
    backbone = build_backbone("resnet50", "imagenet")
    assert torch.equal(backbone.network.layer4[2].conv3.weight, state["layer4.2.conv3.weight"])
    monkeypatch.setenv("APSAM_OFFLINE", "1")
    build_backbone("resnet50", "imagenet")
    assert server.asked == [None], "the second time they come from the cache"
    (cache / file.filename).unlink()
    with pytest.raises(ApsamError, match="(?s)switched off.*sam.pth.*or name its place by localizer.weights"):
        build_backbone("resnet50", "imagenet")


def test_the_table(monkeypatch):
    """torchvision's names carry the first digits of the SHA-256."""
    assert set(PUBLISHED) == {"sam_vit_b", "sam_vit_l", "sam_vit_h", "sam_mobile", "resnet50_imagenet"}
    for name, file in PUBLISHED.items():
        assert file.name == name and re.fullmatch("[0-9a-f]{64}", file.sha256) and file.url.startswith("https://")
    resnet = PUBLISHED["resnet50_imagenet"]
    assert resnet.sha256.startswith(re.search(r"-([0-9a-f]+)\.pth", resnet.filename).group(1))
    monkeypatch.setenv("APSAM_OFFLINE", "1")
    with pytest.raises(ApsamError, match="sam_vit_h_4b8939.pth"):
        fetch("sam_vit_h")
