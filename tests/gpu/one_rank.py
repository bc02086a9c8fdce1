"""One process that trains as one of several would, for test_gpu_training.py.

python one_rank.py DEVICE DATA FOLDER, with the environment that torchrun gives
"""

import sys
from pathlib import Path

import torch.distributed as dist

from pointrend_repro.training.loop import train
from small_experiment import read_train_split, small_settings


def main() -> None:
    device, root, folder = sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3])
    train(small_settings(), read_train_split(root), seed=0, folder=folder, device=device)
    print("backend:", dist.get_backend() if dist.is_initialized() else None)
    if dist.is_initialized():
        dist.destroy_process_group()


if __name__ == "__main__":
    main()
