# Table 1 of the paper: every localization method is a variant of the run, with every seed; one protocol for all.
rule masks_cam_agreed:
    input:
        inputs_of("masks/cam_agreed"),
    output:
        **outputs_of("masks/cam_agreed"),
    log:
        log_of("masks/cam_agreed"),
    conda:
        ENVIRONMENT
    threads: 1
    resources:
        mem_mb=more(1000),
        runtime=more(30),
    params:
        command=command_of("masks/cam_agreed"),
    message:
        "Threshold the class activation maps of {wildcards.unit} where SAM agrees"
    shell:
        "{params.command} > {log} 2>&1"


rule masks_box:
    input:
        inputs_of("masks/box"),
    output:
        **outputs_of("masks/box"),
    log:
        log_of("masks/box"),
    conda:
        ENVIRONMENT
    threads: 1
    resources:
        mem_mb=more(1000),
        runtime=more(30),
    params:
        command=command_of("masks/box"),
    message:
        "Put a fixed box into the positive tiles of {wildcards.unit}"
    shell:
        "{params.command} > {log} 2>&1"


rule masks_truth:
    input:
        inputs_of("masks/truth"),
    output:
        **outputs_of("masks/truth"),
    log:
        log_of("masks/truth"),
    conda:
        ENVIRONMENT
    threads: 1
    resources:
        mem_mb=more(1000),
        runtime=more(30),
    params:
        command=command_of("masks/truth"),
    message:
        "Use the reference masks of {wildcards.unit} as the upper bound"
    shell:
        "{params.command} > {log} 2>&1"


rule table1_masks:
    input:
        inputs_of("table1/masks_{measured}"),
    output:
        **outputs_of("table1/masks_{measured}", {"output": "masks_{measured}.json"}),
    log:
        log_of("table1/masks_{measured}"),
    wildcard_constraints:
        measured="|".join(MEASURED_SOURCES),
    conda:
        ENVIRONMENT
    threads: 1
    resources:
        mem_mb=more(2000),
        runtime=more(60),
    params:
        command=command_of("table1/masks_{measured}"),
    message:
        "Measure the {wildcards.measured} masks"
    shell:
        "{params.command} > {log} 2>&1"


rule table1_maps:
    input:
        inputs_of("table1/maps_{measured}"),
    output:
        **outputs_of("table1/maps_{measured}", {"output": "maps_{measured}.json"}),
    log:
        log_of("table1/maps_{measured}"),
    wildcard_constraints:
        measured="|".join(MEASURED_SOURCES),
    conda:
        ENVIRONMENT
    threads: 1
    resources:
        mem_mb=more(2000),
        runtime=more(60),
    params:
        command=command_of("table1/maps_{measured}"),
    message:
        "Measure the maps of the ResUNet of the {wildcards.measured} masks"
    shell:
        "{params.command} > {log} 2>&1"


rule cam_oracle:
    input:
        inputs_of("table1/cam_oracle"),
    output:
        **outputs_of("table1/cam_oracle"),
    log:
        log_of("table1/cam_oracle"),
    conda:
        ENVIRONMENT
    threads: 1
    resources:
        mem_mb=more(1000),
        runtime=more(60),
    params:
        command=command_of("table1/cam_oracle"),
    message:
        "Measure the class activation maps at the oracle threshold"
    shell:
        "{params.command} > {log} 2>&1"


rule compare_methods:
    input:
        inputs_of("experiments/table1_{kind}"),
    output:
        **outputs_of(
            "experiments/table1_{kind}",
            {
                option: file.format(name="table1_{kind}")
                for option, file in FIGURE.items()
            },
            csv=shown(
                "experiments", "Experiments", experiment="table1_{kind}", kind="table"
            ),
            png=shown(
                "experiments", "Experiments", experiment="table1_{kind}", kind="figure"
            ),
        ),
    log:
        log_of("experiments/table1_{kind}"),
    wildcard_constraints:
        kind="|".join(KINDS),
    conda:
        ENVIRONMENT
    threads: 1
    resources:
        mem_mb=more(2000),
        runtime=more(60),
    params:
        command=command_of("experiments/table1_{kind}"),
    message:
        "Show the same tiles by every localization method ({wildcards.kind})"
    shell:
        "{params.command} > {log} 2>&1"
