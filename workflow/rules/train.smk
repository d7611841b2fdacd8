# Training: baseline and TempBalance runs, and the spectra of what they trained.
#
# Runs of a cell that differ only in the seed share a job, which saves start-up time. If one of them is already finished, each of the
# others has its own job: Snakemake removes all outputs of a job before it starts, and a finished run must not be trained again.

JOBS = training_jobs()

for family, seeds in JOBS:

    rule:
        name:
            "_".join(map(str, ["train", family, *(seeds or [])]))
        input:
            **training_inputs(family),
        output:
            **training_outputs(family, seeds),
        log:
            f"{LOGS}/train/{{model}}/{{dataset}}/{{ratio}}/{{method}}/{{id}}/seed={joined(seeds)}.log",
        wildcard_constraints:
            dataset=datasets_where(lambda name, _options: GRID.families[name] == family),
            id=ids_of((family, seeds), JOBS),
        conda:
            "../../envs/cpu.yaml"
        threads: 1
        resources:
            **asks_for(f"train_{family}", runs=len(seeds or [None])),
        params:
            spec=cell_spec,
            unseen=cell_unseen,
            # Here, because the shell command is formatted when the job runs, when `family` has another value.
            tokens=["--tokens", TOKENS] if family == "nlp" else [],
        message:
            f"Train {{wildcards.model}} on {{wildcards.dataset}}, ratio {{wildcards.ratio}}, {{wildcards.method}}, seed {joined(seeds, '{wildcards.seed}')}"
        shell:
            "replication train {output.metrics:q} --spec {params.spec:q} --unseen {params.unseen:q} "
            "--data {input.data:q} --subset {input.subset:q} {params.tokens:q} 2> {log:q}"


# The weights that runs start from. They are kept whatever `keep_models` says, and have priority because runs wait for them.
rule pretrain:
    input:
        data=PDE_DATA,
        subset=f"{RESULTS}/subsets/{{dataset}}/ratio={{ratio}}.json",
        code=own_code,
    output:
        **training_outputs("sciml", None)
        | {"model": [f"{CELL}/seed={{seed}}/model.safetensors"]},
    log:
        f"{LOGS}/pretrain/{{model}}/{{dataset}}/{{ratio}}/{{method}}/{{id}}/seed={{seed}}.log",
    wildcard_constraints:
        id=one_of(PRETRAININGS),
    priority: 2
    conda:
        "../../envs/cpu.yaml"
    threads: 1
    resources:
        **asks_for("pretrain"),
    params:
        spec=cell_spec,
        unseen=cell_unseen,
    message:
        "Pretrain {wildcards.model} on {wildcards.dataset}"
    shell:
        "REPLICATION_KEEP_MODELS=1 replication train {output.metrics:q} --spec {params.spec:q} --unseen {params.unseen:q} "
        "--data {input.data:q} --subset {input.subset:q} 2> {log:q}"
