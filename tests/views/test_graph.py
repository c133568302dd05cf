"""The graph as Mermaid text."""

from __future__ import annotations

from weftrun.model.graph import Call
from weftrun.model.policy import Kind
from weftrun.views.graph import graph


def lines(book, **options):
    return [line.strip() for line in graph(book.rows, book.trace, **options).splitlines()]


def test_a_map_is_one_node_with_its_count_and_data_edges_are_solid(wordcount):
    shown = lines(wordcount)
    assert shown[0] == "flowchart TD"
    assert 'subgraph s0["wordcount"]' in shown
    assert 's1["count[0] × 10"]:::succeeded' in shown
    assert "s1 --> s3" in shown
    assert "s2 --> s3" in shown
    assert "s3 --> s0_end" in shown
    assert any(line.startswith("classDef succeeded") for line in shown)
    assert not any("classDef failed" in line for line in shown)


def test_control_edges_are_dotted(book, words, countdown):
    assert "s1 -.-> s2" in lines(countdown)
    book.rows.clear()
    book.start()
    calls = [(words.spec("a"), Call(0, 0, words.payload())), (words.spec("b"), Call(1, 0, words.payload(), (0,)))]
    book.graph(0.01, "flow", calls, words.payload(1))
    shown = lines(book)
    assert "s1 -.-> s2" in shown
    assert "s1 --> s2" not in shown


def test_a_child_workflow_is_a_box_and_its_answer_leaves_it(book, words):
    book.start()
    child = words.spec("child", Kind.WIRING)
    calls = [(child, Call(0, 0, words.payload())), (words.spec("use"), Call(1, 0, words.payload(0)))]
    book.graph(0.01, "flow", calls, words.payload(1))
    book.graph(0.02, "child[0]", [(words.spec("a"), Call(0, 0, words.payload()))], words.payload(0))
    shown = lines(book)
    assert 'subgraph s1["child[0]"]' in shown
    assert 's3["child[0]/a[0]"]:::pending' in shown
    assert "s3 --> s1_end" in shown
    assert "s1_end --> s2" in shown


def test_refs_in_the_items_of_a_map_are_edges_of_the_attempt_that_counts(book, words):
    book.start()
    book.chunk(0.0, "flow", "work[0]", 1, 0, 1, last=True, refs=(0,))
    calls = [
        (words.spec("load"), Call(0, 0, words.payload())),
        (words.spec("work"), Call(1, 0, words.payload(), is_map=True)),
    ]
    book.graph(0.01, "flow", calls, words.payload(1))
    assert "s2 --> s1" in lines(book)  # the map was known before its producer, by its chunk


def test_many_steps_become_one_node_for_each_function(book, words):
    book.start()
    calls = [(words.spec("inc"), Call(0, n, words.payload())) for n in range(500)]
    calls.append((words.spec("sum"), Call(1, 0, words.payload(*range(500)))))
    book.graph(0.01, "flow", calls, words.payload(500))
    shown = lines(book)
    assert 's1["inc × 500"]:::pending' in shown
    assert shown.count("s1 --> s2") == 1
    assert len(shown) < 12
    assert len(lines(book, nodes_max=1_000)) > 500


def test_labels_can_hold_anything(book, words):
    book.start()
    spec = words.spec("a")
    odd = type(spec)(spec.name, 'say "<hi>" #1')
    book.graph(0.01, "flow", [(odd, Call(0, 0, words.payload()))], words.payload(0))
    assert 's1["say #quot;#lt;hi#gt;#quot; #35;1[0]"]:::pending' in lines(book)
