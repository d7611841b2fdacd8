# Training: baseline and TempBalance runs, and the choice of a trial where hyper-parameters are searched.

TRAIN = (
    "replication train --spec {params.spec:q} --data {input.data:q} --subset {input.subset:q} {params.tokens:q} "
    "--results {params.results:q} --device {params.device} --jobs-per-gpu {params.jobs_per_gpu} 2> {log:q}"
)
TRAIN_PARAMS = {
    "spec": run_spec,
    "results": results_folder,
    "device": CONFIG.device,
    "jobs_per_gpu": CONFIG.jobs_per_gpu,
}


rule train_nlp:
    input:
        data=TEXT_DATA,
        tokens=f"{RESULTS}/data/{{dataset}}/tokens-{{model}}",
        subset=f"{RESULTS}/subsets/{{dataset}}/ratio={{ratio}}.json",
    output:
        **training_outputs(),
    log:
        f"{LOGS}/train/{{experiment}}/{{model}}/{{dataset}}/{{ratio}}/{{method}}/{{run}}.log",
    wildcard_constraints:
        dataset=datasets_where(is_text),
        run=r"(trial=[^/]+/)?seed=[0-9]+",
    conda:
        "../../envs/cpu.yaml"
    threads: 1
    resources:
        **asks_for("train_nlp"),
    params:
        **TRAIN_PARAMS,
        tokens=lambda wildcards, input: ["--tokens", input.tokens],
    message:
        "Fine-tune {wildcards.model} on {wildcards.dataset}, ratio {wildcards.ratio}, {wildcards.method}, {wildcards.run}"
    shell:
        TRAIN


rule train_sciml:
    input:
        data=PDE_DATA,
        subset=f"{RESULTS}/subsets/{{dataset}}/ratio={{ratio}}.json",
    output:
        **operator_outputs(),
    log:
        f"{LOGS}/train/{{experiment}}/{{model}}/{{dataset}}/{{ratio}}/{{method}}/{{run}}.log",
    wildcard_constraints:
        dataset=datasets_where(lambda name, options: not is_text(name, options)),
        run=r"(trial=[^/]+/)?seed=[0-9]+",
    conda:
        "../../envs/cpu.yaml"
    threads: 1
    resources:
        **asks_for("train_sciml"),
    params:
        **TRAIN_PARAMS,
        tokens=[],
    message:
        "Train {wildcards.model} on {wildcards.dataset}, ratio {wildcards.ratio}, {wildcards.method}, {wildcards.run}"
    shell:
        TRAIN


rule select_trial:
    input:
        trial_records,
    output:
        f"{RESULTS}/{{cell}}/selection.json",
    log:
        f"{LOGS}/select/{{cell}}.log",
    wildcard_constraints:
        cell=one_of(SEARCHED),
    conda:
        "../../envs/cpu.yaml"
    resources:
        **asks_for("select_trial"),
    params:
        select_on=lambda wildcards: GRID.experiments[
            SEARCHED[wildcards.cell]
        ].select_on[wildcards.cell],
    message:
        "Choose the hyper-parameters of {wildcards.cell}"
    shell:
        "replication select --select-on {params.select_on} {output:q} {input:q} 2> {log:q}"


rule adopt_trial:
    input:
        selection=f"{RESULTS}/{{cell}}/selection.json",
        records=trial_records,
    output:
        **adopted(training_outputs()),
    log:
        f"{LOGS}/adopt/{{cell}}/seed={{seed}}.log",
    wildcard_constraints:
        cell=searched_in("nlp"),
    conda:
        "../../envs/cpu.yaml"
    resources:
        **asks_for("adopt_trial"),
    message:
        "Adopt the chosen run of {wildcards.cell}, seed {wildcards.seed}"
    shell:
        "replication adopt {input.selection:q} $(dirname {output.metrics:q}) {input.records:q} 2> {log:q}"


# Operators leave one file more, and a rule's outputs cannot depend on its cell.
use rule adopt_trial as adopt_trial_sciml with:
    output:
        **adopted(operator_outputs()),
    wildcard_constraints:
        cell=searched_in("sciml"),


ruleorder: adopt_trial > train_nlp
ruleorder: adopt_trial_sciml > train_sciml
