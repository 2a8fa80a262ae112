"""Files of a checkpoint that are damaged, or made to do harm."""

import dataclasses

import pytest

import disttorch as torch
from disttorch.distributed import checkpoint as dcp
from disttorch.serialization.sharded import metadata as m


@pytest.fixture
def saved(tmp_path):
    dcp.save({"a": torch.arange(1000)[::2]}, checkpoint_id=tmp_path, no_dist=True)
    return tmp_path


def change(folder, **how):
    """Let the table of contents say something else of the only value."""
    found = m.from_bytes((folder / ".metadata").read_bytes(), "")
    places = {k: dataclasses.replace(v, **how) for k, v in found.storage_data.items()}
    changed = dataclasses.replace(found, storage_data=places)
    (folder / ".metadata").write_bytes(m.to_bytes(changed))


def test_a_tensor_is_stored_without_what_it_is_a_view_of(saved):
    (data,) = saved.glob("*.distcp")
    assert data.stat().st_size < 6000
    state = {"a": torch.zeros(500, dtype=torch.int64)}
    dcp.load(state, checkpoint_id=saved, no_dist=True)
    assert state["a"].tolist() == list(range(0, 1000, 2))


@pytest.mark.parametrize(
    ("how", "text"),
    [
        ({"relative_path": "../x"}, "a file outside of the folder"),
        ({"relative_path": "/etc/passwd"}, "a file outside of the folder"),
        ({"relative_path": "__9_9.distcp"}, "FileNotFoundError"),
        ({"offset": 3}, "ends after .* bytes"),
        ({"transform_descriptors": ["zstd"]}, "is stored as"),
    ],
)
def test_what_the_table_of_contents_says_is_checked(saved, how, text):
    change(saved, **how)
    with pytest.raises(dcp.CheckpointException, match=text):
        dcp.load({"a": torch.zeros(500)}, checkpoint_id=saved, no_dist=True)


PIECES = {
    "none": [],
    "one of two": [([0], [250])],
    "twice": [([0], [250]), ([0], [250])],
    "beyond": [([400], [500])],
    "of another size": [([0], [500])],
}


@pytest.mark.parametrize("pieces", PIECES.values(), ids=PIECES)
def test_pieces_that_do_not_make_up_a_tensor_are_told(tmp_path, pieces):
    """They would leave parts of it as they were, or memory that nobody wrote."""
    dcp.save({"a": torch.ones(())}, checkpoint_id=tmp_path, no_dist=True)
    found = m.from_bytes((tmp_path / ".metadata").read_bytes(), "")
    (place,) = found.storage_data.values()
    stored = found.state_dict_metadata["a"]
    stored.size = torch.Size([500])
    stored.chunks = [m.ChunkStorageMetadata(*map(torch.Size, piece)) for piece in pieces]
    found.storage_data = {
        m.MetadataIndex("a", c.offsets, i): place for i, c in enumerate(stored.chunks)
    }
    (tmp_path / ".metadata").write_bytes(m.to_bytes(found))
    with pytest.raises(dcp.CheckpointException, match="a is damaged"):
        dcp.load({"a": torch.zeros(500)}, checkpoint_id=tmp_path, no_dist=True)
    with pytest.raises(RuntimeError, match="a is damaged"):
        dcp.format_utils.dcp_to_torch_save(tmp_path, tmp_path / "file.pt")


LINKED = {"to a file": "file", "to nothing": "nothing", "to a device": "/dev/null"}


@pytest.mark.parametrize("target", LINKED.values(), ids=LINKED)
def test_nothing_is_written_where_a_link_in_the_folder_leads(tmp_path, target):
    (tmp_path / "file").write_text("of somebody else")
    folder = tmp_path / "checkpoint"
    folder.mkdir()
    (folder / ".metadata").symlink_to(tmp_path / target)
    dcp.save({"a": torch.ones(5)}, checkpoint_id=folder, no_dist=True)
    assert (tmp_path / "file").read_text() == "of somebody else"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["checkpoint", "file"]
    assert not (folder / ".metadata").is_symlink()
    state = {"a": torch.zeros(5)}
    dcp.load(state, checkpoint_id=folder, no_dist=True)
    assert state["a"].sum() == 5


def test_a_file_that_appears_under_the_name_of_a_new_one_is_not_written(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("of somebody else")
    begin = dcp.FileSystemWriter.begin

    def overtaken(writer):
        number = begin(writer)
        (tmp_path / "checkpoint" / f"__0_{number}.distcp").symlink_to(tmp_path / "file")
        return number

    monkeypatch.setattr(dcp.FileSystemWriter, "begin", overtaken)
    with pytest.raises(dcp.CheckpointException, match="FileExistsError"):
        dcp.save({"a": torch.ones(5)}, checkpoint_id=tmp_path / "checkpoint", no_dist=True)
    assert (tmp_path / "file").read_text() == "of somebody else"


def test_a_cut_file_is_told(saved):
    (data,) = saved.glob("*.distcp")
    data.write_bytes(data.read_bytes()[:-5])
    with pytest.raises(dcp.CheckpointException, match="ends after"):
        dcp.load({"a": torch.zeros(500)}, checkpoint_id=saved, no_dist=True)


def test_no_checkpoint(tmp_path):
    with pytest.raises(dcp.CheckpointException, match=r"FileNotFoundError.*\.metadata"):
        dcp.load({"a": 1}, checkpoint_id=tmp_path, no_dist=True)
