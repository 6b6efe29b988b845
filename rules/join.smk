# Large scenes are worked on in blocks (apsam/tiles/blocks.py). What reads whole scenes finds a small file of the scene's
# name, which stands for the blocks' stacks; prompts, small themselves, are put together.
localrules:
    join_stacks,
    join_prompts,


# A scene in blocks has no job of its own name in any stage.
ruleorder: join_stacks > tile
ruleorder: join_stacks > cams
ruleorder: join_stacks > encode
ruleorder: join_stacks > masks_apsam
ruleorder: join_stacks > masks_cam
ruleorder: join_stacks > masks_grabcut
ruleorder: join_prompts > prompts


rule join_stacks:
    input:
        lambda wildcards: blocks_at("{stage}/{unit}.zarr.zip", wildcards),
    output:
        stack="<results>/{variant}{stage}/{scene}.zarr.zip",
    log:
        "<logs>/{variant}join/{stage}/{scene}.log",
    benchmark:
        "<benchmarks>/{variant}join/{stage}/{scene}.tsv"
    wildcard_constraints:
        stage="tiles|cams|embeddings|masks/apsam|masks/cam|masks/grabcut",
        scene=IN_BLOCKS,
    conda:
        ENVIRONMENT
    params:
        code=command_hash("join", "join_stacks"),
    message:
        "Join the {wildcards.stage} of the blocks of {wildcards.scene}"
    shell:
        "python scripts/join.py join-stacks {input} --output {output.stack} > {log} 2>&1"


rule join_prompts:
    input:
        blocks=lambda wildcards: blocks_at("prompts/{unit}.json", wildcards),
        tiles=at("tiles/{scene}.zarr.zip"),
    output:
        prompts="<results>/{variant}prompts/{scene}.json",
        geojson="<results>/{variant}prompts/{scene}.geojson",
    log:
        "<logs>/{variant}join/prompts/{scene}.log",
    benchmark:
        "<benchmarks>/{variant}join/prompts/{scene}.tsv"
    wildcard_constraints:
        scene=IN_BLOCKS,
    conda:
        ENVIRONMENT
    params:
        code=command_hash("join", "join_prompts"),
    message:
        "Join the prompts of the blocks of {wildcards.scene}"
    shell:
        "python scripts/join.py join-prompts {input.blocks} --tiles {input.tiles}"
        " --output {output.prompts} --geojson {output.geojson} > {log} 2>&1"
