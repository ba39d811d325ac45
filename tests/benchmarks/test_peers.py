"""What the benchmark of peers decides by itself: whose turn it is, what counts, and what is printed."""

from __future__ import annotations

import importlib.metadata
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.benchmarks.peers_figures import Usage, medians, orders, peers_table, percentile, table
from tests.benchmarks.peers_machine import busy_ticks_in, loopback_only, peak_in, processor_in
from tests.benchmarks.peers_table import OURS, PEERS, Errand, Peer, chosen, first_version
from tests.benchmarks.peers_works import WORKS, Work, contents, difference, make_files

LAUNCH = Path(__file__).with_name("peers_launch.py")
posix_only = pytest.mark.skipif(os.name != "posix", reason="forks")


@given(st.lists(st.text(), unique=True, min_size=1), st.integers(0, 30))
def test_every_round_has_every_peer_once(names: list[str], rounds: int) -> None:
    found = orders(names, rounds)
    assert len(found) == rounds
    assert all(sorted(order) == sorted(names) for order in found)


def test_each_peer_has_the_first_turn_equally_often() -> None:
    assert sorted(order[0] for order in orders("abc", 6)) == ["a", "a", "b", "b", "c", "c"]


def test_no_peers_have_empty_rounds() -> None:
    assert orders([], 2) == [[], []]


def test_medians_are_taken_of_each_figure_alone() -> None:
    found = medians([Usage(1.0, 30.0, 200), Usage(2.0, 10.0, 100), Usage(9.0, 20.0, 300)])
    assert (found.wall, found.cpu, found.peak) == (2.0, 20.0, 200)


@given(st.lists(st.floats(allow_nan=False), min_size=1), st.floats(0.01, 1.0))
def test_percentile_is_the_least_value_that_the_share_does_not_exceed(
    values: list[float], share: float
) -> None:
    found = percentile(values, share)
    assert found in values
    assert sum(value <= found for value in values) >= share * len(values)
    assert sum(value < found for value in values) < share * len(values)


def test_percentile_of_nothing_is_nothing() -> None:
    assert percentile([], 0.99) == 0.0


def cells_of(line: str) -> list[str]:
    return [cell.strip() for cell in line.strip("|").split("|")]


def test_table_has_the_fastest_first_and_ratios_of_medians() -> None:
    measured = {
        OURS: [Usage(2.0, 1.0, 50 << 20), Usage(4.0, 1.0, 50 << 20), Usage(3.0, 1.0, 50 << 20)],
        "curl": [Usage(1.5, 2.0, 10 << 20)],
        "broken": [],
    }
    heads, _, *rows = peers_table(
        measured, ours=OURS, versions={"curl": "8.1"}, files=300, total=1 << 20
    ).splitlines()
    found = [dict(zip(cells_of(heads), cells_of(row), strict=True)) for row in rows]
    assert [row["client"] for row in found] == ["curl", f"**{OURS}**"]
    assert found[0] == {
        "client": "curl",
        "version": "8.1",
        "wall s": "1.50",
        "least to most": "1.50 to 1.50",
        "CPU s": "2.00",
        "peak MiB": "10",
        "files/s": "200",
        f"wall / {OURS}": "0.50",
        f"CPU / {OURS}": "2.00",
    }
    assert found[1]["least to most"] == "2.00 to 4.00"


def test_table_has_no_ratios_when_ours_failed() -> None:
    row = peers_table({"curl": [Usage(1.0, 1.0, 1)]}, ours=OURS, versions={}, files=1, total=1).splitlines()[
        -1
    ]
    assert cells_of(row)[-2:] == ["", ""]


def test_speed_of_one_file_is_in_bytes() -> None:
    text = peers_table({OURS: [Usage(2.0, 1.0, 1)]}, ours=OURS, versions={}, files=1, total=10_000_000)
    assert cells_of(text.splitlines()[0])[6] == "MB/s"
    assert cells_of(text.splitlines()[-1])[6] == "5"


def test_columns_of_a_table_stand_under_each_other() -> None:
    lines = table(["what", "figure"], [["short", "1"], ["rather long", "1000"]]).splitlines()
    assert len({len(line) for line in lines}) == 1
    assert len({tuple(index for index, sign in enumerate(line) if sign == "|") for line in lines}) == 1


def test_files_are_of_the_size_of_the_work_and_all_different(tmp_path: Path) -> None:
    names = make_files(Work("tiny", 3, (1 << 20) + 5), tmp_path / "files")
    assert [(tmp_path / "files" / name).stat().st_size for name in names] == [(1 << 20) + 5] * 3
    assert len(set(contents(tmp_path / "files").values())) == 3


@pytest.mark.parametrize(
    ("found", "trouble"),
    [
        ({"a": "1", "b": "2"}, ""),
        ({"a": "1"}, "1 missing (b)"),
        ({"a": "1", "b": "2", "b.part": "3"}, "1 not asked for (b.part)"),
        ({"a": "2", "b": "1"}, "2 with wrong bytes (a)"),
        ({}, "2 missing (a)"),
    ],
)
def test_difference_is_told(found: dict[str, str], trouble: str) -> None:
    assert difference({"a": "1", "b": "2"}, found) == trouble


def test_one_wrong_byte_and_a_leftover_in_a_folder_are_found(tmp_path: Path) -> None:
    folder = tmp_path / "files"
    first, second = make_files(Work("tiny", 2, 100), folder)
    wanted = contents(folder)
    (folder / second).write_bytes(
        bytes([(folder / second).read_bytes()[0] ^ 1]) + (folder / second).read_bytes()[1:]
    )
    (folder / "more").mkdir()
    (folder / "more" / first).touch()
    assert (
        difference(wanted, contents(folder))
        == f"1 not asked for (more/{first}), 1 with wrong bytes ({second})"
    )


def test_ours_is_always_among_the_chosen() -> None:
    assert [peer.name for peer in chosen("curl, wget2", "small")] == [OURS, "curl", "wget2"]


def test_without_a_list_the_peers_of_the_work_are_chosen() -> None:
    small, big = ({peer.name for peer in chosen("", work)} for work in ("small", "big"))
    assert big - small == {"splice"}
    assert f"{OURS}-workers" not in big
    assert chosen(f"{OURS}-workers", "small")[1].name == f"{OURS}-workers"


def test_unknown_peer_is_refused_with_the_known_ones() -> None:
    with pytest.raises(ValueError, match=r"no peer is called wgett; there are asyncflags, curl"):
        chosen("curl,wgett", "small")


def errand(folder: Path, checksum: str | None = None) -> Errand:
    urls = ["https://127.0.0.1:1/00000.bin"] + ["https://127.0.0.1:1/00001.bin"] * (checksum is None)
    return Errand(urls, folder / "out", folder, folder / "authority.pem", checksum)


@pytest.mark.parametrize("name", PEERS)
def test_every_command_is_told_where_to_write_and_what_to_trust(name: str, tmp_path: Path) -> None:
    words = PEERS[name].asked(errand(tmp_path))
    read = " ".join(words) + "".join(path.read_text() for path in tmp_path.iterdir())
    assert str(tmp_path / "out") in read
    assert str(tmp_path / "authority.pem") in read
    assert "https://127.0.0.1:1/00001.bin" in read


@pytest.mark.parametrize("name", [name for name, peer in PEERS.items() if peer.checked])
def test_commands_that_check_are_told_the_checksum(name: str, tmp_path: Path) -> None:
    words = PEERS[name].asked(errand(tmp_path, "ab" * 32))
    assert "ab" * 32 in " ".join(words) + "".join(path.read_text() for path in tmp_path.iterdir())


def test_peers_that_cannot_check_are_left_out_of_that_work(tmp_path: Path) -> None:
    assert not PEERS["wget2"].can(errand(tmp_path, "ab" * 32))
    assert PEERS["wget2"].can(errand(tmp_path))


@pytest.mark.parametrize("install", ["make bench installs it", "apt-get install it"])
def test_absent_peer_has_no_version(install: str) -> None:
    assert Peer("absent", "asyncflags-absent", install, PEERS["curl"].command).version() is None


def test_present_library_has_its_version() -> None:
    assert PEERS["aiohttp"].version() == importlib.metadata.version("aiohttp")


@pytest.mark.parametrize(
    ("text", "version"),
    [
        ("curl 7.88.1 (x86_64) libcurl/7.88.1", "7.88.1"),
        ("GNU Wget2 V1.99.1 - multithreaded", "1.99.1"),
        ("nothing", "unknown"),
    ],
)
def test_version_is_the_first_that_a_program_tells(text: str, version: str) -> None:
    assert first_version(text) == version


def test_clients_get_no_proxy_and_the_certificate() -> None:
    found = loopback_only({"HTTPS_PROXY": "p", "no_proxy": "n", "HOME": "h"}, Path("authority.pem"))
    assert found["HOME"] == "h"
    assert found["SSL_CERT_FILE"] == "authority.pem"
    assert not {name for name in found if name.lower().endswith("_proxy")}


def test_processor_is_the_first_one_named() -> None:
    assert processor_in("processor : 0\nmodel name\t: Fast   One\nmodel name\t: Other\n") == "Fast One"
    assert processor_in("processor : 0\n") == ""


def test_waiting_does_not_count_as_busy() -> None:
    text = "cpu  1 2 4 1000 2000 8 16 0 0 0\ncpu0 1 1 1 1 1 1 1 0 0 0\n"
    assert busy_ticks_in(text) == 1 + 2 + 4 + 8 + 16


def test_peak_of_a_process_is_in_bytes() -> None:
    assert peak_in("VmPeak:\t  900 kB\nVmHWM:\t    12 kB\nVmRSS:\t     8 kB\n") == 12 * 1024
    assert peak_in("Name:\tsh\n") == 0


def test_works_are_called_what_they_are() -> None:
    assert all(name == work.name for name, work in WORKS.items())
    assert WORKS["small"].total == 10_000 * 4096


def launch(log: Path, *command: str, patience: float = 30.0) -> dict[str, float]:
    words = [sys.executable, "-I", "-S", str(LAUNCH), str(log), str(patience), *command]
    told = subprocess.run(words, check=True, capture_output=True).stdout
    found: dict[str, float] = json.loads(told)
    return found


@posix_only
def test_launched_command_has_its_output_kept_and_its_exit_code_told(tmp_path: Path) -> None:
    found = launch(tmp_path / "log", "sh", "-c", "echo said; echo loud >&2; exit 3")
    assert found["exit_code"] == 3
    assert (tmp_path / "log").read_text() == "said\nloud\n"


@posix_only
def test_absent_command_is_told_and_is_no_success(tmp_path: Path) -> None:
    assert launch(tmp_path / "log", "/does/not/exist")["exit_code"] == 127
    assert "/does/not/exist" in (tmp_path / "log").read_text()


@posix_only
def test_launched_command_is_ended_with_its_children_when_patience_ends(tmp_path: Path) -> None:
    found = launch(tmp_path / "log", "sh", "-c", "sleep 600 & echo $!; wait", patience=0.2)
    assert found["exit_code"] == -9
    child = int((tmp_path / "log").read_text())
    with pytest.raises(ProcessLookupError):
        os.kill(child, 0)


@pytest.mark.skipif(sys.platform != "linux", reason="orphans are adopted on Linux alone")
def test_memory_and_time_of_a_child_that_nobody_waited_for_count(tmp_path: Path) -> None:
    script = "import os\nif os.fork() == 0:\n    x = bytes(range(256)) * (150 << 12)\n    os._exit(0)\n"
    found = launch(tmp_path / "log", sys.executable, "-I", "-S", "-c", script)
    assert found["peak"] > 150 << 20


@posix_only
def test_small_command_is_not_hidden_by_who_started_it(tmp_path: Path) -> None:
    ballast = bytes(range(256)) * (100 << 12)
    assert launch(tmp_path / "log", "true")["peak"] < len(ballast) / 2
