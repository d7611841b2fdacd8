# Data: published or embedded files, simulation, preparation, and the rows of each data ratio.
#
# These jobs have priority over trainings. Otherwise trainings would wait for a data set that is simulated last.


rule fetch_text:
    input:
        own_files,
    output:
        directory(f"{RESULTS}/data/{{dataset}}/raw"),
    log:
        f"{LOGS}/fetch_text/{{dataset}}.log",
    wildcard_constraints:
        dataset=datasets_where(is_text),
    priority: 1
    conda:
        "../../envs/cpu.yaml"
    resources:
        **asks_for("fetch_text"),
    params:
        options=dataset_options,
        folder=folder_argument,
    message:
        "Fetch the text data set {wildcards.dataset}"
    shell:
        "replication fetch --family nlp --options {params.options:q} {params.folder:q} {output:q} 2> {log:q}"


rule prepare_text:
    input:
        f"{RESULTS}/data/{{dataset}}/raw",
    output:
        directory(TEXT_DATA),
    log:
        f"{LOGS}/prepare_text/{{dataset}}.log",
    wildcard_constraints:
        dataset=datasets_where(is_text),
    priority: 1
    conda:
        "../../envs/cpu.yaml"
    resources:
        **asks_for("prepare_text"),
    params:
        options=dataset_options,
    message:
        "Split and clean {wildcards.dataset}"
    shell:
        "replication prepare --options {params.options:q} {input:q} {output:q} 2> {log:q}"


rule tokenize:
    input:
        TEXT_DATA,
    output:
        directory(TOKENS),
    log:
        f"{LOGS}/tokenize/{{dataset}}-{{model}}.log",
    wildcard_constraints:
        dataset=datasets_where(is_text),
    priority: 1
    conda:
        "../../envs/cpu.yaml"
    resources:
        **asks_for("tokenize"),
    params:
        options=dataset_options,
        model=lambda wildcards: canonical_json(GRID.models[wildcards.model]),
    message:
        "Tokenise {wildcards.dataset} for {wildcards.model}"
    shell:
        "replication tokenize --options {params.options:q} --model-options {params.model:q} "
        "{input:q} {output:q} 2> {log:q}"


rule simulate:
    output:
        data=PDE_DATA,
        manifest=f"{PDE_DATA}.json",
    log:
        f"{LOGS}/simulate/{{dataset}}.log",
    wildcard_constraints:
        dataset=datasets_where(
            lambda name, options: is_simulated(name, options)
            and not is_batched(name, options)
        ),
    # It needs several free cores at once; ready jobs of one core would take each that becomes free.
    priority: 3
    conda:
        "../../envs/cpu.yaml"
    threads: ASKED["rules"]["simulate"].get(CONFIG.scale, {}).get("threads", 1)
    resources:
        **asks_for("simulate"),
    params:
        options=dataset_options,
        results=results_folder,
    message:
        "Simulate {wildcards.dataset}"
    shell:
        "replication simulate --options {params.options:q} {output.data:q} --workers {threads} "
        "--results {params.results:q} 2> {log:q}"


use rule simulate as simulate_batched with:
    wildcard_constraints:
        dataset=datasets_where(is_batched),
    threads: 1
    resources:
        **asks_for("simulate_batched"),


rule fetch_pde:
    input:
        own_files,
    output:
        data=PDE_DATA,
        manifest=f"{PDE_DATA}.json",
    log:
        f"{LOGS}/fetch_pde/{{dataset}}.log",
    wildcard_constraints:
        dataset=datasets_where(is_published),
    priority: 1
    conda:
        "../../envs/cpu.yaml"
    resources:
        **asks_for("fetch_pde"),
    params:
        options=dataset_options,
        folder=folder_argument,
    message:
        "Fetch the published file of {wildcards.dataset}"
    shell:
        "replication fetch --family sciml --options {params.options:q} {params.folder:q} {output.data:q} 2> {log:q}"


rule trivial:
    input:
        training_data,
    output:
        f"{RESULTS}/trivial/{{dataset}}.csv",
    log:
        f"{LOGS}/trivial/{{dataset}}.log",
    conda:
        "../../envs/cpu.yaml"
    resources:
        **asks_for("trivial"),
    params:
        family=lambda wildcards: GRID.families[wildcards.dataset],
        options=dataset_options,
    message:
        "Score trivial predictors on {wildcards.dataset}"
    shell:
        "replication trivial --family {params.family} --dataset {wildcards.dataset:q} --options {params.options:q} "
        "{input:q} {output:q} 2> {log:q}"


rule subset:
    input:
        training_data,
    output:
        f"{RESULTS}/subsets/{{dataset}}/ratio={{ratio}}.json",
    log:
        f"{LOGS}/subset/{{dataset}}-{{ratio}}.log",
    priority: 1
    conda:
        "../../envs/cpu.yaml"
    resources:
        **asks_for("subset"),
    params:
        family=lambda wildcards: GRID.families[wildcards.dataset],
        options=dataset_options,
        rule=CONFIG.subset.rule,
        seed=CONFIG.subset.seed,
    message:
        "Choose the training rows of {wildcards.dataset} at ratio {wildcards.ratio}"
    shell:
        "replication subset --family {params.family} --dataset {wildcards.dataset:q} --options {params.options:q} "
        "--ratio {wildcards.ratio} --rule {params.rule} --seed {params.seed} {input:q} {output:q} 2> {log:q}"
