from disttorch_launcher.options import parse
from disttorch_launcher.preview import config_lines, dry_run_lines


def test_each_setting_has_its_origin():
    request = parse("--grace 5 --print-config".split(), 4, {"PET_NPROC_PER_NODE": "2"})
    rows = {line.split()[0]: line.split(None, 2)[1:] for line in config_lines(request)}
    assert request.print_config
    assert rows["--grace"] == ["5", "command line"]
    assert rows["--nproc"] == ["2", "environment variable PET_NPROC_PER_NODE"]
    assert rows["--max-restarts"] == ["0", "default"]


def test_dry_run_shows_each_rank():
    request = parse("--nproc 2 --env A=x --threads 3 -m pkg --lr 1".split(), 4)
    first, second = dry_run_lines(request.config, {})
    assert first == (
        "[r0] A=x LOCAL_RANK=0 MKL_NUM_THREADS=3 OMP_NUM_THREADS=3 OPENBLAS_NUM_THREADS=3 RANK=0 "
        "WORLD_SIZE=2 python -m pkg --lr 1"
    )
    assert second.startswith("[r1] A=x LOCAL_RANK=1 ")


def test_dry_run_of_a_second_host():
    words = "--nproc 2 --nnodes 2 --node-rank 1 --rdzv-endpoint 10.0.0.1:5 t.py".split()
    first, _ = dry_run_lines(parse(words, 4).config, {})
    assert first.startswith("[r2] LOCAL_RANK=0 ")
