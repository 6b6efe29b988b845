# What people take away from a map: polygons with prompts and tiles, styles, a QGIS project, a STAC item. Of the run's own
# maps only: variants are measured, not handed on.
rule products:
    input:
        probability="<results>/maps/{source}/{scene}_probability.tif",
        mask="<results>/maps/{source}/{scene}_mask.tif",
        image=lambda wildcards: run.image(wildcards.scene),
        tiles="<results>/tiles/{scene}.zarr.zip",
        prompts="<results>/prompts/{scene}.json",
        masks="<results>/masks/apsam/{scene}.zarr.zip",
        dem=run.dem(),
    output:
        geopackage=report(
            "<results>/maps/{source}/{scene}.gpkg",
            caption="captions/products.rst",
            category="Maps",
            labels={"scene": "{scene}", "trained on masks of": "{source}"},
        ),
        project="<results>/maps/{source}/{scene}.qgs",
        item="<results>/maps/{source}/{scene}.stac.json",
        styles=[
            "<results>/maps/{source}/{scene}_probability.qml",
            "<results>/maps/{source}/{scene}_mask.qml",
        ],
    log:
        "<logs>/products/{source}_{scene}.log",
    benchmark:
        "<benchmarks>/products/{source}_{scene}.tsv"
    wildcard_constraints:
        source="apsam|cam",
    conda:
        ENVIRONMENT
    threads: 1
    resources:
        mem_mb=more(4000),
        runtime=more(60),
    params:
        settings=run.product_settings(),
        date=lambda wildcards: run.date_argument(wildcards.scene),
        code=command_hash("products"),
    message:
        "Make polygons and a QGIS project of {wildcards.scene}, {wildcards.source} masks"
    shell:
        "python scripts/products.py --name {wildcards.scene} --image {input.image:q}"
        " --probability {input.probability} --mask {input.mask} --tiles {input.tiles} --prompts {input.prompts}"
        " --masks {input.masks} --settings {params.settings:q} {params.date}"
        " --geopackage {output.geopackage} > {log} 2>&1"
