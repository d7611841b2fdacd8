"""Language: corpora, tasks, fine-tuning with the transformers Trainer."""
