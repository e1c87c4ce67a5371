"""The file is overruled by the environment and the environment by arguments; what is not there is named."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from adapt.errors import PrerequisiteError, SpecError
from experiments.workspace import FILE, Workspace, load_workspace, parse_place

Write = Callable[..., Path]


@pytest.fixture
def folders(tmp_path: Path) -> dict[str, Path]:
    made = {name: tmp_path / name for name in ("file", "variable", "argument")}
    for path in made.values():
        path.mkdir()
    return made


def write_settings(write: Write, text: str) -> Path:
    return write(text, "segshift.yaml").parent


def test_without_anything_the_defaults_hold(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    workspace = load_workspace(environment={})
    assert workspace == Workspace(store=tmp_path / "segshift-store")
    assert (workspace.data, workspace.weights, workspace.tracking_uri, workspace.address) == (None, None, None, None)


@pytest.mark.parametrize("source", ["file", "variable", "argument"])
def test_the_later_source_wins(write: Write, folders: dict[str, Path], source: str) -> None:
    file = folders["file"]
    text = f"data: {file}\nstore: {file}/store\ntracking_uri: http://file\naddress: ray://file\n"
    folder = write_settings(write, text)
    environment, arguments = {}, {}
    if source != "file":
        environment = {
            "SEGSHIFT_DATA": str(folders["variable"]),
            "SEGSHIFT_STORE": str(folders["variable"] / "store"),
            "RAY_ADDRESS": "ray://variable",
            "MLFLOW_TRACKING_URI": "http://variable",
        }
    if source == "argument":
        arguments = {
            "data": folders["argument"],
            "store": folders["argument"] / "store",
            "address": "ray://argument",
        }
    workspace = load_workspace(folder, environment, **arguments)
    assert workspace.data == folders[source]
    assert workspace.store == folders[source] / "store"
    assert workspace.address == f"ray://{source}"
    assert workspace.tracking_uri == ("http://file" if source == "file" else "http://variable")


def test_each_place_is_overruled_on_its_own(write: Write, folders: dict[str, Path]) -> None:
    folder = write_settings(write, f"data: {folders['file']}\nstore: {folders['file']}\n")
    workspace = load_workspace(folder, {"SEGSHIFT_STORE": str(folders["variable"]), "SEGSHIFT_DATA": ""})
    assert (workspace.data, workspace.store) == (folders["file"], folders["variable"])


def test_the_real_environment_is_read_by_default(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, folders: dict[str, Path]
) -> None:
    monkeypatch.setenv("SEGSHIFT_DATA", str(folders["variable"]))
    assert load_workspace(tmp_path).data == folders["variable"]


def test_relative_places_are_made_absolute(write: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "d").mkdir()
    folder = write_settings(write, "data: d\nstore: s\nweights: w\n")
    workspace = load_workspace(folder, {})
    assert (workspace.data, workspace.store, workspace.weights) == (tmp_path / "d", tmp_path / "s", tmp_path / "w")
    folder = write_settings(write, "data: {gta: d}\n")
    assert load_workspace(folder, {}).data == {"gta": tmp_path / "d"}
    assert load_workspace(folder, {}, store=Path("argument")).store == tmp_path / "argument"


def test_a_tilde_is_the_home_folder(write: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    (tmp_path / "home" / "data").mkdir(parents=True)
    folder = write_settings(write, "data: ~/data\nstore: ~/store\nweights: ~/weights\n")
    workspace = load_workspace(folder, {})
    assert workspace.data == tmp_path / "home" / "data"
    assert workspace.store == tmp_path / "home" / "store"
    assert workspace.weights == tmp_path / "home" / "weights"
    folder = write_settings(write, "data: {gta: ~/data}\n")
    assert load_workspace(folder, {}).find_root("gta") == tmp_path / "home" / "data"


def test_an_unknown_key_is_answered_by_the_closest(write: Write) -> None:
    folder = write_settings(write, "# mine\nstor: x\n")
    with pytest.raises(SpecError) as caught:
        load_workspace(folder, {})
    assert str(caught.value) == (
        f"{folder / 'segshift.yaml'}:2: stor: unknown key 'stor'. Did you mean 'store'? "
        "Allowed here: address, cache, data, notify, store, tracking_uri, weights."
    )


def test_an_unknown_data_set_type_is_answered_by_the_closest(write: Write, folders: dict[str, Path]) -> None:
    folder = write_settings(write, f"data:\n  gta: {folders['file']}\n  cityscape: {folders['file']}\n")
    with pytest.raises(SpecError) as caught:
        load_workspace(folder, {})
    assert str(caught.value).startswith(
        f"{folder / 'segshift.yaml'}:3: unknown data set type 'cityscape'. Did you mean 'cityscapes'? Known: acdc, "
    )


def test_a_folder_that_is_not_there_is_named(write: Write, tmp_path: Path) -> None:
    with pytest.raises(PrerequisiteError, match=f"the data folder {tmp_path / 'no'} does not exist"):
        load_workspace(tmp_path, {"SEGSHIFT_DATA": str(tmp_path / "no")})
    with pytest.raises(PrerequisiteError, match=r"the data folder .* does not exist"):
        load_workspace(tmp_path, {}, data=tmp_path / "no")
    folder = write_settings(write, f"data:\n  gta: {tmp_path / 'no'}\n")
    with pytest.raises(PrerequisiteError) as caught:
        load_workspace(folder, {})
    assert str(caught.value).startswith(
        f"{folder / 'segshift.yaml'}:2: data.gta: the folder {tmp_path / 'no'} does not"
    )


def test_an_argument_mends_a_wrong_folder_of_the_file(write: Write, folders: dict[str, Path]) -> None:
    folder = write_settings(write, "data: /no/such/folder\n")
    assert load_workspace(folder, {}, data=folders["argument"]).data == folders["argument"]


def test_roots_are_found_below_one_folder_or_by_name(tmp_path: Path) -> None:
    (tmp_path / "gta").mkdir()
    one = Workspace(data=tmp_path)
    assert one.find_root("gta") == tmp_path / "gta"
    assert one.find_root("acdc") is None
    assert one.describe_root("acdc") == f"there is no folder {tmp_path / 'acdc'}"
    named = Workspace(data={"acdc": tmp_path / "gta"})
    assert named.find_root("acdc") == tmp_path / "gta"
    assert named.find_root("gta") is None
    assert named.describe_root("gta") == "no folder for gta is configured"
    assert Workspace().find_root("gta") is None


def test_weights_are_looked_for_in_three_folders_in_order(tmp_path: Path) -> None:
    data = tmp_path / "all" / "data"
    places = [tmp_path / "mine", data / "weights", tmp_path / "all" / "weights"]
    workspace = Workspace(data=data, weights=places[0])
    for place in places:
        place.mkdir(parents=True)
        (place / "net.pth").write_bytes(b"x")
    for place in places:
        assert workspace.find_weights("net.pth") == place / "net.pth"
        (place / "net.pth").unlink()
    with pytest.raises(PrerequisiteError) as caught:
        workspace.find_weights("net.pth")
    looked = ", ".join(str(place / "net.pth") for place in places)
    assert f"weight file 'net.pth' was not found (looked in: {looked}). " in str(caught.value)
    assert "`weights:` in segshift.yaml" in str(caught.value)


def test_an_absolute_weight_file_is_taken_as_it_is(tmp_path: Path) -> None:
    file = tmp_path / "net.pth"
    file.write_bytes(b"x")
    assert Workspace().find_weights(str(file)) == file
    with pytest.raises(PrerequisiteError, match="was not found"):
        Workspace(weights=tmp_path).find_weights(str(tmp_path / "other.pth"))


def test_without_any_folder_that_is_said(tmp_path: Path) -> None:
    for workspace in (Workspace(), Workspace(data={"gta": tmp_path})):
        with pytest.raises(PrerequisiteError, match="looked in: nowhere: no folder is configured"):
            workspace.find_weights("net.pth")


def test_the_cache_is_off_unless_it_has_a_folder(write: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert load_workspace(write_settings(write, "store: x\n"), {}).cache is None
    cache = load_workspace(write_settings(write, "cache: {folder: fast/cache, max_gb: 2.5}\n"), {}).cache
    assert cache is not None
    assert cache.folder == tmp_path / "fast" / "cache"
    assert cache.max_bytes == 2_500_000_000
    with pytest.raises(SpecError, match=r"segshift\.yaml:1: cache.folder: this key is required"):
        load_workspace(write_settings(write, "cache: {max_gb: 1}\n"), {})


def test_whom_to_tell(write: Write) -> None:
    assert load_workspace(write_settings(write, "store: x\n"), {}).notify is None
    told = load_workspace(write_settings(write, "notify: {url: https://example.org/x, on: [end]}\n"), {}).notify
    assert told is not None
    assert (told.url, told.command, told.on) == ("https://example.org/x", None, ("end",))
    told = load_workspace(write_settings(write, "notify: {command: mail me}\n"), {}).notify
    assert told is not None
    assert told.on == ("end", "failure")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{on: [end]}", r"segshift\.yaml:1: notify: .*nobody to tell: give `command`, `url`, or both"),
        ("{url: example.org}", r"segshift\.yaml:1: notify.url: .*example.org"),
        ("{command: x, on: [start]}", r"segshift\.yaml:1: notify.on.0: .*'end' or 'failure'"),
        ("{command: x, on: []}", r"segshift\.yaml:1: notify.on: "),
        ("{command: x, when: [end]}", r"segshift\.yaml:1: notify.when: unknown key 'when'"),
    ],
)
def test_nobody_or_nothing_to_tell_is_refused(text: str, message: str, write: Write) -> None:
    with pytest.raises(SpecError, match=message):
        load_workspace(write_settings(write, f"notify: {text}\n"), {})


@pytest.mark.parametrize("source", ["file", "variable", "argument"])
def test_a_store_may_be_a_bucket(folders: dict[str, Path], tmp_path: Path, source: str) -> None:
    uri = f"s3://bucket/{source}"
    (tmp_path / FILE).write_text("store: s3://bucket/file/\n" if source == "file" else "store: elsewhere\n")
    environment = {"SEGSHIFT_STORE": uri} if source == "variable" else {}
    workspace = load_workspace(tmp_path, environment, store=parse_place(uri) if source == "argument" else None)
    assert workspace.store == uri


def test_each_bucket_has_a_working_place_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SEGSHIFT_LOCAL", str(tmp_path / "local"))
    one, same, other = (Workspace(store=uri).store_folder for uri in ("s3://b/one", "s3://b/one/", "s3://b/other"))
    assert one == same != other
    assert one.parent == other.parent == tmp_path / "local"
    monkeypatch.delenv("SEGSHIFT_LOCAL")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    assert Workspace(store="s3://b/one").store_folder.parent == tmp_path / "home" / ".cache" / "segshift"
    assert Workspace(store=str(tmp_path)).store_folder == tmp_path, "a folder is its own working place"
