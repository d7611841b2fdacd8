# Training: baseline and TempBalance runs, and the spectra of what they trained.
#
# Runs of a cell that differ in the seed alone share a job, which saves start-up. Where one of them is finished already, the
# others have a job each: Snakemake removes all outputs of a job before it starts, and a finished run is not trained again.

OUTPUTS = [
    "metrics.json",
    "history.csv",
    "spectra.csv",
    "layers.csv",
    "eigenvalues.npz",
]
if CONFIG.keep_models:
    OUTPUTS.append("model.safetensors")


def training_inputs(family):
    subset = f"{RESULTS}/subsets/{{dataset}}/ratio={{ratio}}.json"
    if family == "sciml":
        return {"data": PDE_DATA, "subset": subset, "code": own_code}
    tokens = f"{RESULTS}/data/{{dataset}}/tokens-{{model}}"
    return {"data": TEXT_DATA, "tokens": tokens, "subset": subset}


def training_outputs(family, seeds):
    """Files of the runs with these seeds; an operator also leaves rollouts of a few test samples, for the figures."""
    names = [*OUTPUTS, "predictions.npz"] if family == "sciml" else OUTPUTS
    return {
        name.partition(".")[0]: [
            f"{CELL}/seed={seed}/{name}" for seed in seeds or ["{seed}"]
        ]
        for name in names
    }


def tokens_argument(_wildcards, input):
    return ["--tokens", input.tokens] if "tokens" in input.keys() else []


def joined(seeds, one="{seed}"):
    return ",".join(map(str, seeds or [one]))


for (family, seeds), ids in training_jobs().items():

    rule:
        name:
            "_".join(map(str, ["train", family, *(seeds or [])]))
        input:
            **training_inputs(family),
            checked=redone_if_damaged(*training_outputs(family, seeds)["metrics"]),
        output:
            **training_outputs(family, seeds),
        log:
            f"{LOGS}/train/{{model}}/{{dataset}}/{{ratio}}/{{method}}/{{id}}/seed={joined(seeds)}.log",
        wildcard_constraints:
            dataset=datasets_where(lambda name, _options: GRID.families[name] == family),
            id=one_of(ids),
        conda:
            "../../envs/cpu.yaml"
        threads: 1
        resources:
            **asks_for(f"train_{family}", runs=len(seeds or [None])),
        params:
            spec=cell_spec,
            tokens=tokens_argument,
        message:
            f"Train {{wildcards.model}} on {{wildcards.dataset}}, ratio {{wildcards.ratio}}, {{wildcards.method}}, seed {joined(seeds, '{wildcards.seed}')}"
        shell:
            "replication train {output.metrics:q} --spec {params.spec:q} --data {input.data:q} --subset {input.subset:q} "
            "{params.tokens:q} 2> {log:q}"
