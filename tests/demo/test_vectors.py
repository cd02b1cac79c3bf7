from __future__ import annotations

from math import isclose, sqrt

import pytest

from watchglass.demo.vectors import DIMENSIONS, embed, similarity, words


def test_a_vector_has_the_promised_length_and_norm() -> None:
    vector = embed("parse the invoice of an order")
    assert len(vector) == DIMENSIONS
    assert isclose(sqrt(sum(value**2 for value in vector)), 1.0)


def test_the_same_text_is_the_same_vector_and_case_and_spelling_of_words_do_not_matter() -> None:
    assert embed("Parse_Invoice") == embed("parse invoice")
    assert words("parse_invoice(order_id)") == ["parse", "invoice", "order", "id"]


def test_texts_that_share_words_are_nearer_than_texts_that_do_not() -> None:
    query = embed("parse invoice")
    assert (
        similarity(query, embed("parse an invoice of a customer")) > similarity(query, embed("render the graph")) + 0.2
    )


def test_a_text_without_a_word_has_no_direction() -> None:
    with pytest.raises(ZeroDivisionError):
        embed("?!")
