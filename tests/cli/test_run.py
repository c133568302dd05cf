"""`weftrun run`: results, ids, errors and exit codes."""

from __future__ import annotations

import json
import sqlite3

import pytest


def test_the_result_is_json_on_stdout_and_the_id_the_first_line_of_stderr(cli, words):
    said = cli("run", words("wordcount"), "texts=hello", "texts=world", "--id", "books-1")
    assert said.code == 0
    assert json.loads(said.out) == [["l", 3], ["o", 2], ["h", 1]]
    first, *rest = said.err.splitlines()
    assert first == "books-1"
    assert rest[-1].startswith("succeeded in ")
    assert "; 2 Steps done; 2 items done (" in rest[-1]


def test_the_same_id_is_the_same_run_and_other_arguments_are_refused(cli, words):
    cli("run", words("wordcount"), "texts=hello", "texts=world", "--id", "books-1")
    again = cli("run", words("wordcount"), "texts=hello", "texts=world", "--id", "books-1")
    assert (again.code, json.loads(again.out)[0]) == (0, ["l", 3])
    assert "nothing had to run" in again.err
    other = cli("run", words("wordcount"), "texts=else", "--id", "books-1")
    assert (other.code, other.out) == (5, "")
    assert "books-1" in other.err


@pytest.mark.parametrize(
    ("target", "argument", "status"),
    [
        ("move", 'point={"x": 1, "y": 2}', "succeeded"),
        ("fail", "text=x", "failed"),
        ("wordcount", "texts=hello", "succeeded"),
    ],
)
def test_a_run_that_had_ended_says_that_nothing_had_to_run(cli, words, target, argument, status):
    given = ["run", words(target), *([argument] if argument else []), "--id", "q"]
    first = cli(*given)
    assert f"{status} in " in first.err and "nothing had to run" not in first.err
    for again in (cli("resume", "q"), cli(*given)):
        assert again.out == first.out
        assert f"{status} before: nothing had to run." in again.err
        assert "waited for the disk" not in again.err and f"{status} in " not in again.err


def test_the_command_line_joins_what_a_program_started(cli, words, journal):
    cli("run", words("wordcount"), "texts=hello", "--id", "one")
    for given in (["top=3", "texts=hello"], ['texts=["hello"]']):
        assert "nothing had to run" in cli("run", words("wordcount"), *given, "--id", "one").err
    assert cli("run", words("wordcount"), "texts=hello", "top=4", "--id", "one").code == 5


def test_paths_and_dates_are_compared(cli, words):
    cli("run", words("suffix"), "path=a.txt", "--id", "s")
    assert cli("run", words("suffix"), "path=b.md", "--id", "s").code == 5
    again = cli("run", words("suffix"), "path=a.txt", "--id", "s")
    assert (again.code, "not compared" in again.err) == (0, False)


def test_a_start_whose_arguments_can_not_be_compared_joins_and_says_so(cli, words, journal):
    first = cli("run", words("suffix"), "path=a.txt", "--id", "s")
    assert "not compared" not in first.err
    with sqlite3.connect(journal) as database:  # as a version wrote it that had no encoding of paths
        database.execute("UPDATE run SET digest = ''")
    database.close()
    again = cli("run", words("suffix"), "path=b.md", "--id", "s")
    assert (again.code, again.out) == (0, '".txt"\n')
    first_line, second_line = again.err.splitlines()[:2]
    assert first_line == "s"
    assert second_line.startswith(
        "weftrun: The id 's' was taken, and its Run is joined with arguments not compared: its "
    )
    assert cli("story", "s").out.count("arguments not compared") == 1
    assert "not compared" not in cli("resume", "s").err


def test_a_new_journal_is_said_after_the_id_and_shown_by_doctor(cli, words, journal):
    first = cli("run", words("suffix"), "path=a.txt", "--id", "s")
    id, said = first.err.splitlines()[:2]
    assert id == "s"
    assert said.startswith(
        f"weftrun: A new Journal was made: {journal}, named by $WEFTRUN_DATABASE_URL. It knows no Run"
    )
    assert "new Journal" not in cli("run", words("suffix"), "path=b.txt").err
    doctor = cli("doctor").out
    assert str(journal) in doctor
    assert "named by $WEFTRUN_DATABASE_URL" in doctor


def test_without_an_id_each_run_is_a_new_one(cli, words):
    ids = {cli("run", words("move"), 'point={"x": 1, "y": 2}').err.splitlines()[0] for _ in range(2)}
    assert len(ids) == 2
    assert all(id.startswith("move-") for id in ids)


def test_a_value_without_json_is_shown_by_its_repr_with_a_note(cli, words):
    said = cli("run", words("raw"))
    assert (said.code, said.out) == (0, "b'\\x00\\x01'\n")
    assert "is a bytes, which has no JSON" in said.err
    as_json = json.loads(cli("run", words("raw"), "--json", "--id", "r").out)
    assert as_json == {"id": "r", "status": "succeeded", "repr": "b'\\x00\\x01'"}


def test_json_holds_id_status_and_result(cli, words):
    said = cli("run", words("move"), 'point={"x": 1, "y": 2}', "by=3", "--json", "--id", "m")
    assert json.loads(said.out) == {"id": "m", "status": "succeeded", "result": {"x": 4, "y": 5}}


def test_a_failed_run_shows_the_authors_error_and_exits_1(cli, words):
    said = cli("run", words("broken"), "text=no luck", "--id", "b", "--json")
    assert said.code == 1
    assert json.loads(said.out)["error"] == {"type": "ValueError", "message": "no luck"}
    assert "in fail[0] of run b" in said.err
    assert "words.py" in said.err
    assert "weftrun/runtime" not in said.err
    assert "weftrun/guest" not in said.err
    assert said.err.rstrip().endswith("Run b has failed.")


def test_a_timeout_of_the_author_is_an_error_of_the_run(cli, words):
    said = cli("run", words("out_of_time"))
    assert said.code == 1
    assert "the author's own" in said.err


def test_inline_records_nothing(cli, words, journal):
    said = cli("run", words("wordcount"), "texts=aab", "--inline")
    assert (said.code, json.loads(said.out.splitlines()[-1])) == (0, [["a", 2], ["b", 1]])
    assert not journal.exists()
    failed = cli("run", words("broken"), "text=no", "--inline")
    assert failed.code == 1
    assert "ValueError: no" in failed.err
    assert cli("run", words("raw"), "--inline", "--detach").code == 2


@pytest.mark.parametrize(
    ("target", "sentence"),
    [
        ("nope.py", "There is no file"),
        ("nope", "neither a file nor a module 'nope'"),
        ("nope:wf", "neither a file nor a module 'nope'"),
        ("json:dumps", "dumps in json is not a Function"),
        ("json", "There is no workflow in json"),
        (":x", "names no workflow"),
        ("WORDS:wordcuont", "Did you mean wordcount?"),
        ("WORDS", "has several: wordcount, broken, naps"),
    ],
)
def test_a_target_that_is_not_there(cli, words, target, sentence):
    said = cli("run", target.replace("WORDS", words("").rstrip(":")))
    assert said.code == 2
    assert sentence in said.err
    assert "Traceback" not in said.err


def test_a_file_with_one_workflow_needs_no_name(cli, tmp_path):
    (tmp_path / "only.py").write_text(
        "import weftrun\n"
        "@weftrun.function\ndef f(x: int) -> int: return x\n"
        "@weftrun.workflow\ndef wf(x: int): return f(x)\n"
    )
    assert cli("run", "only.py", "x=3").out == "3\n"


def test_a_file_whose_import_fails_shows_the_authors_frames(cli, tmp_path):
    (tmp_path / "bad.py").write_text("import weftrun\n1 / 0\n")
    said = cli("run", "bad.py")
    assert said.code == 2
    assert "bad.py can't be imported" in said.err
    assert 'bad.py", line 2' in said.err
    assert "ZeroDivisionError" in said.err
    assert "bundle.py" not in said.err


def test_a_file_named_like_a_loaded_module_is_refused(cli, tmp_path):
    (tmp_path / "json.py").write_text("")
    said = cli("run", str(tmp_path / "json.py"))
    assert said.code == 2
    assert "name of a module that is loaded already (json)" in said.err


@pytest.mark.parametrize(
    ("words_given", "sentence"),
    [
        ([], "wordcount needs texts=…"),
        (["texts=a", "tpo=1"], "Did you mean top? It takes texts: list[str], top: int = 3."),
        (["texts=a", "top=many"], "top=many is no int"),
        (["texts=a", "top=1", "top=2"], "top is given 2 times"),
        (["texts"], "'texts' is not name=value"),
        (["texts=@nowhere"], "texts=@nowhere: the file can't be read: No such file"),
    ],
)
def test_arguments_that_do_not_fit(cli, words, journal, words_given, sentence):
    said = cli("run", words("wordcount"), *words_given)
    assert said.code == 2
    assert sentence in said.err
    assert not journal.exists()


def test_a_journal_that_is_none(cli, words, tmp_path):
    (tmp_path / "notes.txt").write_text("this is no database, whatever its length may be" * 100)
    said = cli("run", words("raw"), "--db", f"sqlite:///{tmp_path}/notes.txt")
    assert said.code == 4
    assert "notes.txt" in said.err
    assert cli("run", words("raw"), "--db", "mysql://x").code == 2


def test_only_linux(cli, monkeypatch):
    monkeypatch.setattr("sys.platform", "win32")
    said = cli("list")
    assert (said.code, said.out) == (2, "")
    assert said.err == "weftrun runs on Linux; this is win32. In a container or WSL 2 it works.\n"


def test_help_and_unknown_commands(cli):
    assert "timeline" in cli("--help").out
    assert cli("nope").code == 2
    for word, said in (
        ("step", "No such command 'step'. Did you mean steps?"),
        ("stroy", "Did you mean story"),
        ("xyz", "There are run, "),
    ):
        assert said in cli(word, "q").err
    assert "Did you mean '--json'?" in cli("list", "--jsn").err
    assert "Options stand behind it: weftrun list --db ..." in cli("--db", "sqlite:///x.db", "list").err
    assert cli("run").code == 2
    assert cli("--version").out.startswith("weftrun, version ")


@pytest.mark.parametrize("command", ["run", "resume", "retry"])
def test_the_option_that_was_called_workers_is_refused_with_its_name_of_now(cli, words, command):
    said = cli(command, words("wordcount") if command == "run" else "one", "--workers", "3")
    assert said.code == 2 and not said.out
    assert "--workers 3 is not known: say --sandboxes 3 for the number of Sandboxes." in said.err
    assert "--workers" not in cli(command, "--help").out
