"""The cases, by name: each computes something with whatever backend Taichi was started on, and returns it as an array."""
CASES = {}


def case(function):
    name = function.__name__
    assert name not in CASES, name
    CASES[name] = function
    return function


def each(**choices):
    """One case for each choice: `function(*choice)` under the name of the function and the choice's."""
    def register(function):
        for name, choice in choices.items():
            def chosen(choice=choice):
                return function(*choice)

            chosen.__name__ = f"{function.__name__}_{name}"
            case(chosen)
        return function

    return register
