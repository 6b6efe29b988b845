# A second round: the first ResUNets' maps of the training scenes give the pseudo-masks of a further ResUNet
# (docs/self-training.md). Prompts, masks and ResUNet are made by the commands that the first round has too.
rule self_training_heatmaps:
    input:
        inputs_of("self_training/heatmaps"),
    output:
        **outputs_of("self_training/heatmaps"),
    log:
        log_of("self_training/heatmaps"),
    priority: MAP_FIRST
    conda:
        ENVIRONMENT
    threads: 1
    resources:
        mem_mb=more(4000),
        runtime=more(120),
        gpu=1,
    params:
        command=command_of("self_training/heatmaps"),
    message:
        "Map the tiles of {wildcards.unit} with the ResUNet of the first round"
    shell:
        "{params.command} > {log} 2>&1"


rule self_training_prompts:
    input:
        inputs_of("self_training/prompts"),
    output:
        **outputs_of("self_training/prompts"),
    log:
        log_of("self_training/prompts"),
    priority: MAP_FIRST
    conda:
        ENVIRONMENT
    threads: 1
    resources:
        mem_mb=more(1000),
        runtime=more(30),
    params:
        command=command_of("self_training/prompts"),
    message:
        "Make prompts of {wildcards.unit} for the second round"
    shell:
        "{params.command} > {log} 2>&1"


rule self_training_masks_tiles:
    input:
        inputs_of("self_training/masks/tiles"),
    output:
        **outputs_of("self_training/masks/tiles"),
    log:
        log_of("self_training/masks/tiles"),
    priority: MAP_FIRST
    conda:
        ENVIRONMENT
    threads: 1
    resources:
        mem_mb=more(4000),
        runtime=more(120),
        gpu=1,
    params:
        command=command_of("self_training/masks/tiles"),
    message:
        "Segment {wildcards.unit} with SAM and the prompts of the second round"
    shell:
        "{params.command} > {log} 2>&1"


rule self_training_resunet:
    input:
        inputs_of("self_training/resunet"),
    output:
        **outputs_of("self_training/resunet"),
    log:
        log_of("self_training/resunet"),
    priority: MAP_FIRST
    conda:
        ENVIRONMENT
    threads: 8
    resources:
        mem_mb=more(8000),
        runtime=more(720),
        gpu=1,
    params:
        command=command_of("self_training/resunet"),
    message:
        "Train the ResUNet of the second round"
    shell:
        "{params.command} > {log} 2>&1"


rule self_training_network:
    input:
        inputs_of("self_training/networks"),
    output:
        **outputs_of("self_training/networks"),
    log:
        log_of("self_training/networks"),
    priority: MAP_FIRST
    conda:
        ENVIRONMENT
    threads: side_by_side(max(1, run.config.heatmaps.networks - 1))
    resources:
        mem_mb=more(8000),
        runtime=more(360),
        gpu=1,
    params:
        command=command_of("self_training/networks"),
    message:
        "Train ResUNet {wildcards.unit} of the first round"
    shell:
        "{params.command} > {log} 2>&1"


rule self_training_maps:
    input:
        inputs_of("self_training/maps"),
    output:
        **outputs_of("self_training/maps"),
    log:
        log_of("self_training/maps"),
    priority: MAP_FIRST
    conda:
        ENVIRONMENT
    threads: 1
    resources:
        mem_mb=more(4000),
        runtime=more(120),
        gpu=1,
    params:
        command=command_of("self_training/maps"),
    message:
        "Map {wildcards.unit} with the ResUNets of the first round"
    shell:
        "{params.command} > {log} 2>&1"


rule self_training_masks:
    input:
        inputs_of("self_training/masks"),
    output:
        **outputs_of("self_training/masks"),
    log:
        log_of("self_training/masks"),
    priority: MAP_FIRST
    conda:
        ENVIRONMENT
    threads: 1
    resources:
        mem_mb=more(2000),
        runtime=more(60),
    params:
        command=command_of("self_training/masks"),
    message:
        "Make the pseudo-mask of {wildcards.unit} for the second round"
    shell:
        "{params.command} > {log} 2>&1"


rule self_training_resunet_scenes:
    input:
        inputs_of("self_training/resunet/scenes"),
    output:
        **outputs_of("self_training/resunet/scenes"),
    log:
        log_of("self_training/resunet/scenes"),
    priority: MAP_FIRST
    conda:
        ENVIRONMENT
    threads: 8
    resources:
        mem_mb=more(8000),
        runtime=more(720),
        gpu=1,
    params:
        command=command_of("self_training/resunet/scenes"),
    message:
        "Train the ResUNet of the second round"
    shell:
        "{params.command} > {log} 2>&1"
