# Held-out scenes are mapped: `predict` a raster, `predict_tiles` a folder of ready-made tiles.
rule predict:
    input:
        image=lambda wildcards: run.image(wildcards.scene, wildcards.variant),
        weights=at("resunet/{source}/weights.safetensors"),
    output:
        probability="<results>/{variant}maps/{source}/{scene}_probability.tif",
        mask="<results>/{variant}maps/{source}/{scene}_mask.tif",
        polygons="<results>/{variant}maps/{source}/{scene}.gpkg",
    log:
        "<logs>/{variant}predict/{source}_{scene}.log",
    benchmark:
        "<benchmarks>/{variant}predict/{source}_{scene}.tsv"
    conda:
        ENVIRONMENT
    threads: 1
    resources:
        mem_mb=4000,
        runtime=120,
        gpu=1,
    params:
        settings=settings("maps"),
        tiles=settings("tiles"),
        code=command_hash("predict", "predict_scene"),
        device=DEVICE,
    message:
        "Map {wildcards.scene} with the ResUNet of the {wildcards.source} masks"
    shell:
        "python scripts/predict.py predict-scene --name {wildcards.scene} --image {input.image:q}"
        " --weights {input.weights} --settings {params.settings:q} --tile-settings {params.tiles:q}"
        " --device {params.device} --threads {threads} --probability {output.probability}"
        " --mask {output.mask} --polygons {output.polygons} > {log} 2>&1"


rule predict_tiles:
    input:
        weights=at("resunet/{source}/weights.safetensors"),
    output:
        masks="<results>/{variant}maps/{source}/{scene}.zip",
    log:
        "<logs>/{variant}predict/{source}_{scene}.log",
    benchmark:
        "<benchmarks>/{variant}predict/{source}_{scene}.tsv"
    conda:
        ENVIRONMENT
    threads: 1
    resources:
        mem_mb=4000,
        runtime=120,
        gpu=1,
    params:
        folder=lambda wildcards: run.image(wildcards.scene),
        listing=lambda wildcards: run.listing(wildcards.scene),
        settings=settings("maps"),
        tiles=settings("tiles"),
        code=command_hash("predict", "predict_tiles"),
        device=DEVICE,
    message:
        "Map the tiles of {wildcards.scene} with the ResUNet of the {wildcards.source} masks"
    shell:
        "python scripts/predict.py predict-tiles --folder {params.folder:q} --weights {input.weights}"
        " --settings {params.settings:q} --tile-settings {params.tiles:q}"
        " --device {params.device} --threads {threads} --masks {output.masks} > {log} 2>&1"
