# Names to ask for a part of a run by; `all` is the default.
localrules:
    all,
    all_tiles,
    all_cams,
    all_prompts,
    all_embeddings,
    all_masks,
    all_networks,
    all_maps,
    all_metrics,


rule all:
    default_target: True
    input:
        "<results>/report/index.html",
        rules.all_maps.input,


rule all_tiles:
    input:
        expand("<results>/tiles/{scene}.zarr.zip", scene=run.names),


rule all_cams:
    input:
        expand("<results>/cams/{scene}.zarr.zip", scene=run.names),


rule all_prompts:
    input:
        expand("<results>/prompts/{scene}.json", scene=run.names),


rule all_embeddings:
    input:
        expand("<results>/embeddings/{scene}.zarr.zip", scene=run.names),


rule all_masks:
    input:
        expand("<results>/masks/{source}/{scene}.zarr.zip", source=SOURCES, scene=run.names),


rule all_networks:
    input:
        expand("<results>/resunet/{source}/weights.safetensors", source=TRAINED),


rule all_maps:
    input:
        [run.map_files(source, name) for source in TRAINED for name in run.held_out],


rule all_metrics:
    input:
        rules.metrics.output,
