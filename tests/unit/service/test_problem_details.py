"""RFC 9457 in one place: every error the service can raise has its entry."""

import inspect

from service import errors, problem_kinds, problems


def concrete_errors() -> set[type[errors.DomainError]]:
    found = {
        kind
        for _, kind in inspect.getmembers(errors, inspect.isclass)
        if issubclass(kind, errors.DomainError)
    }
    return {kind for kind in found if not kind.__subclasses__()}


def test_every_domain_error_has_exactly_one_kind_of_problem() -> None:
    assert set(problem_kinds.KINDS) == concrete_errors()


def test_no_two_kinds_of_problem_share_a_type() -> None:
    names = [kind.name for kind in problem_kinds.KINDS.values()]

    assert len(names) == len(set(names))


def test_whoever_must_log_in_is_told_how() -> None:
    schemes = {
        kind: problem.headers.get("WWW-Authenticate", "").partition(" ")[0]
        for kind, problem in problem_kinds.KINDS.items()
        if problem.status == 401
    }

    assert schemes == {
        kind: "Bearer" for kind in problem_kinds.KINDS if issubclass(kind, errors.UnauthenticatedError)
    }


def test_the_type_of_a_problem_is_a_tag_uri() -> None:
    assert problems.type_uri("email-taken") == "tag:task-board.example,2026:problems/email-taken"
