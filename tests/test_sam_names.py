"""Names of SAMs, with the path and the identity of their weights; without torch."""

import subprocess
import sys
from pathlib import Path

import pytest
from pydantic import ValidationError

from apsam import doctor
from apsam.errors import ApsamError, ConfigError, InputError
from apsam.sam import weights_files
from apsam.sam.names import KNOWN, KnownSam, is_hub_sam, repository_of
from apsam.sam.settings import SamSettings
from apsam.sam.weights_files import PACKAGED, hub_files, licence_of, weights_identity, weights_present
from apsam.weights import PUBLISHED, Weights


@pytest.fixture
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("APSAM_CACHE", str(tmp_path))
    monkeypatch.setattr(weights_files, "_in_hub_cache", lambda _: None)  # that of whoever runs the tests
    return tmp_path


def make_folder(folder: Path, readme: str = "") -> Path:
    folder.mkdir(parents=True)
    for name in ("config.json", "preprocessor_config.json", "model.safetensors"):
        (folder / name).write_text("{}")
    if readme:
        (folder / "README.md").write_text(readme)
    return folder


def test_every_name_is_one_kind():
    assert {name for name in KNOWN if not is_hub_sam(name)} == {"light", "vit_b", "vit_l", "vit_h", "mobile"}
    assert repository_of("sam2.1_large") == "facebook/sam2.1-hiera-large"
    assert repository_of("someone/else-1.2") == "someone/else-1.2"
    assert repository_of("./someone/else") is None and is_hub_sam("./someone/else") and is_hub_sam("~/sams/mine")


@pytest.mark.parametrize("name", ["vit_g", "", "sam2", "a/b/c", "org/", "/".join(["a b", "c"]), "https://x/y"])
def test_invalid_sam_names(name):
    with pytest.raises(ValidationError, match="unknown SAM"):
        SamSettings(name=name)


def test_existing_folder_has_priority_over_the_hub(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert repository_of("sams/mine") == "sams/mine"
    make_folder(tmp_path / "sams" / "mine")
    assert repository_of("sams/mine") is None
    assert weights_identity(SamSettings(name="sams/mine"))[0][0] == Path("sams/mine/config.json")


def test_identity_of_what_is_not_of_the_hub(cache):
    assert weights_identity(SamSettings()) == ([PACKAGED], "light") and PACKAGED.is_file()
    own = SamSettings(name="vit_b", checkpoint="mine.pth")
    assert weights_identity(own) == ([Path("mine.pth")], "vit_b")
    files, text = weights_identity(SamSettings(name="vit_b"))
    assert files == [] and text == f"vit_b:{PUBLISHED['sam_vit_b'].sha256}"
    assert (
        weights_present(SamSettings()) and not weights_present(own) and not weights_present(SamSettings(name="vit_b"))
    )


def test_a_sam_added_as_documented(cache, monkeypatch):
    """Of another library: a short name without a repository. Its weights are a checkpoint, or published ones."""
    monkeypatch.setitem(KNOWN, "other", KnownSam("other", "MIT"))
    assert weights_identity(SamSettings(name="other", checkpoint="other.pth")) == ([Path("other.pth")], "other")
    settings = SamSettings(name="other")
    with pytest.raises(ConfigError, match="'other' has no published weights; set sam.checkpoint"):
        weights_identity(settings)
    assert not weights_present(settings) and licence_of("other") == "MIT"

    weights = Weights("sam_other", "https://example.org/other.pth", 3, "0" * 64, "sam.checkpoint")
    monkeypatch.setitem(PUBLISHED, "sam_other", weights)
    assert weights_identity(settings) == ([], f"other:{'0' * 64}") and not weights_present(settings)
    (cache / "other.pth").write_bytes(b"abc")
    assert weights_present(settings)


def test_identity_of_a_sam_of_the_hub(cache):
    settings = SamSettings(name="sam2.1_tiny")
    assert not weights_present(settings)
    with pytest.raises(ApsamError, match="hf download facebook/sam2.1-hiera-tiny"):
        weights_identity(settings)
    folder = make_folder(cache / "hub" / "facebook" / "sam2.1-hiera-tiny")
    files, text = weights_identity(settings)
    assert [file.name for file in files] == ["config.json", "preprocessor_config.json", "model.safetensors"]
    assert text == "facebook/sam2.1-hiera-tiny" and weights_present(settings)
    # Where files lie is not what they are.
    assert weights_identity(SamSettings(name="sam2.1_tiny", checkpoint=folder))[1] == text
    (folder / "model.safetensors").unlink()
    with pytest.raises(InputError, match="no model.safetensors"):
        weights_identity(settings)


def test_weights_in_several_files(tmp_path):
    folder = make_folder(tmp_path / "sam")
    (folder / "model.safetensors").unlink()
    index = folder / "model.safetensors.index.json"
    index.write_text(
        '{"weight_map": {"a": "model-1.safetensors", "b": "model-2.safetensors", "c": "model-1.safetensors"}}'
    )
    (folder / "model-1.safetensors").touch()
    with pytest.raises(InputError, match="model-2.safetensors is missing .1 of 2 files"):
        hub_files(folder)
    (folder / "model-2.safetensors").touch()
    assert [file.name for file in hub_files(folder)][2:] == [index.name, "model-1.safetensors", "model-2.safetensors"]
    index.write_text("[]")
    with pytest.raises(InputError, match="not an index of weights"):
        hub_files(folder)


def test_the_licence_of_a_checkpoint(cache):
    assert licence_of("vit_h") == "Apache-2.0" and licence_of("sam3") == "SAM License (Meta)"
    assert licence_of("someone/mine") == "not stated here, see https://huggingface.co/someone/mine"
    make_folder(cache / "hub" / "someone" / "mine", "---\nlicense: cc-by-nc-4.0\ntags: [sam2]\n---\n# Mine\n")
    assert licence_of("someone/mine") == "cc-by-nc-4.0"
    other = make_folder(cache / "hub" / "someone" / "other", "---\nlicense: other\nlicense_name: mine\n---\n")
    assert licence_of("someone/other") == "mine"
    # A fine-tune in the place of a known one is not the known one.
    assert licence_of("sam2.1_tiny", other) == "mine"
    (other / "README.md").write_text("no header\n---\nlicense: mit\n---\n")
    assert licence_of("someone/other") == "not stated here, see https://huggingface.co/someone/other"


def test_doctor_names_the_licence_of_every_checkpoint(cache):
    make_folder(cache / "hub" / "someone" / "mine", "---\nlicense: cc-by-nc-4.0\n---\n")
    make_folder(cache / "hub" / "facebook" / "sam3")
    hub = doctor._hub_sams()
    assert "sam3 (licence SAM License (Meta))" in hub.detail and "someone/mine (licence cc-by-nc-4.0)" in hub.detail
    assert "sam2.1_large (licence Apache-2.0): hf download facebook/sam2.1-hiera-large" in hub.remedy
    assert "sam3" not in hub.remedy
    assert "sam_vit_h (2565 MB, licence Apache-2.0)" in doctor._official_weights().remedy
    assert "licence Apache-2.0" in doctor._light_sam().detail


def test_cache_of_the_hub_is_searched(cache, tmp_path, monkeypatch):
    hub = pytest.importorskip("huggingface_hub")
    monkeypatch.undo()
    monkeypatch.setenv("APSAM_CACHE", str(tmp_path / "none"))
    monkeypatch.setattr(hub.constants, "HF_HUB_CACHE", str(tmp_path / "hf"))
    repository = tmp_path / "hf" / "models--someone--mine"
    folder = make_folder(repository / "snapshots" / ("a" * 40))
    (repository / "refs").mkdir()
    (repository / "refs" / "main").write_text("a" * 40)
    assert weights_files.hub_folder("someone/mine") == folder


def test_names_and_identities_need_no_torch():
    code = "import sys; from apsam.sam.weights_files import *; weights_identity(SamSettings()); "
    subprocess.run([sys.executable, "-c", code + "sys.exit('torch' in sys.modules)"], check=True)
