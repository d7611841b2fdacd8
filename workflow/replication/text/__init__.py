"""Language: corpora, tasks, and fine-tuning with the transformers Trainer."""
