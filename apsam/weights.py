"""Official weights by name: found in a cache folder, or downloaded into it.

A file in the cache is complete and correct, or absent: it is downloaded under a temporary name, checked by
SHA-256 and renamed. An interrupted download resumes where it stopped, in this process or in the next
one.
"""

from __future__ import annotations

import http.client
import logging
import os
import pickle
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from filelock import FileLock, Timeout
from tenacity import RetryCallState, Retrying, retry_if_exception_type, wait_exponential

from apsam.errors import ApsamError, InputError
from apsam.files import read_json, sha256_file, write_json
from apsam.progress import track

log = logging.getLogger(__name__)

BLOCK = 1 << 20
# Seconds without a byte after which a connection counts as broken.
SILENCE = 30
# Consecutive attempts without a byte before giving up.
PATIENCE = 5


@dataclass(frozen=True)
class Weights:
    """One published file of weights.

    Attributes:
        name: Name in the code.
        url: Download URL.
        size: Bytes.
        sha256: Hex digits. The publishers do not state it: this is the value that independent users report.
        setting: The key of the configuration for a local file instead.
    """

    name: str
    url: str
    size: int
    sha256: str
    setting: str

    @property
    def filename(self) -> str:
        """Name of the file, in the cache as on the server."""
        return self.url.rsplit("/", 1)[1]


_SAM = "https://dl.fbaipublicfiles.com/segment_anything/"
PUBLISHED = {
    weights.name: weights
    for weights in (
        Weights(
            "sam_vit_b",
            _SAM + "sam_vit_b_01ec64.pth",
            375042383,
            "ec2df62732614e57411cdcf32a23ffdf28910380d03139ee0f4fcbe91eb8c912",
            "sam.checkpoint",
        ),
        Weights(
            "sam_vit_l",
            _SAM + "sam_vit_l_0b3195.pth",
            1249524607,
            "3adcc4315b642a4d2101128f611684e8734c41232a17c648ed1693702a49a622",
            "sam.checkpoint",
        ),
        Weights(
            "sam_vit_h",
            _SAM + "sam_vit_h_4b8939.pth",
            2564550879,
            "a7bf3b02f3ebf1267aba913ff637d9a2d5c33d3173bb679e46d9f338c26f262e",
            "sam.checkpoint",
        ),
        # MobileSAM's repository, at a commit that others cite together with this hash.
        Weights(
            "sam_mobile",
            "https://raw.githubusercontent.com/ChaoningZhang/MobileSAM/"
            "f706ad9c4eb7f219c00d9050e46328518ffb65d2/weights/mobile_sam.pt",
            40728226,
            "6dbb90523a35330fedd7f1d3dfc66f995213d81b29a5ca8108dbcdd4e37d6c2f",
            "sam.checkpoint",
        ),
        # ImageNet weights V1 of torchvision, available when the paper was written.
        Weights(
            "resnet50_imagenet",
            "https://download.pytorch.org/models/resnet50-0676ba61.pth",
            102530333,
            "0676ba61b6795bbe1773cffd859882e5e297624d384b6993f7c9e683e722fb8a",
            "localizer.weights",
        ),
    )
}


def why_unreadable(error: Exception) -> str:
    """Return one line on why a weights file cannot be loaded; torch's own message suggests executing its content."""
    if isinstance(error, pickle.UnpicklingError):
        return "it is cut short, or contains objects other than tensors, which are not loaded"
    return str(error).partition("\n")[0] or type(error).__name__


def cache_folder() -> Path:
    """`$APSAM_CACHE`, else `$XDG_CACHE_HOME/apsam`, else `~/.cache/apsam`."""
    if os.environ.get("APSAM_CACHE"):
        return Path(os.environ["APSAM_CACHE"]).expanduser()
    if os.environ.get("XDG_CACHE_HOME"):
        return Path(os.environ["XDG_CACHE_HOME"]).expanduser() / "apsam"
    try:
        return Path.home() / ".cache" / "apsam"
    except RuntimeError as error:
        raise ApsamError("there is no home folder to keep weights in; point APSAM_CACHE at a folder") from error


def offline() -> bool:
    """Whether `APSAM_OFFLINE` or `HF_HUB_OFFLINE` forbids the network."""
    return any(
        os.environ.get(name, "").strip().lower() in ("1", "true", "yes", "on")
        for name in ("APSAM_OFFLINE", "HF_HUB_OFFLINE")
    )


def is_cached(name: str) -> bool:
    """Whether the cache has the published weights of this name, by their size; nothing is read or downloaded."""
    path = cache_folder() / PUBLISHED[name].filename
    return path.is_file() and path.stat().st_size == PUBLISHED[name].size


def fetch(name: str) -> Path:
    """Return the file of published weights by name; download it if it is not in the cache.

    Raises:
        ApsamError: There is no network, or it is forbidden; the message names the URL and the path of the file.
        InputError: The file in the cache, or the downloaded one, is another file.
    """
    return fetch_weights(PUBLISHED[name])


def fetch_weights(weights: Weights, pause: Callable[[float], None] = time.sleep) -> Path:
    """Like `fetch`, for a file described by the caller. `pause` waits the given seconds between two attempts."""
    path = cache_folder() / weights.filename
    if _is_verified(weights, path):
        return path
    if offline() and not path.exists():
        raise _absent(weights, path, "the network is switched off by APSAM_OFFLINE or HF_HUB_OFFLINE")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        # If two jobs of a cluster start at once, the second waits, then finds the file.
        with FileLock(path.with_name(f".{path.name}.lock"), timeout=6 * 3600):
            if not path.exists():
                _Download(weights, path, pause).run()
            if not _is_verified(weights, path):
                _verify(weights, path)
    except Timeout as error:
        raise ApsamError(
            f"{error.lock_file}: held by another process for 6 hours; remove it if there is none"
        ) from error
    except OSError as error:
        raise ApsamError(f"{path}: cannot be written ({error}); point APSAM_CACHE at a folder with room") from error
    return path


def _record_path(path: Path) -> Path:
    return path.with_name(f".{path.name}.verified.json")


def _record(weights: Weights, path: Path) -> dict[str, object]:
    status = path.stat()
    return {"sha256": weights.sha256, "size": status.st_size, "modified_ns": status.st_mtime_ns}


def _is_verified(weights: Weights, path: Path) -> bool:
    """Whether the file was hashed before and not changed since; hashing gigabytes takes seconds."""
    try:
        return bool(read_json(_record_path(path)) == _record(weights, path))
    except (InputError, OSError):
        return False


def _verify(weights: Weights, path: Path) -> None:
    found = sha256_file(path)
    if found != weights.sha256:
        raise InputError(
            f"{path}: not the published {weights.name} (SHA-256 {found[:16]}..., {path.stat().st_size} bytes,"
            f" not {weights.sha256[:16]}..., {weights.size} bytes); remove it, or name it by "
            f"{weights.setting} to use it anyway"
        )
    write_json(_record_path(path), _record(weights, path))


def _absent(weights: Weights, path: Path, reason: str) -> ApsamError:
    return ApsamError(
        f"weights '{weights.name}' are not on this machine and cannot be downloaded: {reason}. "
        "On a machine with network get\n"
        f"  {weights.url}\n  {weights.size} bytes ({weights.size / 1e6:.0f} MB), SHA-256 {weights.sha256}\n"
        f"and put it at\n  {path}\n"
        f"(APSAM_CACHE changes the folder), or name its place by {weights.setting}"
    )


class _Broken(Exception):
    """The connection failed or broke off; another attempt may succeed."""


class _Download:
    """A download in progress: `.<name>.part` grows with every attempt until it has the published size."""

    def __init__(self, weights: Weights, path: Path, pause: Callable[[float], None]) -> None:
        self.weights = weights
        self.path = path
        self.part = path.with_name(f".{path.name}.part")
        self.pause = pause
        self.fruitless = 0
        self.furthest = self._have()

    def run(self) -> None:
        """Download, check, rename."""
        log.info("downloading %s (%.0f MB) to %s", self.weights.url, self.weights.size / 1e6, self.path)
        attempts = Retrying(
            retry=retry_if_exception_type(_Broken),
            stop=self._hopeless,
            wait=wait_exponential(multiplier=1, max=60),
            sleep=self.pause,
            before_sleep=lambda state: log.warning(
                "%s; resuming at byte %d", state.outcome and state.outcome.exception(), self._have()
            ),
            reraise=True,
        )
        try:
            attempts(self._attempt)
        except _Broken as error:
            raise _absent(self.weights, self.path, str(error)) from error
        found = sha256_file(self.part)
        if found != self.weights.sha256:
            self.part.unlink()
            raise InputError(
                f"{self.weights.url}: the server sent another file (SHA-256 {found}, expected "
                f"{self.weights.sha256}), it was removed; a proxy or a login page may answer in its place. "
                f"Try again, or get the file by other means and put it at {self.path}"
            )
        os.replace(self.part, self.path)

    def _have(self) -> int:
        return self.part.stat().st_size if self.part.exists() else 0

    def _hopeless(self, _: RetryCallState) -> bool:
        return self.fruitless >= PATIENCE

    def _attempt(self) -> None:
        """Request the missing bytes and append them; raise `_Broken` if the connection ends before."""
        before = self._have()
        if before > self.weights.size:
            self.part.unlink()
            before = 0
        if before == self.weights.size:
            return
        headers = {"User-Agent": "apsam", "Accept-Encoding": "identity"}
        if before:
            headers["Range"] = f"bytes={before}-"
        try:
            request = urllib.request.Request(self.weights.url, headers=headers)
            with urllib.request.urlopen(request, timeout=SILENCE) as response:
                self._append(response, before)
        except urllib.error.HTTPError as error:
            if error.code == 416:  # the part is not the beginning of the server's file
                self.part.unlink(missing_ok=True)
            elif error.code < 500 and error.code not in (408, 429):
                raise _absent(
                    self.weights, self.path, f"{self.weights.url} answers {error.code} {error.reason}"
                ) from error
            self._failed(f"{self.weights.url} answers {error.code} {error.reason}", error)
        except (urllib.error.URLError, ConnectionError, TimeoutError, http.client.HTTPException) as error:
            self._failed(f"{self.weights.url}: {error or type(error).__name__}", error)
        if self._have() < self.weights.size:
            self._failed(f"{self.weights.url}: the connection ended early", None)

    def _failed(self, reason: str, cause: Exception | None) -> None:
        have = self._have()
        self.fruitless = 0 if have > self.furthest else self.fruitless + 1
        self.furthest = max(self.furthest, have)
        raise _Broken(reason) from cause

    def _append(self, response: http.client.HTTPResponse, before: int) -> None:
        # A server may ignore the range and send the whole file: then the download starts over. Its Content-Length is
        # not used: the file is complete when it has the published size.
        goes_on = before > 0 and response.status == 206
        start = before if goes_on else 0
        if goes_on and not response.headers.get("Content-Range", "").startswith(f"bytes {before}-"):
            raise http.client.HTTPException(
                f"asked for bytes from {before}, got {response.headers.get('Content-Range')}"
            )
        missing = self.weights.size - start
        with open(self.part, "ab" if goes_on else "wb") as file:
            blocks = track(_blocks(response, missing), f"{self.weights.filename}, MB", -(-missing // BLOCK))
            for block in blocks:
                file.write(block)


def _blocks(response: http.client.HTTPResponse, missing: int) -> Iterator[bytes]:
    """Yield received bytes, at most one more than missing: enough to detect a file that is too long."""
    missing += 1
    while missing > 0:
        try:
            block = response.read(min(BLOCK, missing))
        except OSError as error:  # also errors of TLS; handled separately from a full disk
            raise ConnectionError(str(error)) from error
        if not block:
            return
        missing -= len(block)
        yield block
