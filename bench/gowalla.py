"""Recall@20 and NDCG@20 on the check-ins of Gowalla, in the split and by the protocol of LightGCN's line of papers.

python bench/gowalla.py DIR [--validate] [--factors K] [--epochs N]

DIR holds train.txt, valid.txt and test.txt. Trains on train and valid, ranks all items that a user has not met, and
measures on test. The settings were picked on valid alone; `--validate` shows what they reach there.
"""

from __future__ import annotations

import argparse
import time

import mcfast
from mcfast import datasets

SETTINGS = {
    "loss": "bsl",
    "similarity": "cosine",
    "factors": 64,
    "epochs": 50,
    "temperature": 0.08,
    "negative_weight": 1.22,
    "learning_rate": 0.15,
    "n_negatives": 256,
    "mask_known": True,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", metavar="DIR")
    parser.add_argument("--validate", action="store_true", help="train on train.txt, measure on valid.txt")
    parser.add_argument("--factors", type=int, default=SETTINGS["factors"])
    parser.add_argument("--epochs", type=int, default=SETTINGS["epochs"])
    parser.add_argument("--threads", type=int)
    given = parser.parse_args()

    train, valid, test = datasets.read_split_files(given.data)
    data, held_out = (train, valid) if given.validate else (train.concatenate(valid), test)
    start = time.perf_counter()
    cpu_start = time.process_time()
    chosen = SETTINGS | {"factors": given.factors, "epochs": given.epochs}
    model = mcfast.fit(data, threads=given.threads, **chosen)
    seconds, cpu_seconds = time.perf_counter() - start, time.process_time() - cpu_start
    measured = mcfast.evaluate(model, held_out, k=20, threads=given.threads)
    print(f"recall@20 {measured['recall@20']:.4f}   ndcg@20 {measured['ndcg@20']:.4f}", end="   ")
    print(f"trained in {seconds:.1f} s, {cpu_seconds:.0f} s of cores")


if __name__ == "__main__":
    main()
