"""`try` in every part: `except`, `except*`, `else`, `finally`, bare `raise`, `__context__`, jumps through `finally`."""

import sys

from .registry import program


class Trouble(Exception):
    """A module's own exception, with an attribute."""

    def __init__(self, message, code=0):
        super().__init__(message)
        self.code = code


class WorseTrouble(Trouble):
    """A subclass, for the order of handlers."""


def fail(point, error):
    point(repr(error))
    raise error


@program
def every_part_without_an_error(point):
    seen = ()
    try:
        seen += (point("try"),)
    except ValueError:
        seen += (point("except"),)
    else:
        seen += (point("else"),)
    finally:
        seen += (point("finally"),)
    return seen


@program
def every_part_with_an_error(point):
    seen = ()
    try:
        seen += (point("try"),)
        fail(point, ValueError("no"))
    except ValueError as error:
        seen += (point(str(error)), point("except"))
    else:
        seen += (point("else"),)
    finally:
        seen += (point("finally"),)
    return seen


@program
def an_error_leaves_the_program(point):
    try:
        fail(point, Trouble("lost", 7))
    finally:
        point("finally")


@program
def handlers_are_tried_in_order(point):
    seen = ()
    for error in (WorseTrouble("w"), Trouble("t"), KeyError("k"), IndexError("i")):
        try:
            raise point(error)
        except WorseTrouble:
            seen += (point("worse"),)
        except Trouble as trouble:
            seen += (point(str(trouble)),)
        except (KeyError, point(IndexError)) as lookup:
            seen += (point(type(lookup).__name__),)
    return seen


@program
def a_handler_type_is_computed(point):
    seen = ()
    try:
        raise point(Trouble)("made")
    except point(KeyError):
        seen += ("key",)
    except point(Trouble) as error:
        seen += (point(str(error)), error.code)
    return seen


@program
def a_bare_except(point):
    try:
        return 1 // point(0)
    except:
        return point(sys.exc_info()[0].__name__)


@program
def a_bare_raise_after_a_suspension(point):
    seen = ()
    try:
        try:
            fail(point, Trouble("again", 3))
        except Trouble:
            seen += (point("inner"),)
            raise
    except Trouble as error:
        seen += (point(error.code), str(error))
    return seen


def reraise(point):
    point("helper")
    raise


@program
def a_bare_raise_in_a_called_function(point):
    try:
        try:
            raise Trouble("outer", 9)
        except Trouble:
            point("handling")
            reraise(point)
    except Trouble as error:
        return point(error.code)


@program
def a_bare_raise_without_an_error(point):
    try:
        reraise(point)
    except RuntimeError as error:
        return point(str(error))


def handled_name(point):
    point("asked")
    kind = sys.exc_info()[0]
    return kind and kind.__name__


@program
def the_handled_exception_is_seen_from_calls(point):
    seen = (handled_name(point),)
    try:
        raise KeyError(1)
    except KeyError:
        seen += (handled_name(point),)
        try:
            raise IndexError(2)
        except IndexError:
            seen += (handled_name(point),)
        seen += (handled_name(point),)
    seen += (handled_name(point),)
    return seen


@program
def contexts_are_chained(point):
    try:
        try:
            raise KeyError("first")
        except KeyError:
            point("between")
            raise ValueError("second")
    except ValueError as error:
        point("outer")
        return repr(error), repr(error.__context__), error.__cause__, error.__suppress_context__


@program
def causes_are_kept(point):
    try:
        try:
            point(1)
            raise KeyError("first")
        except KeyError as error:
            raise Trouble(point("second"), 2) from point(error)
    except Trouble as error:
        point("outer")
        return str(error), repr(error.__cause__), error.__cause__ is error.__context__, error.__suppress_context__


@program
def raise_from_none(point):
    try:
        try:
            raise KeyError("hidden")
        except KeyError:
            raise Trouble(point("shown")) from point(None)
    except Trouble as error:
        point("outer")
        return str(error), error.__cause__, error.__suppress_context__, repr(error.__context__)


@program
def the_context_of_an_error_in_finally(point):
    try:
        try:
            raise KeyError("body")
        finally:
            point("finally")
            fail(point, ValueError("cleanup"))
    except ValueError as error:
        return point(repr(error.__context__))


@program
def a_chain_of_three_contexts(point):
    try:
        try:
            try:
                raise KeyError(point(1))
            except KeyError:
                raise IndexError(point(2))
        except IndexError:
            raise ValueError(point(3))
    except ValueError as error:
        chain = ()
        while error is not None:
            chain += (point(repr(error)),)
            error = error.__context__
        return chain


@program(shares_heap=True)
def notes_stay_with_the_error(point):
    try:
        try:
            raise Trouble("noted")
        except Trouble as error:
            error.add_note(point("a note"))
            raise
    except Trouble as error:
        point("outer")
        return tuple(error.__notes__)


@program
def the_name_of_a_handled_error_is_deleted(point):
    error = "before"
    try:
        raise KeyError(point(1))
    except KeyError as error:
        point(repr(error))
    try:
        return error
    except UnboundLocalError:
        return point("unbound")


@program
def nested_handlers(point):
    seen = ()
    try:
        raise KeyError("outer")
    except KeyError as outer:
        try:
            seen += (point("a"),)
            raise IndexError("inner")
        except IndexError as inner:
            seen += (point(repr(inner)), repr(inner.__context__))
        else:
            seen += (point("else"),)
        finally:
            seen += (point("f1"),)
        seen += (point(repr(outer)), type(sys.exc_info()[1]).__name__)
    finally:
        seen += (point("f2"), sys.exc_info()[1])
    return seen


@program
def nested_finally(point):
    seen = ()
    try:
        try:
            try:
                fail(point, Trouble("deep"))
            finally:
                seen += (point("one"),)
        finally:
            seen += (point("two"),)
    except Trouble:
        seen += (point("caught"),)
    finally:
        seen += (point("three"),)
    return seen


def returned_from_finally(point):
    try:
        fail(point, KeyError("lost"))
    finally:
        return point("from finally")


def overridden_return(point):
    try:
        return point("first")
    finally:
        point("on the way")
        return point("second")


def delayed_return(point):
    value = point("kept")
    try:
        return value
    finally:
        value = point("changed")


@program
def returns_through_finally(point):
    return returned_from_finally(point), overridden_return(point), delayed_return(point)


@program
def return_from_nested_finally(point):
    try:
        try:
            try:
                return (point(1), point(2))
            finally:
                point("inner")
        finally:
            point("middle")
    finally:
        point("outer")


@program
def break_through_finally(point):
    seen = ()
    for item in [1, 2, 3]:
        try:
            if point(item) == 2:
                break
        finally:
            seen += (point(item * 10),)
    else:
        seen += ("else",)
    return seen


@program
def continue_through_finally(point):
    seen = ()
    for item in range(4):
        try:
            if point(item) % 2:
                continue
            seen += (point(item),)
        finally:
            seen += (point(-item),)
    return seen


@program
def break_in_finally_drops_the_error(point):
    seen = ()
    while True:
        try:
            fail(point, Trouble("dropped"))
        finally:
            seen += (point("finally"), type(sys.exc_info()[1]).__name__)
            break
    return seen, sys.exc_info()[1]


@program
def continue_in_finally_drops_the_error(point):
    seen = ()
    for item in (1, 2):
        try:
            raise Trouble(item)
        finally:
            seen += (point(item),)
            continue
    return seen


@program
def jumps_out_of_a_handler(point):
    seen = ()
    for item in range(5):
        try:
            raise KeyError(item)
        except KeyError as error:
            if point(item) == 1:
                continue
            if point(item) == 3:
                break
            seen += (point(error.args),)
    return seen, sys.exc_info()[1]


@program
def return_from_a_handler(point):
    for item in [1, 2]:
        try:
            raise KeyError(item)
        except KeyError as error:
            try:
                return point(error.args[0])
            finally:
                point(type(sys.exc_info()[1]).__name__)


@program
def try_in_a_loop_in_a_try(point):
    seen = ()
    try:
        for divisor in (2, 1, 0, 5):
            try:
                seen += (10 // point(divisor),)
            except ArithmeticError as error:
                seen += (point(str(error)),)
                if point(divisor) == 0:
                    raise Trouble("stop") from error
    except Trouble as trouble:
        seen += (point(repr(trouble.__cause__)),)
    return seen


@program(splits_a_group=True)
def groups_are_split(point):
    seen = ()
    try:
        raise ExceptionGroup(point("g"), [ValueError(1), KeyError(point(2)), ExceptionGroup("h", [ValueError(3)])])
    except* ValueError as group:
        seen += (point(len(group.exceptions)), repr(group.exceptions[0]))
    except* point(KeyError) as group:
        seen += (point(group.message), repr(group.exceptions))
    else:
        seen += (point("else"),)
    finally:
        seen += (point("finally"),)
    return seen


@program(splits_a_group=True)
def the_rest_of_a_group_goes_on(point):
    try:
        try:
            raise ExceptionGroup("g", [ValueError(1), TypeError(2), OSError(3)])
        except* ValueError:
            point("value")
        except* TypeError as group:
            point("type")
            raise Trouble("new") from group
    except ExceptionGroup as group:
        point("outer")
        return sorted(type(error).__name__ for error in group.exceptions), len(group.exceptions)


@program(splits_a_group=True)
def a_single_error_meets_except_star(point):
    seen = ()
    try:
        fail(point, Trouble("alone", 4))
    except* Trouble as group:
        seen += (point(type(group).__name__), group.exceptions[0].code)
    return seen


@program(splits_a_group=True)
def a_bare_raise_in_except_star(point):
    try:
        try:
            raise ExceptionGroup("g", [ValueError(1), KeyError(2)])
        except* ValueError:
            point("again")
            raise
    except ExceptionGroup as group:
        return point(repr(group))


@program
def base_exceptions_pass_through(point):
    seen = ()
    try:
        try:
            raise KeyboardInterrupt(point("key"))
        except Exception:
            seen += ("exception",)
        finally:
            seen += (point("finally"),)
    except BaseException as error:
        seen += (point(repr(error)),)
    try:
        raise SystemExit(point(3))
    except SystemExit as error:
        seen += (point(error.code),)
    return seen


@program
def stop_iteration_is_an_ordinary_error(point):
    try:
        raise StopIteration(point(5))
    except StopIteration as error:
        return point(error.value)


@program
def an_error_in_a_handler_expression(point):
    seen = ()
    try:
        try:
            raise KeyError("first")
        except point(ZeroDivisionError) if 1 // point(1) else None:
            seen += ("zero",)
    except KeyError as error:
        seen += (point(repr(error)),)
    return seen


@program(shares_heap=True)
def errors_cross_many_frames(point):
    def inner(depth):
        try:
            if point(depth) == 0:
                raise Trouble("bottom", depth)
            inner(depth - 1)
        except Trouble as error:
            error.code += point(1)
            raise

    try:
        inner(4)
    except Trouble as error:
        return point(error.code)


@program
def a_suspended_error_is_still_one_object(point):
    kept = None
    try:
        raise Trouble("same")
    except Trouble as error:
        kept = error
        point("here")
        return kept is error, kept is sys.exc_info()[1]
