# Held-out scenes are mapped: `predict` a raster, `predict_tiles` a folder of ready-made tiles. A large raster is predicted
# in bands of rows, jobs of their own, with what reaches into a band from above it, so that the map is the same.
ruleorder: predict_join > predict


rule predict:
    input:
        image=lambda wildcards: run.image(wildcards.scene, wildcards.variant),
        weights=at("resunet/{source}/weights.safetensors"),
    output:
        probability="<results>/{variant}maps/{source}/{scene}_probability.tif",
        mask="<results>/{variant}maps/{source}/{scene}_mask.tif",
    log:
        "<logs>/{variant}predict/{source}_{scene}.log",
    benchmark:
        "<benchmarks>/{variant}predict/{source}_{scene}.tsv"
    conda:
        ENVIRONMENT
    threads: 1
    resources:
        mem_mb=more(4000),
        runtime=more(120),
        gpu=1,
    params:
        listing=lambda wildcards: run.image_listing(wildcards.scene),
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
        " --mask {output.mask} > {log} 2>&1"


rule predict_block:
    input:
        image=lambda wildcards: run.image(wildcards.scene, wildcards.variant),
        weights=at("resunet/{source}/weights.safetensors"),
    output:
        band=temp("<results>/{variant}maps/{source}/bands/{scene}.b{number}.tif"),
    log:
        "<logs>/{variant}predict/{source}_{scene}.b{number}.log",
    benchmark:
        "<benchmarks>/{variant}predict/{source}_{scene}.b{number}.tsv"
    wildcard_constraints:
        scene=IN_BANDS,
        number="[0-9]+",
    conda:
        ENVIRONMENT
    threads: 1
    resources:
        mem_mb=more(4000),
        runtime=more(120),
        gpu=1,
    params:
        block=lambda wildcards: f"{int(wildcards.number)}/{run.bands(wildcards.scene)}",
        listing=lambda wildcards: run.image_listing(wildcards.scene),
        settings=settings("maps"),
        tiles=settings("tiles"),
        code=command_hash("predict", "predict_block"),
        device=DEVICE,
    message:
        "Map band {params.block} of {wildcards.scene} with the ResUNet of the {wildcards.source} masks"
    shell:
        "python scripts/predict.py predict-block --name {wildcards.scene} --image {input.image:q} --block {params.block}"
        " --weights {input.weights} --settings {params.settings:q} --tile-settings {params.tiles:q}"
        " --device {params.device} --threads {threads} --output {output.band} > {log} 2>&1"


rule predict_join:
    input:
        image=lambda wildcards: run.image(wildcards.scene, wildcards.variant),
        bands=lambda wildcards: run.band_files(
            wildcards.source, wildcards.scene, wildcards.variant
        ),
    output:
        probability="<results>/{variant}maps/{source}/{scene}_probability.tif",
        mask="<results>/{variant}maps/{source}/{scene}_mask.tif",
    log:
        "<logs>/{variant}predict/{source}_{scene}.log",
    benchmark:
        "<benchmarks>/{variant}predict/{source}_{scene}.tsv"
    wildcard_constraints:
        scene=IN_BANDS,
    conda:
        ENVIRONMENT
    threads: 1
    resources:
        mem_mb=more(4000),
        runtime=more(120),
    params:
        settings=settings("maps"),
        code=command_hash("predict", "predict_join"),
    message:
        "Put the map of {wildcards.scene} together"
    shell:
        "python scripts/predict.py predict-join {input.bands} --name {wildcards.scene} --image {input.image:q}"
        " --settings {params.settings:q} --probability {output.probability}"
        " --mask {output.mask} > {log} 2>&1"


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
        mem_mb=more(4000),
        runtime=more(120),
        gpu=1,
    params:
        folder=lambda wildcards: run.image(wildcards.scene),
        listing=lambda wildcards: run.image_listing(wildcards.scene),
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
