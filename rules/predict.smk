rule predict:
    input:
        image=lambda wildcards: run.image(wildcards.scene),
        tiles="<results>/tiles/{scene}.zarr.zip",
        weights="<results>/resunet/{source}/weights.safetensors",
    output:
        probability="<results>/maps/{source}/{scene}_probability.tif",
        mask="<results>/maps/{source}/{scene}_mask.tif",
        polygons="<results>/maps/{source}/{scene}.gpkg",
    log:
        "<logs>/predict/{source}_{scene}.log",
    benchmark:
        "<benchmarks>/predict/{source}_{scene}.tsv"
    conda:
        ENVIRONMENT
    threads: 1
    resources:
        mem_mb=4000,
        runtime=120,
        gpu=1,
    params:
        settings=run.settings("maps"),
        tiles=run.settings("tiles"),
        code=command_hash("predict"),
        device=DEVICE,
    message:
        "Map {wildcards.scene} with the ResUNet of the {wildcards.source} masks"
    shell:
        "python scripts/predict.py --image {input.image:q} --weights {input.weights} > {log} 2>&1"


use rule predict as predict_tiles with:
    output:
        masks="<results>/maps/{source}/{scene}.zip",
