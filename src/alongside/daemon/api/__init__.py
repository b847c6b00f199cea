"""The REST API on the daemon's socket. What it means is docs/api.md; what it does is verbs/.

    application   puts the routes together        route      what holds for every request
    reading       who only looks                  answers    how answers are documented, and streams
    changing      the verbs that change           documents  the schemas of answers
    sending       trees and linked files          events     the schemas of streams
                                                  openapi    the document itself

To add a request: an endpoint whose docstring says what it does, with `answers(…)` and a model.
"""

from alongside.daemon.api.application import create

__all__ = ["create"]
