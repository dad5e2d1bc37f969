"""What tells shift, control, shift0 and control0 apart: published terms, and a machine that any term can be asked of."""

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from laws.operators import Log, call_cc, control, control0, shift, shift0
from laws.reduction import evaluate, perform
from stackful import Fiber, PromptTag, abort, prompt, prompt0, reset, reset0

pytestmark = [pytest.mark.five_ways, pytest.mark.leakcheck]


def kiselyov(delimit, capture):
    """`(reset (let ((y (shift f (cons 'a (f '()))))) (shift g y)))` and so on (Kiselyov, "How to remove a dynamic prompt")."""
    return delimit(lambda: (lambda y: capture(lambda g: y))(capture(lambda f: ["a", *f([])])))


def test_shift_and_control_differ_on_kiselyovs_term():
    """Shift gives ("a"), control ()."""
    assert kiselyov(reset, shift) == ["a"]
    assert kiselyov(prompt, control) == []


def test_list_copy_by_shift_and_reversal_by_control():
    """Biernacki, Danvy and Millikin: the traversal that copies a list with shift reverses it with control."""

    def traverse(items, delimit, capture):
        def visit(rest):
            if not rest:
                return []
            return visit(capture(lambda k: [rest[0], *k(rest[1:])]))

        return delimit(lambda: visit(items))

    assert traverse([1, 2, 3], reset, shift) == [1, 2, 3]
    assert traverse([1, 2, 3], prompt, control) == [3, 2, 1]


def test_shift_leaves_its_prompt_and_shift0_does_not():
    """A second capture in f ends at the same prompt with shift, and at the next one out with shift0."""
    assert reset(lambda: ["a", reset(lambda: ["b", shift(lambda k: shift(lambda j: "c"))])]) == ["a", "c"]
    assert reset0(lambda: ["a", reset0(lambda: ["b", shift0(lambda k: shift0(lambda j: "c"))])]) == "c"
    assert prompt(lambda: ["a", prompt(lambda: ["b", control(lambda k: control(lambda j: "c"))])]) == ["a", "c"]
    assert prompt0(lambda: ["a", prompt0(lambda: ["b", control0(lambda k: control0(lambda j: "c"))])]) == "c"


OPERATORS = {"control": control, "shift": shift, "control0": control0, "shift0": shift0, "call_cc": call_cc}
FAMILY = ["shift", "control", "shift0", "control0"]


def table(term):
    """What a term comes to with each operator of the family in the place of "C"."""
    return [perform(with_operator(term, operator), OPERATORS) for operator in FAMILY]


def then(*terms):
    return terms[0] if len(terms) == 1 else ("then", terms[0], then(*terms[1:]))


def say(text):
    return ("say", text)


def test_the_prompt_stays_or_goes():
    """Shan: D(a D(b C f. C g. x)): the second capture ends at the same prompt, or takes the next one's frames as well."""
    term = ("delimit", then(say("a"), ("delimit", then(say("b"), ("C", ("C", say("x")))))))
    assert table(term) == ["ax", "ax", "x", "x"]


def test_a_prompt_comes_back_or_does_not():
    """Shan: D(a D((C g. x) after C f. b f())): the capture in what f brings back takes the b away, or does not."""
    inner = then(("C", then(say("b"), ("call", 0, say("")))), ("C", say("x")))
    assert table(("delimit", then(say("a"), ("delimit", inner)))) == ["abx", "ax", "abx", "x"]


def test_one_term_tells_all_four_apart():
    """D(a D(b D(c (C f. d f(C g. x)) (C h. y)))) has another value with each."""
    inner = then(say("c"), ("C", then(say("d"), ("call", 0, say("e")), ("C", say("x")))), ("C", say("y")))
    term = ("delimit", then(say("a"), ("delimit", then(say("b"), ("delimit", inner)))))
    assert len(set(table(term))) == 4
    assert table(term) == [evaluate(with_operator(term, operator)) for operator in FAMILY]


def with_operator(term, operator):
    return tuple(
        with_operator(part, operator) if isinstance(part, tuple) else operator if part == "C" else part for part in term
    )


def test_shift_is_control_whose_continuation_is_delimited():
    """Felleisen: shift f = control (k: f (v: prompt (k v))), on the term that tells them apart."""
    assert kiselyov(prompt, lambda f: control(lambda k: f(lambda v: prompt(lambda: k(v))))) == ["a"]


def test_shift0_is_control0_whose_continuation_is_delimited():
    """The same below the prompt."""

    def by_control0(f):
        return control0(lambda k: f(lambda v: prompt0(lambda: k(v))))

    for capture in (shift0, by_control0):
        assert prompt0(lambda: ["a", *prompt0(lambda: ["b", *capture(lambda f: [*f(["c"]), *f(["d"])])])]) == [*"abcbd"]


def test_shift_is_shift0_that_puts_the_prompt_back():
    """Materzok and Biernacki: shift f = shift0 (k: reset (f k))."""

    def by_shift0(f):
        return shift0(lambda k: reset0(lambda: f(k)))

    for capture in (shift, by_shift0):
        assert reset(lambda: ["a", reset(lambda: ["b", capture(lambda k: capture(lambda j: "c"))])]) == ["a", "c"]


def test_abort_is_a_capture_that_is_dropped():
    """Felleisen: abort v = control (k: v)."""
    assert prompt(lambda: 1 + control(lambda k: 5)) == prompt(lambda: 1 + abort(None, 5)) == 5


def test_call_cc_is_a_capture_that_is_resumed_at_once():
    """call_cc f = control (k: k (f (v: abort (k v)))): Sitaram and Felleisen."""

    def by_control(f):
        return control(lambda k: k(f(lambda v: control(lambda _: k(v)))))

    for capture in (call_cc, by_control):
        kept = Log()

        def body(capture=capture, kept=kept):
            value = capture(lambda k: [kept.append(k), 1][1])
            return value if value > 3 else kept[0](value + 1)

        assert prompt(lambda: [prompt(body), "end"]) == [4, "end"]  # noqa: B023


def test_dybvig_peyton_jones_and_sabrys_operators():
    """Their primitives by ours: withSubCont is control0, pushSubCont is the call of k, pushPrompt is prompt with a tag."""
    p, q = PromptTag("p"), PromptTag("q")

    def body():
        return 2 * control0(lambda k: prompt(lambda: k(prompt(lambda: k(10), q)), p), p)

    assert prompt(body, p) == 40


TERMS = st.recursive(
    st.tuples(st.just("say"), st.sampled_from("abc")),
    lambda terms: st.one_of(
        st.tuples(st.just("then"), terms, terms),
        st.tuples(st.just("delimit"), terms),
        st.tuples(st.sampled_from([*OPERATORS]), terms),
        st.tuples(st.just("call"), st.integers(0, 2), terms),
        st.tuples(st.just("abort"), terms),
    ),
    max_leaves=12,
)


def closed(term, depth=0):
    """The term, with calls where no continuation is in scope taken out, so that it means something."""
    kind, *operands = term
    if kind == "call" and depth == 0:
        return closed(operands[1], depth)
    inner = depth + (kind in OPERATORS)
    return kind, *(closed(part, inner) if isinstance(part, tuple) else part for part in operands)


@settings(max_examples=60, deadline=None, database=None, suppress_health_check=list(HealthCheck))
@given(TERMS.map(closed))
def test_any_term_comes_to_what_the_rules_say(term):
    """At top level, within prompts, and within a fiber."""
    for around in (term, ("delimit", ("then", say("x"), ("delimit", ("then", say("y"), term))))):
        expected = evaluate(around)
        assert perform(around, OPERATORS) == expected
        assert Fiber(perform, around, OPERATORS).resume() == expected
