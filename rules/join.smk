# Large scenes are worked on in blocks (apsam/tiles/blocks.py). What reads whole scenes finds a small file of the scene's
# name, which stands for the blocks' stacks; prompts, small themselves, are put together.
localrules:
    join_stacks,
    join_prompts,


rule join_stacks:
    input:
        inputs_of("{stage}/joined"),
    output:
        **outputs_of("{stage}/joined", {"output": "{unit}.zarr.zip"}),
    log:
        log_of("{stage}/joined"),
    wildcard_constraints:
        stage="|".join(STACKS_IN_BLOCKS),
    conda:
        ENVIRONMENT
    threads: 1
    resources:
        mem_mb=more(500),
        runtime=more(15),
    params:
        command=command_of("{stage}/joined"),
    message:
        "Join the {wildcards.stage} of the blocks of {wildcards.unit}"
    shell:
        "{params.command} > {log} 2>&1"


rule join_prompts:
    input:
        inputs_of("{stage}/joined"),
    output:
        **outputs_of("{stage}/joined", PROMPTS),
    log:
        log_of("{stage}/joined"),
    wildcard_constraints:
        stage="|".join(PROMPTS_IN_BLOCKS),
    conda:
        ENVIRONMENT
    threads: 1
    resources:
        mem_mb=more(1000),
        runtime=more(15),
    params:
        command=command_of("{stage}/joined"),
    message:
        "Join the prompts of the blocks of {wildcards.unit}"
    shell:
        "{params.command} > {log} 2>&1"
