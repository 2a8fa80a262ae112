"""Checkpoint folders of PyTorch read by disttorch, and the other way round."""

import warnings

import numpy as np
import pytest

import disttorch
from disttorch.distributed import checkpoint as ours

pytestmark = pytest.mark.parity
torch = pytest.importorskip("torch", reason="PyTorch is the oracle")


def state(library, fill):
    return {
        "model": {
            "w": library.full((3, 2), fill),
            "half": library.full((2,), fill).to(library.bfloat16),
            "count": library.full((), int(fill)),
        },
        "optim": {"groups": [{"lr": 0.5 * fill, "params": ["w"]}], "on": bool(fill)},
        "list": [library.ones(1) * fill, {"a": 1 * fill}],
        "text": f"of {fill}",
    }


def plain(value):
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, list):
        return [plain(item) for item in value]
    return (
        value.float().numpy().tolist()
        if hasattr(value, "float") and hasattr(value, "numpy")
        else value
    )


@pytest.fixture
def theirs():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import torch.distributed.checkpoint as dcp

        yield dcp


def test_pytorch_reads_ours(tmp_path, theirs):
    ours.save(state(disttorch, 3.0), checkpoint_id=tmp_path, no_dist=True)
    found = state(torch, 0.0)
    theirs.load(found, checkpoint_id=str(tmp_path), no_dist=True)
    assert plain(found) == plain(state(torch, 3.0)) == plain(state(disttorch, 3.0))


def test_ours_reads_pytorchs(tmp_path, theirs):
    theirs.save(state(torch, 3.0), checkpoint_id=str(tmp_path), no_dist=True)
    found = state(disttorch, 0.0)
    ours.load(found, checkpoint_id=tmp_path, no_dist=True)
    assert plain(found) == plain(state(torch, 3.0))


def test_tensors_in_several_pieces(tmp_path, theirs):
    """As of a tensor that PyTorch had sharded: its table of contents is changed to say so."""
    whole = np.arange(12, dtype=np.float32).reshape(4, 3)
    pieces = {"w": torch.tensor(whole[:3]), "rest": torch.tensor(whole[3:])}
    theirs.save(pieces, checkpoint_id=str(tmp_path), no_dist=True)
    reader = theirs.FileSystemReader(str(tmp_path))
    found = reader.read_metadata()
    meta = theirs.metadata
    first, second = ((0, 0), (3, 3)), ((3, 0), (1, 3))
    found.state_dict_metadata["w"].size = torch.Size((4, 3))
    found.state_dict_metadata["w"].chunks = [
        meta.ChunkStorageMetadata(torch.Size(at), torch.Size(n)) for at, n in (first, second)
    ]
    places = {k.fqn: v for k, v in found.storage_data.items()}
    found.storage_data = {
        meta.MetadataIndex("w", first[0], 0): places["w"],
        meta.MetadataIndex("w", second[0], 1): places["rest"],
    }
    import pickle

    (tmp_path / ".metadata").write_bytes(pickle.dumps(found))
    state = {"w": disttorch.zeros(4, 3)}
    ours.load(state, checkpoint_id=tmp_path, no_dist=True)
    np.testing.assert_array_equal(state["w"].numpy(), whole)
