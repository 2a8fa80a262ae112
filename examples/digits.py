"""Train a small CNN on handwritten digits, on as many ranks as the launcher starts.

    disttorch-launch --nproc 2 examples/digits.py                  # UCI digits, in the package
    disttorch-launch --nproc 2 examples/digits.py --data mnist/    # MNIST's idx files
    python examples/digits.py                                      # one process

`--batch-size` is that of all ranks together, so that the number of ranks changes the speed and
not the result. A checkpoint is written after every epoch; `--resume` goes on from it.
"""

import argparse
import hashlib
import json
from pathlib import Path

import disttorch as torch
import disttorch.distributed as dist
import disttorch.nn.functional as F
from disttorch import nn, optim
from disttorch.meter import AverageMeter, progress
from disttorch.nn.parallel import DistributedDataParallel
from disttorch.utils.data import DataLoader, DistributedSampler, TensorDataset
from disttorch.vision.datasets import MNIST, Digits


class Net(nn.Module):
    """Two convolutions with pooling, then two linear layers: (N, 1, side, side) -> (N, 10)."""

    def __init__(self, side: int, dropout: float) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(1, 16, 3, padding=1)
        self.conv2 = nn.Conv2d(16, 32, 3, padding=1)
        self.dropout = nn.Dropout(dropout)
        self.fc1 = nn.Linear(32 * (side // 4) ** 2, 128)
        self.fc2 = nn.Linear(128, 10)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return the logits (N, 10) of images (N, 1, side, side)."""
        x = F.max_pool2d(F.relu(self.conv1(x)), 2)  # (N, 16, side/2, side/2)
        x = F.max_pool2d(F.relu(self.conv2(x)), 2)  # (N, 32, side/4, side/4)
        x = self.dropout(torch.flatten(x, 1))
        return self.fc2(F.relu(self.fc1(x)))


def load(folder: str | None, train: bool) -> TensorDataset:
    """Images (N, 1, side, side), normalised to mean 0 and deviation 1, with their digits."""
    source = MNIST(folder, train=train) if folder else Digits(train=train)
    mean, deviation = (0.1307, 0.3081) if folder else (0.3053, 0.3761)
    images = source.data.float() / (255 if folder else 16)
    return TensorDataset(((images - mean) / deviation).unsqueeze(1), source.targets)


def loader(data: TensorDataset, sampler: DistributedSampler, batch_size: int, workers: int):
    """Batches of one rank's share of `data`."""
    return DataLoader(
        data,
        batch_size,
        sampler=sampler,
        num_workers=workers,
        drop_last=sampler.shuffle,
        persistent_workers=workers > 0,
    )


def train_epoch(model, batches, optimizer, label: str, losses: list[float]) -> float:
    """Train on `batches` once and return the mean loss over all ranks."""
    model.train()
    meter = AverageMeter()
    for images, digits in progress(batches, label, note=lambda: f"loss {meter.average:.4f}"):
        optimizer.zero_grad()
        loss = F.cross_entropy(model(images), digits)
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
        meter.update(losses[-1])
    mean = torch.tensor(meter.average)
    dist.all_reduce(mean, dist.ReduceOp.AVG)
    return mean.item()


@torch.no_grad()
def accuracy(model, batches) -> float:
    """Share of digits recognised, counted over all ranks."""
    model.eval()
    counts = torch.zeros(2, dtype=torch.int64)  # right, all
    for images, digits in batches:
        right = (model(images).argmax(1) == digits).sum()
        counts += torch.tensor([right.item(), len(digits)])
    dist.all_reduce(counts)
    return (counts[0] / counts[1]).item()


def fingerprint(model) -> str:
    """Digest of the parameters' bits: equal on all ranks, or something is wrong."""
    digest = hashlib.sha256()
    for parameter in model.parameters():
        digest.update(parameter.detach().numpy().tobytes())
    return digest.hexdigest()


# What trains well on each of the two data sets: epochs, learning rate, its factor an epoch.
DIGITS_DEFAULTS = {"epochs": 20, "lr": 3e-3, "gamma": 0.9}
MNIST_DEFAULTS = {"epochs": 3, "lr": 2e-3, "gamma": 0.4}


def arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description="Train a CNN on handwritten digits.")
    parser.add_argument("--data", metavar="DIR", help="folder with MNIST's idx files")
    parser.add_argument("--epochs", type=int, help="default: 20 for the digits, 3 for MNIST")
    parser.add_argument("--batch-size", type=int, default=60, help="over all ranks together")
    parser.add_argument("--lr", type=float, help="learning rate of Adam")
    parser.add_argument("--gamma", type=float, help="its factor after each epoch")
    parser.add_argument("--dropout", type=float, default=0.25)
    parser.add_argument("--workers", type=int, default=1, help="loader processes of each rank")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--checkpoint", type=Path, default=Path("digits.pt"))
    parser.add_argument("--resume", action="store_true", help="go on from --checkpoint")
    parser.add_argument("--report", type=Path, help="write each rank's losses to FILE.<rank>")
    options = parser.parse_args()
    for name, value in (MNIST_DEFAULTS if options.data else DIGITS_DEFAULTS).items():
        if getattr(options, name) is None:
            setattr(options, name, value)
    return options


def main() -> None:
    """Train, and print the test accuracy after every epoch."""
    options = arguments()
    dist.init_process_group()
    rank, n_ranks = dist.get_rank(), dist.get_world_size()
    if options.batch_size % n_ranks:
        raise SystemExit(f"--batch-size {options.batch_size} is not divisible by {n_ranks} ranks")
    torch.manual_seed(options.seed)

    train_data, test_data = load(options.data, train=True), load(options.data, train=False)
    train_sampler = DistributedSampler(train_data, seed=options.seed)
    test_sampler = DistributedSampler(test_data, shuffle=False, pad=False)
    local_batch = options.batch_size // n_ranks
    train_batches = loader(train_data, train_sampler, local_batch, options.workers)
    test_batches = loader(test_data, test_sampler, 500, 0)

    model = DistributedDataParallel(Net(train_data.tensors[0].shape[-1], options.dropout))
    optimizer = optim.Adam(model.parameters(), lr=options.lr)
    scheduler = optim.lr_scheduler.StepLR(optimizer, 1, gamma=options.gamma)
    stateful = {"model": model, "optimizer": optimizer, "scheduler": scheduler}
    first_epoch = 0
    if options.resume:
        checkpoint = torch.load(options.checkpoint)
        for name, thing in stateful.items():
            thing.load_state_dict(checkpoint[name])
        first_epoch = checkpoint["epoch"]
    torch.manual_seed(options.seed + 1000 * rank + first_epoch)  # dropout differs between ranks

    losses: list[float] = []
    share = float("nan")
    for epoch in range(first_epoch, options.epochs):
        train_sampler.set_epoch(epoch)
        label = f"epoch {epoch + 1}/{options.epochs}"
        loss = train_epoch(model, train_batches, optimizer, label, losses)
        scheduler.step()
        share = accuracy(model, test_batches)
        if rank == 0:
            print(f"{label}: loss {loss:.4f}, test accuracy {share:.2%}", flush=True)
            state = {name: thing.state_dict() for name, thing in stateful.items()}
            torch.save({**state, "epoch": epoch + 1}, options.checkpoint)
    if options.report:
        report = {"losses": losses, "accuracy": share, "parameters": fingerprint(model)}
        Path(f"{options.report}.{rank}").write_text(json.dumps(report))
    dist.destroy_process_group()


if __name__ == "__main__":
    main()
