"""Files that are read with a file that is named."""

from __future__ import annotations

import os
import sqlite3
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
import rasterio
from given_inputs import SLIDE, layer
from rasterio.shutil import copy as copy_raster
from rasterio.transform import from_origin
from rasterio.vrt import WarpedVRT
from rasters import write_raster as write

from apsam.input_content import content_digest
from apsam.sidecar_files import image_checksum, sidecar_files
from apsam.vectors.formats import stamped


def write_raster(file: Path) -> Path:
    """A small raster."""
    return write(file, np.ones((3, 64, 64), np.uint8), transform=from_origin(0, 0, 1, 1))


def write_vrt(file: Path, *sources: Path | str) -> Path:
    """A virtual raster of one band of sources, those given as text relative to it."""
    bands = "".join(
        f'<SimpleSource><SourceFilename relativeToVRT="{int(isinstance(source, str))}">{source}</SourceFilename>'
        "<SourceBand>1</SourceBand></SimpleSource>"
        for source in sources
    )
    file.write_text(
        '<VRTDataset rasterXSize="64" rasterYSize="64"><SRS>EPSG:32648</SRS><GeoTransform>0,1,0,0,0,-1</GeoTransform>'
        f'<VRTRasterBand dataType="Byte" band="1">{bands}</VRTRasterBand></VRTDataset>'
    )
    return file


def names(path: Path) -> list[str]:
    return [file.name for file in sidecar_files(path)]


def test_the_files_of_a_virtual_raster_are_those_that_gdal_opens(tmp_path: Path) -> None:
    (tmp_path / "parts").mkdir()
    part, other = write_raster(tmp_path / "parts/a.tif"), write_raster(tmp_path / "b.tif")
    mosaic = write_vrt(tmp_path / "mosaic.vrt", "parts/a.tif", other, "not_there.tif", "/vsizip/x.zip/c.tif")
    with rasterio.open(mosaic) as raster:
        known = {file for file in map(Path, raster.files) if file.is_file()} - {mosaic}
    assert known == {part, other} == set(sidecar_files(mosaic))
    assert names(write_vrt(tmp_path / "outer.vrt", "mosaic.vrt")) == ["b.tif", "mosaic.vrt", "a.tif"]
    with rasterio.open(part) as raster, WarpedVRT(raster, crs="EPSG:4326") as warped:
        copy_raster(warped, tmp_path / "warped.vrt", driver="VRT")
    assert names(tmp_path / "warped.vrt") == ["a.tif"]
    (tmp_path / "broken.vrt").write_text("<VRTDataset>")
    assert names(tmp_path / "broken.vrt") == names(tmp_path / "none.vrt") == []


def test_the_pixels_of_a_described_image_count(tmp_path: Path) -> None:
    """As of Pléiades and SPOT (DIMAP): the file that is named has no pixels."""
    pixels = write_raster(tmp_path / "IMG_R1C1.TIF")
    image = tmp_path / "DIM_a.xml"
    image.write_text(
        '<Dimap_Document><Metadata_Id><METADATA_FORMAT version="1.1">DIMAP</METADATA_FORMAT></Metadata_Id>'
        "<Raster_Dimensions><NCOLS>64</NCOLS><NROWS>64</NROWS><NBANDS>3</NBANDS></Raster_Dimensions>"
        '<Data_Access><Data_File><DATA_FILE_PATH href="IMG_R1C1.TIF"/></Data_File></Data_Access></Dimap_Document>'
    )
    assert names(image) == ["IMG_R1C1.TIF"]
    before = content_digest(image), image_checksum(image)
    with rasterio.open(pixels, "r+") as raster:
        raster.write(np.full((3, 64, 64), 2, np.uint8))
    after = content_digest(image), image_checksum(image)
    assert before[0] != after[0] and before[1] != after[1]
    image.write_text("<a>no image</a>")
    assert names(image) == []


@pytest.mark.parametrize("relative", ['relativetovrt="1"', 'relativeToVRT="1"', 'RelativeToVRT="TRUE"'])
def test_names_in_a_virtual_layer_may_have_other_capitals(tmp_path: Path, relative: str) -> None:
    (tmp_path / "a.gpkg").touch()
    (tmp_path / "a.vrt").write_text(
        f'<OGRVRTDataSource><OGRVRTLayer name="a"><srcdatasource {relative}>a.gpkg</srcdatasource></OGRVRTLayer>'
        "</OGRVRTDataSource>"
    )
    assert names(tmp_path / "a.vrt") == ["a.gpkg"]


def test_the_log_of_a_linked_database_lies_next_to_the_real_file(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    layer(tmp_path / "real/a.gpkg", SLIDE)
    link = tmp_path / "a.gpkg"
    link.symlink_to("real/a.gpkg")
    before = stamped(link)
    with closing(sqlite3.connect(link)) as database:
        database.execute("pragma journal_mode=wal")
        database.execute("create table other (value)")
        database.commit()
        log = tmp_path / "real/a.gpkg-wal"
        assert log.stat().st_size and sidecar_files(link) == [log]
        os.utime(log, (0, 0))
        assert stamped(link)[1][-2:] == (0, log.stat().st_size) and stamped(link) != before


@pytest.mark.parametrize(
    ("name", "beside", "expected"),
    [
        ("grid.shp", ("grid.dbf", "grid.SHX", "grid.qix", "other.dbf"), ["grid.SHX", "grid.dbf"]),
        ("scene.tif", ("scene.tfw", "scene.tif.aux.xml", "scene.txt"), ["scene.tfw", "scene.tif.aux.xml"]),
        ("labels.csv", ("labels.dbf",), []),
    ],
)
def test_sidecars(tmp_path: Path, name: str, beside: tuple[str, ...], expected: list[str]) -> None:
    for file in (name, *beside):
        (tmp_path / file).write_text("")
    assert names(tmp_path / name) == expected


@pytest.mark.parametrize(
    ("name", "driver"),
    [("s.tif", "GTiff"), ("s.jpg", "JPEG"), ("s.png", "PNG"), ("s.dat", "ENVI"), ("s.bil", "EHdr"), ("s.img", "HFA")],
)
def test_all_sidecars_read_by_gdal_are_listed(tmp_path: Path, name: str, driver: str) -> None:
    raster = tmp_path / name
    write_raster(tmp_path / "made.tif")
    bands = [1] if driver == "EHdr" else [1, 2, 3]
    with rasterio.open(tmp_path / "made.tif") as made:
        values, place = made.read(bands), {"crs": made.crs, "transform": made.transform}
    with rasterio.open(
        raster, "w", driver=driver, count=len(bands), height=64, width=64, dtype="uint8", **place
    ) as out:
        out.write(values)
    if driver == "GTiff":
        write_raster(tmp_path / "s.tif.msk")
        with rasterio.Env(TIFF_USE_OVR=True), rasterio.open(raster, "r+") as out:
            out.build_overviews([2])
    else:
        (tmp_path / f"s.{name[2]}{name[-1]}w").write_text("1\n0\n0\n-1\n0\n0\n")
    with rasterio.open(raster) as out:
        read = {Path(file) for file in out.files} - {raster}
    assert read <= set(sidecar_files(raster)) and (read or driver == "HFA")


def test_write_ahead_log_of_qgis_counts(tmp_path: Path) -> None:
    for name in ("grid.gpkg", "grid.gpkg-wal", "grid.gpkg-shm", "grid.tfw"):
        (tmp_path / name).write_text("")
    assert names(tmp_path / "grid.gpkg") == ["grid.gpkg-wal"] == names(Path(f"{tmp_path}/grid.gpkg|layername=tiles"))


def test_a_geodatabase_is_all_its_files(tmp_path: Path) -> None:
    folder = tmp_path / "inventory.gdb"
    folder.mkdir()
    for name in ("a0001.gdbtable", "gdb", "x.sr.lock"):
        (folder / name).write_text("")
    assert names(folder) == ["a0001.gdbtable", "gdb"]
    before = image_checksum(folder)
    (folder / "a0001.gdbtable.aux.xml").write_text("statistics")
    assert image_checksum(folder) == before
    (folder / "gdb").write_text("changed")
    assert image_checksum(folder) != before


def test_sidecars_of_sources_and_archives_count_too(tmp_path: Path) -> None:
    source = write_raster(tmp_path / "a.tif")
    (tmp_path / "a.tif.aux.xml").write_text("<PAMDataset/>")
    (tmp_path / "b.zip").write_text("")
    mosaic = write_vrt(tmp_path / "m.vrt", source.name, "/vsizip/b.zip/inner/b.tif")
    assert names(mosaic) == ["a.tif", "a.tif.aux.xml", "b.zip"]


def test_images_of_a_folder(tmp_path: Path) -> None:
    for file in ("b.png", "a.TIF", "a.TIF.aux.xml", "a.TIF.msk", "c.aux.xml", "d.msk", "._b.png", "Thumbs.db"):
        (tmp_path / file).write_text("")
    (tmp_path / "folder.png").mkdir()
    assert names(tmp_path) == ["a.TIF", "a.TIF.aux.xml", "a.TIF.msk", "b.png"]


def test_the_files_of_a_satellite_image_are_those_that_gdal_opens(tmp_path: Path) -> None:
    write_raster(tmp_path / "IMG_R1C1.TIF")
    (tmp_path / "DIM.XML").write_text(
        '<Dimap_Document><Metadata_Identification><METADATA_FORMAT version="2.0">DIMAP</METADATA_FORMAT>'
        "</Metadata_Identification><Raster_Data><Data_Access><DATA_FILE_FORMAT>image/tiff</DATA_FILE_FORMAT><Data_Files>"
        '<Data_File tile_R="1" tile_C="1"><DATA_FILE_PATH href="IMG_R1C1.TIF"/></Data_File></Data_Files></Data_Access>'
        "<Raster_Dimensions><NROWS>64</NROWS><NCOLS>64</NCOLS><NBANDS>3</NBANDS></Raster_Dimensions></Raster_Data>"
        "</Dimap_Document>"
    )
    with rasterio.open(tmp_path / "DIM.XML") as raster:
        assert {Path(file).name for file in raster.files} == {"DIM.XML", *names(tmp_path / "DIM.XML")}
    before = image_checksum(tmp_path / "DIM.XML")
    with rasterio.open(tmp_path / "IMG_R1C1.TIF", "r+") as raster:
        raster.write(np.zeros((3, 64, 64), np.uint8))
    assert image_checksum(tmp_path / "DIM.XML") != before
    (tmp_path / "VOL.XML").write_text('<Dimap_Document><Component_PATH href="DIM.XML"/></Dimap_Document>')
    (tmp_path / "a.TIL").write_text('BEGIN_GROUP = TILE_1\n\tfilename = "IMG_R1C1.TIF";\nEND_GROUP = TILE_1\n')
    (tmp_path / "a.IMD").touch()
    assert names(tmp_path / "VOL.XML") == ["DIM.XML", "IMG_R1C1.TIF"]
    assert names(tmp_path / "a.TIL") == ["IMG_R1C1.TIF", "a.IMD"]


def test_the_parts_of_an_mrf(tmp_path: Path) -> None:
    copy_raster(write_raster(tmp_path / "a.tif"), tmp_path / "b.mrf", driver="MRF")
    assert {file.name for file in tmp_path.glob("b.*")} == {"b.mrf", *names(tmp_path / "b.mrf")}


def test_the_pixels_of_an_ers_header(tmp_path: Path) -> None:
    copy_raster(write_raster(tmp_path / "a.tif"), tmp_path / "b.ers", driver="ERS")
    assert "b" in names(tmp_path / "b.ers")
    (tmp_path / "broken.ers").write_text("no header")
    assert names(tmp_path / "broken.ers") == []
