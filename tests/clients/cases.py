"""What the clients' case files have in common: each case is a function that raises if a result is wrong."""
import sys
import traceback

CASES = []


def case(function):
    CASES.append(function)
    return function


def lacking(error):
    """A case that vgpu-run refuses today, with this word in the client's error. It is told apart, and fails once it works."""
    def mark(function):
        function.lacking = error
        return case(function)

    return mark


def outcome(function):
    """`ok`, or `lacks …` where that is known; raises if neither."""
    refused = getattr(function, "lacking", None)
    try:
        function()
    except Exception as error:
        if refused and refused in str(error):
            return f"lacks {function.__name__}: {refused}"
        raise
    if refused:
        raise AssertionError("it works: no longer lacking")
    return f"ok {function.__name__}"


def run(what):
    """Runs the cases that were asked for, or all; says how many hold, and ends with 1 if one does not."""
    names = [it for it in sys.argv[1:] if it != "--trace"]
    chosen = [it for it in CASES if not names or it.__name__ in names]
    right = wrong = 0
    for function in chosen:
        try:
            said = outcome(function)
            right += said.startswith("ok")
            print(said, flush=True)
        except Exception as error:
            wrong += 1
            print(f"FAILED {function.__name__}: {type(error).__name__}: {str(error).strip()[:300]}", flush=True)
            if "--trace" in sys.argv:
                traceback.print_exc()
    print(f"result {right} of {len(chosen)} {what}", flush=True)
    sys.exit(1 if wrong or not chosen else 0)
