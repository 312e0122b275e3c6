"""`python -m demo_model`: trains the demo model, stage by stage. Without a stage, all of them in turn."""

from __future__ import annotations

import argparse
import os
import tempfile
from collections.abc import Callable
from pathlib import Path

from demo_model import autoencoder, diffusion, export, pictures, polish, score, source
from demo_model.training import Run, join, launch

#: Minutes on two CPU cores for each stage; what the shipped weights took is in their README.
STAGES = {"vae": 20.0, "grown": 45.0, "decoder": 60.0, "diffusion": 240.0, "polish": 25.0}
_AFTERWARDS = ("export", "score")
_CPU_PROCESSES = 2
_WORK = Path(os.environ.get("VAR_DIR", "var")) / "demo-model"
_SMOKE_STEPS = 3


def main() -> None:
    """Parse the command line and do what it says."""
    parser = argparse.ArgumentParser(prog="python -m demo_model", description=__doc__)
    parser.add_argument("stage", nargs="*", help=f"{', '.join((*STAGES, *_AFTERWARDS))}; default: all of them")
    parser.add_argument("--folder", type=Path, default=_WORK, help="checkpoints; the diffusion stage goes on from them")
    parser.add_argument("--start", type=Path, help="a model folder to start from instead of from nothing")
    parser.add_argument("--minutes", type=float, help="for each stage, instead of its own")
    parser.add_argument("--steps", type=int, default=10**9, help="at most so many for each stage")
    parser.add_argument("--batch", type=int, default=32, help="pictures a step of the diffusion stage")
    parser.add_argument("--rate", type=float, default=1.5e-3, help="highest learning rate of the diffusion stage")
    parser.add_argument("--bank", type=int, default=5000, help="pictures painted before the diffusion stage begins")
    parser.add_argument("--processes", type=int, default=_CPU_PROCESSES, help="that share a stage on a CPU")
    parser.add_argument("--device", default="cpu", choices=("cpu", "cuda"))
    parser.add_argument("--smoke", action="store_true", help="a few steps of everything, to see that it runs")
    parser.add_argument("--keep", type=Path, help="where to leave what --smoke makes, instead of nowhere")
    args = parser.parse_args()
    for stage in args.stage:
        if stage not in (*STAGES, *_AFTERWARDS):
            parser.error(f"no stage is called {stage}")
    if not args.smoke:
        _all(args)
        return
    args.steps, args.batch, args.bank = _SMOKE_STEPS, 4, 8
    with tempfile.TemporaryDirectory() as scratch:
        args.folder = args.keep or Path(scratch)
        _all(args)


def _all(args: argparse.Namespace) -> None:
    for stage in args.stage or [*STAGES, *_AFTERWARDS]:
        _do(stage, args)


def _do(stage: str, args: argparse.Namespace) -> None:
    folder: Path = args.folder
    if stage == "export":
        export.write(folder, folder / "z-image-demo", start=args.start)
    elif stage == "score":
        score.run(folder / "z-image-demo", source.folder(_WORK), folder, quick=args.smoke)
    elif args.device == "cpu" and "RANK" not in os.environ:
        source.folder(_WORK)  # fetched once, before the processes part
        launch([stage, *_same(args)], args.processes)
    else:
        minutes = args.minutes or STAGES[stage]
        _TRAIN[stage](join(Run(folder, args.device, minutes, args.steps)), args)


def _same(args: argparse.Namespace) -> list[str]:
    """The options for a process that takes part in a stage."""
    named = ("folder", "start", "minutes", "steps", "batch", "rate", "bank", "device")
    return [word for name in named if (value := getattr(args, name)) is not None for word in (f"--{name}", str(value))]


def _vae(run: Run, args: argparse.Namespace) -> None:
    autoencoder.train(run, _painter(), batch=8, start=None)


def _grown(run: Run, args: argparse.Namespace) -> None:
    autoencoder.train(run, _painter(), batch=8, start=args.start / "vae" if args.start else run.folder / "vae")


def _diffusion(run: Run, args: argparse.Namespace) -> None:
    diffusion.train(run, _painter(), batch=args.batch, rate=args.rate, bank=args.bank,
                    start=args.start)


def _decoder(run: Run, args: argparse.Namespace) -> None:
    polish.train(run, _painter(), generated=False, start=args.start)


def _polish(run: Run, args: argparse.Namespace) -> None:
    polish.train(run, _painter(), generated=True, start=args.start)


def _painter() -> pictures.Painter:
    return pictures.Painter(source.folder(_WORK))


_TRAIN: dict[str, Callable[[Run, argparse.Namespace], None]] = {
    "vae": _vae, "grown": _grown, "decoder": _decoder, "diffusion": _diffusion, "polish": _polish}

if __name__ == "__main__":
    main()
