# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""The `midwire` command itself: what it loads, its statuses, its errors. Rules C1, C3 and C4."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from importlib import metadata
from pathlib import Path

import pytest
import typer

from midwire.host import cli
from midwire.host.wire.udp import UdpPort, format_address
from midwire.hw.formats.bundle import Bundle

HEAVY = ("amaranth", "midwire.compiler.", "onnx.", "onnx_ir", "cocotb")


def loaded_by(code: str) -> list[str]:
    """Heavy modules that a fresh interpreter has loaded after running some code."""
    show = f"print('\\n'.join(m for m in sys.modules if (m + '.').startswith({HEAVY!r})))"
    done = subprocess.run(
        [sys.executable, "-c", f"import sys\n{code}\n{show}"],
        capture_output=True,
        text=True,
        check=True,
    )
    return [line for line in done.stdout.splitlines() if line.startswith(HEAVY)]


@pytest.mark.parametrize("words", [["--help"], ["edge", "--help"], ["cloud", "--help"]])
def test_help_loads_neither_compiler_nor_amaranth(words: list[str]) -> None:
    assert loaded_by(f"from midwire.host import cli\ncli.main({words!r})") == []


def test_nodes_load_neither_compiler_nor_amaranth() -> None:
    assert (
        loaded_by(
            "import midwire.host.client.requests, midwire.host.nodes.cloud, midwire.host.nodes.edge"
        )
        == []
    )


def test_help_lists_every_command_with_its_docstring(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main([]) == 0
    text = " ".join(capsys.readouterr().out.split())
    for name, point in cli.commands().items():
        loaded = point.load()
        said = loaded.info.help if isinstance(loaded, typer.Typer) else loaded.__doc__
        assert f" {name} {str(said).splitlines()[0]}" in text


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["--version"]) == 0
    assert capsys.readouterr().out == f"midwire {metadata.version('midwire')}\n"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["nonsense"], "No such command 'nonsense'. See: midwire --help."),
        (["edge"], "Missing argument 'BUNDLE'. See: midwire edge --help."),
        (
            ["cloud", "x", "--slots", "0"],
            (
                "Invalid value for '--slots': Input should be greater than or equal to 1. See: "
                "midwire cloud --help."
            ),
        ),
        (
            ["edge", "x", "--target", "a:1"],
            "Invalid value for --inputs: give --inputs or --random. See: midwire edge --help.",
        ),
        (["steer"], "No such option: --json. See: midwire steer --help."),
        (
            ["steer", "set", "x", "0"],
            (
                "Missing option '--action'. Choose from: execute, forward, redirect. See: midwire "
                "steer set --help."
            ),
        ),
    ],
)
def test_wrong_usage_is_status_2(
    words: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main([*words, "--json"]) == 2
    out, err = capsys.readouterr()
    assert json.loads(out)["error"]["message"] == message
    assert err == f"error: {message}\n"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (
            "inspect none.onnx",
            (
                "none.onnx: no such file; expected an ONNX model, a file that ends in .onnx; found "
                "nothing. Check the path."
            ),
        ),
        (
            "inspect .",
            (
                ".: this is a folder; expected an ONNX model, a file that ends in .onnx; found a "
                "folder. Give the file inside it."
            ),
        ),
        (
            "compile none.onnx -o file",
            (
                "file: will not overwrite what is not a bundle; expected no such path, an empty "
                "folder or an old bundle; found a file. Choose another output folder."
            ),
        ),
        (
            "verify none",
            (
                "none: not a bundle; expected a folder with manifest.json; found no such folder. "
                "Make one with: midwire compile MODEL -o BUNDLE."
            ),
        ),
        (
            "verify BUNDLE --seed -1",
            (
                "Invalid value for '--seed': Input should be greater than or equal to 0. See: "
                "midwire verify --help."
            ),
        ),
        (
            "edge BUNDLE --target :9 --random 1 --seed -1",
            (
                "Invalid value for '--seed': Input should be greater than or equal to 0. See: "
                "midwire edge --help."
            ),
        ),
        (
            "evaluate BUNDLE --inputs none.npz",
            (
                "none.npz: the arrays cannot be read; expected an .npz file of plain arrays; found "
                "no such file. Write it with numpy.savez(path, in0=samples)."
            ),
        ),
        (
            "run BUNDLE --inputs . -o out.npz",
            (
                ".: the arrays cannot be read; expected an .npz file of plain arrays; found a "
                "folder. Write it with numpy.savez(path, in0=samples)."
            ),
        ),
        (
            "synth BUNDLE --family xc9",
            (
                "--family: unknown family; expected ecp5 or xc7 or xcup; found 'xc9'. Choose one "
                "of them; counts of related parts differ little."
            ),
        ),
        (
            "up none.toml",
            (
                "none.toml: cannot be read; expected a TOML file; found No such file or directory. "
                "`midwire up --help` shows one."
            ),
        ),
    ],
)
def test_what_is_not_there_or_makes_no_sense_is_wrong_usage(
    words: str,
    message: str,
    bundle: Bundle,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # C3
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file").write_text("mine")
    assert cli.main(words.replace("BUNDLE", str(bundle.root)).split()) == 2
    out, err = capsys.readouterr()
    assert (out, err) == ("", f"error: {message}\n")


def test_an_error_is_status_1_and_a_paragraph(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["cloud", str(tmp_path)]) == 1
    out, err = capsys.readouterr()
    assert out == ""
    assert err == (
        f"error: {tmp_path}: not a bundle; expected a folder with manifest.json; found no such "
        "file. Make one with: midwire compile MODEL -o BUNDLE.\n"
    )


@pytest.mark.parametrize("address", ["here", "127.0.0.1:99999", "127.0.0.1:-1", "127.0.0.1:x"])
def test_a_wrong_address_is_said(
    address: str, bundle: Bundle, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["cloud", str(bundle.root), "--listen", address, "--json"]) == 2
    error = json.loads(capsys.readouterr().out)["error"]
    assert error["problem"] == "not a usable --listen"
    assert error["where"] == repr(address)


@pytest.mark.parametrize("node", [["cloud"], ["nic", "--next", "127.0.0.1:5"]])
def test_an_occupied_port_is_said_alike_by_every_node(
    node: list[str], bundle: Bundle, capsys: pytest.CaptureFixture[str]
) -> None:
    with UdpPort() as taken:
        at = f"{taken.address[0]}:{taken.address[1]}"
        assert cli.main([node[0], str(bundle.root), *node[1:], "--listen", at]) == 1
    assert capsys.readouterr().err == (
        f"error: {at}: cannot open a UDP socket; expected an address of this machine and a free "
        "port; found Address already in use. Choose another address or port; port 0 is any free "
        "one.\n"
    )


def test_a_nic_wants_one_address(bundle: Bundle, capsys: pytest.CaptureFixture[str]) -> None:
    for address in ("0.0.0.0:0", "[::]:0"):
        words = ["nic", str(bundle.root), "--next", "127.0.0.1:5", "--listen", address]
        assert cli.main(words) == 2
        assert capsys.readouterr().err == (
            "error: --listen: the NIC needs one address, which goes into its frames; expected an "
            f"address of one interface; found {address}. Give the address of the interface that "
            "clients send to.\n"
        )


BETWEEN = ["--next-mac", "02:00:00:00:00:01", "--wire"]
UNSHARED = "only UDP sockets can share an address: with --wire or --read there is one. "


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (
            ["--read", "in.pcap", "--listen", ":0"],
            "Invalid value for --listen: requests need one port",
        ),
        (["--read", "in.pcap"], "Invalid value for --read, --write: give both"),
        (["--wire", "a", "b"], "Invalid value for --next-mac: belongs to --wire"),
        ([*BETWEEN, "a", "a"], "Invalid value for --wire: give two interfaces"),
        ([*BETWEEN, "a", "b", "--peer", "10.0.0.1"], "Invalid value for --peer: belongs to UDP"),
        ([*BETWEEN, "a", "b", "--read", "c"], "Invalid value for --wire: cannot be with --read"),
        (["--next-mac", "02:00:00:00:00:01"], "Invalid value for --next-mac: belongs to"),
        (["--datapath", "nonsense"], "Invalid value for '--datapath': "),
        (
            [*BETWEEN, "a", "b", "--instances", "2"],
            f"Invalid value for --instances: {UNSHARED}",
        ),
        (
            ["--read", "in.pcap", "--write", "out.pcap", "--instances", "2"],
            f"Invalid value for --instances: {UNSHARED}",
        ),
        (
            ["--listen", "127.0.0.1:5", "--listen", "127.0.0.1:6"],
            "Invalid value for --listen: give one address. ",
        ),
        (
            [*BETWEEN, "a", "b", "--listen", "127.0.0.1:5", "--listen", "127.0.0.2:5"],
            "Invalid value for --listen: give one address of each IP version. ",
        ),
        (
            [*BETWEEN, "a", "b", "--listen", "[::1]:5"],
            "Invalid value for --listen: what comes in one IP version does not leave in the other",
        ),
        (
            [*BETWEEN, "a", "b", "--next", "[::1]:6"],
            "Invalid value for --listen: both IP versions have the same port. ",
        ),
        (
            [*BETWEEN, "a", "b", "--next", "[::1]:6", "--listen", ":5", "--listen", "[::1]:5"],
            "Invalid value for --next: both IP versions have the same port. ",
        ),
        (
            ["--instances", "0"],
            "Invalid value for '--instances': Input should be greater than or equal to 1. ",
        ),
        (
            ["--instances", "65"],
            "Invalid value for '--instances': Input should be less than or equal to 64. ",
        ),
    ],
)
def test_options_of_a_nic_that_do_not_go_together(
    words: list[str], message: str, bundle: Bundle, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["nic", str(bundle.root), "--next", "127.0.0.1:5", *words]) == 2
    assert capsys.readouterr().err.startswith(f"error: {message}")


def test_a_mac_address_that_is_none_is_said(
    bundle: Bundle, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["--wire", "a", "b", "--listen", ":5"]
    given = ["--next", "127.0.0.1:5", "--next-mac", "2:3"]
    assert cli.main(["nic", str(bundle.root), *words, *given]) == 2
    assert capsys.readouterr().err == (
        "error: '2:3': not a usable --next-mac; expected six bytes, as in 02:00:7f:00:00:01; found "
        "another form. `ip neighbour` shows those of a machine's neighbours.\n"
    )


def test_an_interface_that_is_not_there_is_said_before_a_build(
    bundle: Bundle, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["nic", str(bundle.root), "--next", "127.0.0.1:5", *BETWEEN, "lo", "nosuch0"]
    assert cli.main(words) == 2
    said = capsys.readouterr().err
    assert said.startswith("error: --wire lo nosuch0: no such network interface; expected one of ")
    assert said.endswith("found nosuch0. `ip link` shows those of this machine.\n")


def test_a_privilege_that_is_lacking_is_said_before_a_build(
    bundle: Bundle, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def refused(*_: object) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr("socket.socket", refused)
    monkeypatch.setattr("socket.if_nametoindex", lambda _: 1)
    words = ["nic", str(bundle.root), "--next", "127.0.0.1:5", *BETWEEN, "a", "b"]
    assert cli.main(words) == 1
    assert capsys.readouterr().err == (
        "error: --wire a b: cannot take frames of network interfaces; expected Linux, and root or "
        "the capability CAP_NET_RAW; found [Errno 1] Operation not permitted. Run it as root, or "
        "leave --wire out: UDP sockets need no privilege.\n"
    )


@pytest.mark.parametrize("flags", [[], ["--json"]])
def test_an_interrupt_is_status_130_and_a_line(
    flags: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupted(path: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("midwire.host.nodes.cloud.Bundle.load", interrupted)
    assert cli.main(["cloud", "x", *flags]) == 130
    assert capsys.readouterr() == ("", "" if flags else "interrupted\n")


def test_an_interrupt_before_anything_is_loaded_is_the_same() -> None:
    code = (
        "import os, signal, sys\n"
        "class Typer:\n"
        "    def find_spec(self, name, *_):\n"
        "        if name == 'typer': os.kill(os.getpid(), signal.SIGINT)\n"
        "sys.meta_path.insert(0, Typer())\n"
        "import midwire.__main__\n"
    )
    done = subprocess.run([sys.executable, "-c", code], check=False, capture_output=True, text=True)
    assert (done.returncode, done.stdout, done.stderr) == (130, "", "interrupted\n")


def test_a_signal_after_the_end_is_not_a_trace() -> None:
    """A demo ends the compiler whose error it has read, which may be ending by itself."""
    code = (
        "import atexit, os, signal, sys\n"
        "from midwire.__main__ import main\n"
        "atexit.register(lambda: os.kill(os.getpid(), signal.SIGTERM))\n"
        "sys.argv = ['midwire', '--version']\n"
        "sys.exit(main())\n"
    )
    done = subprocess.run([sys.executable, "-c", code], check=False, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (-signal.SIGTERM, "")


def test_a_background_job_is_not_ended_by_an_interrupt(bundle: Bundle) -> None:
    """Started with SIGINT ignored, as a script's ``&`` does it; SIGTERM ends it."""
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        process = subprocess.Popen(
            [sys.executable, "-m", "midwire", "cloud", str(bundle.root), "--json"],
            stdout=subprocess.PIPE,
            text=True,
        )
    finally:
        signal.signal(signal.SIGINT, before)
    with process:
        assert process.stdout is not None
        assert json.loads(process.stdout.readline())["event"] == "ready"
        process.send_signal(signal.SIGINT)
        with pytest.raises(subprocess.TimeoutExpired):
            process.wait(1.0)
        process.send_signal(signal.SIGTERM)
        assert process.wait(20) == 130


def test_a_defect_of_ours_is_still_an_object(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def broken(path: object) -> None:
        raise ZeroDivisionError("zero")

    monkeypatch.setattr("midwire.host.nodes.cloud.Bundle.load", broken)
    assert cli.main(["cloud", "x", "--json"]) == 1
    out, err = capsys.readouterr()
    assert json.loads(out)["error"]["type"] == "ZeroDivisionError"
    assert "Traceback" in err and "This is a defect of midwire" in err


@pytest.mark.parametrize(
    ("words", "problem"),
    [
        (["edge", "BUNDLE", "--target", "127.0.0.1:0", "--random", "1"],
         ("'127.0.0.1:0': not a usable --target; expected HOST:PORT, as in 127.0.0.1:5210; found "
          "port 0, at which nobody listens. Give the port that the node's ready line says.")),
        (["nic", "BUNDLE", "--next", "127.0.0.1:0"], "not a usable --next"),
        (["nic", "BUNDLE", "--next", "127.0.0.1:5993", "--listen", "127.0.0.1:5993"],
         ("--next: the NIC would send to itself, and again and again; expected the address of the "
          "cloud, or of another NIC; found that of --listen, 127.0.0.1:5993.")),
        (["edge", "BUNDLE", "--target", "192.0.2.1:9", "--random", "1"],
         "192.0.2.1:9: no way to the other side; expected a machine that can be reached from 127."),
    ],
)  # fmt: skip
def test_a_first_hop_that_is_none_is_said(
    words: list[str], problem: str, bundle: Bundle, capsys: pytest.CaptureFixture[str]
) -> None:
    status = cli.main([str(bundle.root) if word == "BUNDLE" else word for word in words])
    assert status == (1 if "192.0.2.1" in problem else 2)
    assert problem in capsys.readouterr().err


def test_a_recording_is_not_written_over_itself(
    bundle: Bundle, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "in.pcap"
    path.write_bytes(b"recorded")
    words = ["nic", str(bundle.root), "--next", ":9", "--listen", ":8"]
    assert cli.main([*words, "--read", str(path), "--write", str(path)]) == 2
    assert "is the file that --read names" in capsys.readouterr().err
    assert path.read_bytes() == b"recorded"


def test_an_output_that_cannot_be_written_is_said_before_a_request_is_sent(
    bundle: Bundle, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with UdpPort() as hop:
        words = ["edge", str(bundle.root), "--target", format_address(hop.address)]
        assert cli.main([*words, "--random", "1", "-o", str(tmp_path)]) == 1
        assert list(hop.receive(0.0)) == []
    assert capsys.readouterr().err == (
        f"error: {tmp_path}: the arrays cannot be written; expected a path that can be written, on "
        "a disk with room; found Is a directory. Choose another output file.\n"
    )
    words = ["run", str(bundle.root), "--inputs", str(tmp_path / "none.npz"), "-o", str(tmp_path)]
    assert cli.main(words) == 1  # before anything is built
    assert "the arrays cannot be written" in capsys.readouterr().err


def test_seconds_that_are_none_are_wrong_usage(
    bundle: Bundle, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["edge", str(bundle.root), "--target", ":9", "--random", "1"]
    for text in ("inf", "nan", "1e9"):
        assert cli.main([*words, "--deadline", text]) == 2
        assert f"{text} is not a number of seconds from 0.01 to 86400, a day" in (
            capsys.readouterr().err
        )


def run_with(out: int, *words: str, **environment: str) -> tuple[int, str]:
    """Status and standard error of the command, its standard output being a file descriptor."""
    done = subprocess.run(
        [sys.executable, "-m", "midwire", *words],
        stdout=out,
        stderr=subprocess.PIPE,
        env={**os.environ, **environment},
        text=True,
        check=False,
    )
    return done.returncode, done.stderr


def test_a_reader_that_has_gone_ends_a_command_without_a_word() -> None:
    ours, theirs = os.pipe()
    os.close(ours)
    assert run_with(theirs, "--help") == (1, "")
    os.close(theirs)


def test_a_full_disk_is_no_defect() -> None:
    with Path("/dev/full").open("wb") as full:
        status, said = run_with(full.fileno(), "--help")
    assert status == 1
    assert said == (
        "error: No space left on device; expected a disk with room. Make room, and try again.\n"
    )
    with Path("/dev/full").open("wb") as full:
        status, said = run_with(full.fileno(), "cloud", "nowhere", "--json")
    assert status == 2
    assert said.startswith("error: nowhere: not a bundle;") and said.count("\n") == 1


def test_a_terminal_without_unicode_gets_escapes(tmp_path: Path) -> None:
    name = str(tmp_path / "b\u00fcndel")
    status, said = run_with(subprocess.DEVNULL, "cloud", name, PYTHONIOENCODING="ascii")
    assert status == 2
    assert "b\\xfcndel: not a bundle" in said


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["comp"], ["compile"]),
        (["compile", "--str"], ["--strategy"]),
        (["inspect", "model.onnx", "--sh"], ["--shape"]),
        (["verify", "--nothing"], []),
        (["steer", "ap"], ["apply"]),
        (["steer", "set", "nic.sock", "0", "--ne"], ["--next-hop"]),
        (["steer", "set", "nic.sock", "0", "--action", "for"], ["forward"]),
    ],
)
def test_bash_completes(words: list[str], expected: list[str], tmp_path: Path) -> None:
    """With the script that the command itself gives, in a shell that has read nothing else."""
    program = tmp_path / "midwire"
    program.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m midwire "$@"\n')
    program.chmod(0o755)
    lines = [
        'eval "$("$0" --show-completion)"',
        'COMP_WORDS=(midwire "$@"); COMP_CWORD=$#',
        '_midwire_completion "$0"',
        'printf "%s\\n" "${COMPREPLY[@]}"',
    ]
    done = subprocess.run(
        ["bash", "--norc", "-c", "\n".join(lines), program, *words],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.stdout.split(), done.stderr, done.returncode) == (expected, "", 0)


@pytest.mark.parametrize("shell", ["zsh", "fish"])
def test_other_shells_complete(
    shell: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Only the module of the command on the line is loaded, as for running it."""
    monkeypatch.setenv("_MIDWIRE_COMPLETE", f"complete_{shell}")
    monkeypatch.setenv("_TYPER_COMPLETE_ARGS", "midwire compile --strat")
    monkeypatch.setenv("_TYPER_COMPLETE_FISH_ACTION", "get-args")
    with pytest.raises(SystemExit) as ended:
        cli.main([])
    out = capsys.readouterr().out
    assert "--strategy" in out and "--rate" not in out
    assert ended.value.code in (0, None)
